/* native16.c -- may bf16 products use the machine's instructions? Asked once: they must be there,
** and must give the bits of the FMAs on products that would show another order of additions,
** another rounding, or subnormals kept. */
#include <stdatomic.h>
#include <string.h>

#include "kernels/flush.h"
#include "kernels/gemm.h"

/* PANEL: room for both panels of B, and for more than half of A's */
enum { M = 33, N = 40, STEPS = 4, PANEL = STEPS * 32 * 64, TRIALS = 9 };
enum { UNKNOWN, NO, SLOW, FAST }; /* asking a processor is slow too, on virtual machines */

static _Atomic int way = ML_GEMM_AUTO;
static _Atomic int found[2]; /* of PAIRS and TILES on AVX-512 */

static uint32_t draw(uint32_t *state) { return (*state = *state * 1664525u + 1013904223u) >> 8; }

/* exponents so low that products and sums are subnormal, so near that sums cancel, or any; one
** element in sixteen is zero, subnormal, the largest or the smallest normal one, or infinite. The
** last trial's sums round up to the smallest normal number, or do not: is that flushed? */
static uint16_t element(uint32_t *state, int trial) {
  static const uint16_t edge[] = {0, 0x8000, 1, 0x807f, 0x0080, 0x8080, 0x7f7f, 0x7f80};
  static const uint16_t low[] = {120, 50, 1, 62}, span[] = {8, 30, 250, 3};
  uint32_t r = draw(state);
  if (trial == TRIALS - 1) return (uint16_t)((r & 0x8000) | (r % 5 ? 64 - 13 : 64) << 7);
  if (r % 16 == 0 && trial % 2) return edge[draw(state) % (trial < 6 ? 6 : 8)];
  uint32_t e = low[trial % 4] + draw(state) % span[trial % 4];
  return (uint16_t)((r >> 8 & 0x807f) | e << 7);
}

static void product(int kind, bool native, const uint16_t *a, const uint16_t *b, float *c) {
  uint16_t panels[3 * PANEL] __attribute__((aligned(64)));
  const ml_kernels *kn = ml_k(ML_F32);
  int64_t mr = kn->gemm16_mr(kind, native), k = STEPS * 32;
  uint16_t *pb = panels + 2 * PANEL;
  kn->gemm16_pack_b(pb, k * 32, b, false, N, 1, k, N);
  kn->gemm16_pack_a(kind, native, panels, k * mr, a, k, 1, M, k);
  kn->gemm16_tile(kind, native, c, N, NULL, 0, panels, k * mr, 32, mr * 32, pb, k * 32, M, N, k,
                  true, NULL, NULL, 0);
}

static bool same(const float *x, const float *y) { /* a NaN is a NaN */
  for (int i = 0; i < M * N; i++)
    if (memcmp(x + i, y + i, 4) && (x[i] == x[i] || y[i] == y[i])) return false;
  return true;
}

static bool gives_the_bits(int kind) {
  uint16_t a[M * STEPS * 32], b[STEPS * 32 * N];
  float want[M * N], got[M * N];
  uint32_t state = 1;
  bool ok = true;
  ml_flush mode = ml_flush_on();
  for (int trial = 0; trial < TRIALS && ok; trial++) {
    for (int i = 0; i < M * STEPS * 32; i++) a[i] = element(&state, trial);
    for (int i = 0; i < STEPS * 32 * N; i++) b[i] = element(&state, trial);
    for (int i = 0; i < M * N; i++) want[i] = got[i] = (float)(draw(&state) % 3) * 0x1p-126f;
    product(kind, false, a, b, want);
    product(kind, true, a, b, got);
    ok = same(want, got);
  }
  ml_flush_off(mode);
  return ok;
}

static int look(int kind) {
  bool there = kind == ML_GEMM_PAIRS ? ml_cpu_pairs() : ml_cpu_tiles();
  if (!there || !gives_the_bits(kind)) return NO;
  return kind == ML_GEMM_TILES || ml_cpu_fast_pairs() ? FAST : SLOW;
}

/* threads that ask at once find the same */
static int instruction(int kind) {
  _Atomic int *f = &found[kind - ML_GEMM_PAIRS];
  if (ml_isa() != ML_ISA_AVX512) return NO;
  if (atomic_load(f) == UNKNOWN) atomic_store(f, look(kind));
  return atomic_load(f);
}

bool ml_gemm_native(int kind) { return instruction(kind) != NO; }

void ml_gemm_way(int to) { atomic_store(&way, to); }

bool ml_gemm_uses_native(int kind) {
  int w = atomic_load(&way);
  return w != ML_GEMM_EMULATE && instruction(kind) >= (w == ML_GEMM_NATIVE ? SLOW : FAST);
}
