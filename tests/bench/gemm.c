/* gemm.c -- speed of matrix products at transformer shapes, f32 beside OpenBLAS and this machine's
** FMA peak, bf16 beside the peak of the instruction it uses. Usage: gemm [threads] [quick]
** A linear layer y (T, O) = x (T, C) W (O, C)^T has three products: forward (NT), the input's
** gradient (NN) and the weight's (TN, accumulating). Ours and OpenBLAS take turns, the best of
** several turns counts: other people's load on the machine then hits both alike. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "kernels/gemm.h"
#include "kernels/peak.h"

enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112 };
typedef void sgemm_fn(int order, int ta, int tb, int m, int n, int k, float alpha,
                      const float *a, int lda, const float *b, int ldb, float beta, float *c,
                      int ldc);
static sgemm_fn *sgemm;
static int threads = 1;
static bool quick;

static int peak_of = ML_F32; /* whose peak shares are of */
static double gigaflops(int kind, int bursts) { return ml_peak(kind, bursts) * 1e-9; }

/* ---- one product, ours or theirs ---- */
enum { FORWARD, DGRAD, WGRAD };
static const char *const what_name[] = {"forward", "dgrad", "wgrad"};
typedef struct { int what; int64_t T, C, O; } shape;
static float *A, *B, *C1, *C2;
static void *A16, *B16;
static int kind = ML_F32;
static void *packed; /* bf16: forward and dgrad have their weights packed */

static ml_gemm ours_of(const shape *s) {
  const void *a = kind == ML_F32 ? A : A16, *b = kind == ML_F32 ? B : B16;
  switch (s->what) {
  case FORWARD: return (ml_gemm){s->T, s->O, s->C, a, s->C, 1, b, 1, s->C, .packed = packed,
                                 .c = C1, .ldc = s->O};
  case DGRAD: return (ml_gemm){s->T, s->C, s->O, a, s->O, 1, b, s->C, 1, .packed = packed,
                               .c = C1, .ldc = s->C};
  default: return (ml_gemm){s->O, s->C, s->T, a, 1, s->O, b, s->C, 1, .c = C1, .ldc = s->C,
                            .accumulate = true};
  }
}

static void *pack_weight(const shape *s) {
  if (kind == ML_F32 || s->what == WGRAD) return NULL;
  ml_gemm g = ours_of(s);
  void *p = ml_alloc(ml_gemm_packed_bytes(kind, g.k, g.n));
  if (!p || ml_gemm_pack(kind, p, B, ML_F32, g.brs, g.bcs, g.k, g.n) != ML_OK) exit(1);
  return p;
}

static void ours(const shape *s) {
  ml_gemm g = ours_of(s);
  if (ml_gemm_run(kind, &g, 1) != ML_OK) {
    fprintf(stderr, "gemm: %s\n", ml_errmsg());
    exit(1);
  }
}

static void theirs(const shape *s) {
  int T = (int)s->T, C = (int)s->C, O = (int)s->O;
  if (s->what == FORWARD)
    sgemm(ROW_MAJOR, NO_TRANS, TRANS, T, O, C, 1, A, C, B, C, 0, C2, O);
  else if (s->what == DGRAD)
    sgemm(ROW_MAJOR, NO_TRANS, NO_TRANS, T, C, O, 1, A, O, B, C, 0, C2, C);
  else
    sgemm(ROW_MAJOR, TRANS, NO_TRANS, O, C, T, 1, A, O, B, C, 1, C2, C);
}

/* best of several calls in a row after one that warms up */
static double turn(void (*run)(const shape *), const shape *s, double budget) {
  double best = 1e9;
  run(s);
  double end = ml_clock() + budget;
  for (int i = 0; i < 3 || ml_clock() < end; i++) {
    double t = ml_clock();
    run(s);
    t = ml_clock() - t;
    if (t < best) best = t;
  }
  return best;
}

/* best times, and the best peak of bursts between the calls: the clock floats by a tenth and more
** with the neighbours' load, so a share is of the peak of the same moments */
typedef struct { double ours, theirs, peak; } figures;

