/* attention.c -- how long our causal attention takes. Usage: attention [threads] < shapes
** A shape is a line "batch heads kv_heads length dim milliseconds kind", kind f32, tiles or pairs
** (gemm.h's orders of bf16 products); the answer is one line of milliseconds, minimum and median:
** forward, backward, both. tests/bench/attention.py drives it in turn with PyTorch; by itself it
** is `echo 8 6 6 1024 64 500 tiles | attention 2`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/attention.h"
#include "kernels/gemm.h"

enum { RUNS = 4096 };
typedef struct { int n; double t[RUNS]; } samples;

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void print(samples *s) {
  qsort(s->t, (size_t)s->n, sizeof s->t[0], by_size);
  printf("%.4f %.4f ", 1e3 * s->t[0], 1e3 * s->t[s->n / 2]);
}

static void die(void) {
  fprintf(stderr, "attention: %s\n", ml_errmsg());
  exit(1);
}

static void *filled(int dtype, int64_t n, uint32_t x) {
  float *p = ml_alloc((size_t)n * sizeof *p);
  if (!p) die();
  for (int64_t i = 0; i < n; i++) {
    x = x * 1664525u + 1013904223u;
    p[i] = (float)(x >> 8) * 0x1p-23f - 1;
  }
  if (dtype == ML_BF16) ml_k(ML_F32)->narrow((uint16_t *)p, p, n);
  return p;
}

/* (B, H, T, D), as PyTorch lays it out: each (sequence, head) pair is a segment with one head */
static void measure(int64_t B, int64_t H, int64_t KV, int64_t T, int64_t D, double seconds,
                    int kind) {
  static samples f, b, both;
  int64_t nq = B * H * T * D, nk = B * KV * T * D, group = H / KV;
  void *x[9];
  for (int i = 0; i < 9; i++) /* q o dout dq lse, k v dk dv */
    x[i] = filled(ml_gemm_is_bf16(kind) && i != 4 ? ML_BF16 : ML_F32, i < 5 ? nq : nk,
                  (uint32_t)i + 1);
  ml_segment *seg = ml_alloc((size_t)(B * KV) * sizeof *seg);
  if (!seg) die();
  /* rows are one head long, so a group's heads lie T rows apart */
  ml_attention a = {group, 1, D, 0, 0, x[0], x[5], x[6], D, T * D, D, 0, D, 0, x[1], D, T * D,
                    x[4], x[2], x[3], x[7], x[8]};
  a.scale = 1 / ml_exp(0.5 * ml_log((double)D));
  f.n = b.n = both.n = 0;
  for (int64_t i = 0; i < B * KV; i++) seg[i] = (ml_segment){i * group * T, i * T, T, 0};
  double end = ml_clock() + seconds;
  do {
    double t0 = ml_clock();
    if (ml_attention_forward(kind, &a, seg, B * KV) != ML_OK) die();
    double t1 = ml_clock();
    if (ml_attention_backward(kind, &a, seg, B * KV) != ML_OK) die();
    double t2 = ml_clock();
    f.t[f.n++] = t1 - t0, b.t[b.n++] = t2 - t1, both.t[both.n++] = t2 - t0;
  } while (f.n < RUNS && ml_clock() < end);
  print(&f), print(&b), print(&both);
  printf("\n");
  fflush(stdout);
  for (int i = 0; i < 9; i++) ml_free(x[i]);
  ml_free(seg);
}

int main(int argc, char **argv) {
  int threads = argc > 1 ? atoi(argv[1]) : ml_threads();
  if (ml_set_threads(threads) != ML_OK) die();
  long long B, H, KV, T, D, ms;
  char kind[8];
  while (scanf("%lld %lld %lld %lld %lld %lld %7s", &B, &H, &KV, &T, &D, &ms, kind) == 7)
    measure(B, H, KV, T, D, (double)ms * 1e-3,
            !strcmp(kind, "tiles") ? ML_GEMM_TILES : !strcmp(kind, "pairs") ? ML_GEMM_PAIRS : ML_F32);
  return 0;
}