static figures measure(const shape *s) {
  figures best = {1e9, 1e9, 0};
  for (int r = 0; r < (quick ? 3 : 6); r++) {
    double t = turn(ours, s, 0.02);
    if (t < best.ours) best.ours = t;
    double p = gigaflops(peak_of, 3);
    if (p > best.peak) best.peak = p;
    if (!sgemm) continue;
    t = turn(theirs, s, 0.02);
    if (t < best.theirs) best.theirs = t;
    usleep(40000); /* its threads spin on for a while after a call */
  }
  return best;
}

/* ---- tables ---- */
typedef struct { double flop, ours, theirs, possible, worst; } total;

static void row(const shape *s, total *sum) {
  packed = pack_weight(s);
  figures f = measure(s);
  ml_free(packed), packed = NULL;
  double flop = 2.0 * (double)s->T * (double)s->C * (double)s->O, speed = flop / f.ours * 1e-9;
  double share = f.peak > 0 ? speed / f.peak : 0;
  printf("%6lld %5lld %5lld %-8s %8.1f", (long long)s->T, (long long)s->C, (long long)s->O,
         what_name[s->what], speed);
  if (sgemm) printf(" %9.1f %6.2f", flop / f.theirs * 1e-9, f.theirs / f.ours);
  if (f.peak > 0) printf(" %8.1f %5.1f%%", f.peak, 100 * share);
  printf("\n");
  sum->flop += flop, sum->ours += f.ours, sum->theirs += f.theirs;
  sum->possible += f.peak > 0 ? flop / f.peak * 1e-9 : 0; /* seconds at the peak */
  if (sum->worst == 0 || share < sum->worst) sum->worst = share;
}

static void table(const char *title, const int64_t *Ts, int nT, const int64_t *ds, int nd,
                  total *sum) {
  static const int in[] = {1, 1, 1, 4}, out[] = {3, 1, 4, 1};
  printf("\n%s\n%6s %5s %5s %-8s %8s", title, "T", "C", "O", "product", "ours");
  printf(sgemm ? " %9s %6s %8s %6s\n" : "%.0s%.0s %8s %6s\n", "OpenBLAS", "ratio", "peak", "share");
  for (int t = 0; t < nT; t++)
    for (int d = 0; d < nd; d++)
      for (int l = 0; l < 4; l++)
        for (int w = FORWARD; w <= WGRAD; w++)
          row(&(shape){w, Ts[t], in[l] * ds[d], out[l] * ds[d]}, sum);
}

/* sums of operations over sums of time */
static void summary(const char *name, const total *s) {
  printf("%s: %.1f GFLOP/s", name, s->flop / s->ours * 1e-9);
  if (s->possible > 0)
    printf(", %.1f %% of the peak, worst row %.1f %%", 100 * s->possible / s->ours,
           100 * s->worst);
  if (sgemm) printf(", %.3f x OpenBLAS", s->theirs / s->ours);
  printf("\n");
}

/* ---- decoding: M tokens by a prepacked weight ---- */
static void decode(int64_t M, int64_t C, int64_t O) {
  void *weight = ml_alloc(ml_gemm_packed_bytes(kind, C, O));
  if (!weight || ml_gemm_pack(kind, weight, B, ML_F32, 1, C, C, O) != ML_OK) exit(1);
  ml_gemm g = {M, O, C, kind == ML_F32 ? (void *)A : A16, C, 1, .packed = weight, .c = C1,
               .ldc = O};
  double bytes = kind == ML_F32 ? 4e-9 : 2e-9;
  double best = 1e9;
  for (int i = 0; i < 2000; i++) {
    double t = ml_clock();
    ml_gemm_run(kind, &g, 1);
    t = ml_clock() - t;
    if (t < best) best = t;
  }
  printf("%6lld %5lld %5lld %8.2f us %8.1f GFLOP/s %8.1f GB/s of weights\n", (long long)M,
         (long long)C, (long long)O, best * 1e6, 2e-9 * (double)(M * C * O) / best,
         bytes * (double)(C * O) / best);
  ml_free(weight);
}

static float *filled(int64_t n) {
  float *p = ml_alloc((size_t)n * sizeof *p);
  if (!p) exit(1);
  uint32_t x = 1;
  for (int64_t i = 0; i < n; i++) {
    x = x * 1664525u + 1013904223u;
    p[i] = (float)(x >> 8) * 0x1p-24f - 0.5f;
  }
  return p;
}

static void *halves(const float *x, int64_t n) {
  void *p = ml_alloc((size_t)n * 2);
  if (!p) exit(1);
  ml_cast(p, ML_BF16, 1, x, ML_F32, 1, n);
  return p;
}

static void bf16(int which) {
  const char *name = which == ML_GEMM_PAIRS ? "pairs" : "tiles";
  bool by_instruction = ml_gemm_uses_native(which);
  total all = {0};
  char title[80];
  kind = which, peak_of = by_instruction ? which : ML_F32;
  snprintf(title, sizeof title, "bf16, %s by %s, weights packed, GFLOP/s", name,
           by_instruction ? "instruction" : "FMAs");
  table(title, (int64_t[]){2048}, 1, (int64_t[]){128, 384, 768}, 3, &all);
  printf("\nbf16, %s, decoding with packed weights\n%6s %5s %5s\n", name, "M", "C", "O");
  for (int64_t M = 1; M <= 32; M *= 2) decode(M, 128, 512), decode(M, 768, 768);
  summary(name, &all);
  kind = peak_of = ML_F32;
}

static void open_blas(void) {
  /* these two choose a kernel of another processor; OpenBLAS reads them when it is loaded */
  unsetenv("OPENBLAS_CORETYPE");
  unsetenv("OPENBLAS_L2_SIZE");
  void *lib = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
  if (!lib) {
    printf("OpenBLAS is not installed (libopenblas.so.0): ours alone\n");
    return;
  }
  *(void **)&sgemm = dlsym(lib, "cblas_sgemm");
  void (*set_threads)(int);
  char *(*corename)(void);
  *(void **)&set_threads = dlsym(lib, "openblas_set_num_threads");
  *(void **)&corename = dlsym(lib, "openblas_get_corename");
  if (set_threads) set_threads(threads);
  printf("OpenBLAS core: %s\n", corename ? corename() : "?");
}

int main(int argc, char **argv) {
  if (argc > 1) threads = atoi(argv[1]);
  quick = argc > 2 && !strcmp(argv[2], "quick");
  if (threads < 1 || threads > ML_MAX_THREADS || ml_set_threads(threads) != ML_OK) {
    fprintf(stderr, "usage: gemm [threads] [quick]\n");
    return 1;
  }
  open_blas();
  int64_t most = 8192 * 3072;
  A = filled(most), B = filled(most), C1 = filled(most), C2 = filled(most);
  double before = gigaflops(ML_F32, 12);
  printf("%s, %d threads, FMA peak %.1f GFLOP/s\n", ml_isa_name(ml_isa()), threads, before);
  total core = {0}, small = {0};
  table("transformer shapes, GFLOP/s", (int64_t[]){2048, 8192}, quick ? 1 : 2,
        (int64_t[]){128, 384, 768}, 3, &core);
  table("a small model's, GFLOP/s", (int64_t[]){768}, 1, (int64_t[]){128}, 1, &small);
  printf("\ndecoding with packed weights\n%6s %5s %5s\n", "M", "C", "O");
  for (int64_t M = 1; M <= 16; M *= 2) decode(M, 128, 512), decode(M, 768, 768);
  printf("\nFMA peak before %.1f, after %.1f GFLOP/s\n", before,
         gigaflops(ML_F32, 12));
  summary("small model", &small);
  summary("transformer shapes", &core);
  sgemm = NULL; /* has no bf16 */
  A16 = halves(A, most), B16 = halves(B, most);
  bf16(ML_GEMM_TILES), bf16(ML_GEMM_PAIRS);
  return 0;
}
