/* peak.c -- the peak of the ISA in use: independent multiply-adds and nothing else. */
#include "kernels/peak.h"
#include "kernels/gemm.h"

#define TWELVE(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11)
#if defined(__x86_64__)
#define FMA512(n) "vfmadd231ps %%zmm15, %%zmm15, %%zmm" #n "\n\t"
#define FMA256(n) "vfmadd231ps %%ymm15, %%ymm15, %%ymm" #n "\n\t"
#define VDP512(n) "vdpbf16ps %%zmm15, %%zmm15, %%zmm" #n "\n\t"
#define TDP(c, a, b) "tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c "\n\t"
#define LOOP(F, count)                                                                       \
  __asm__ volatile("1:\n\t" TWELVE(F) TWELVE(F) TWELVE(F) TWELVE(F) "dec %0\n\tjnz 1b\n\t"   \
                   : "+r"(count) : : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5",   \
                   "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm15")
#elif defined(__aarch64__)
#define FMA128(n) "fmla v" #n ".4s, v15.4s, v15.4s\n\t"
#define LOOP(F, count)                                                                       \
  __asm__ volatile("1:\n\t" TWELVE(F) TWELVE(F) TWELVE(F) TWELVE(F) "subs %0, %0, #1\n\t"    \
                   "b.ne 1b\n\t"                                                             \
                   : "+r"(count) : : "cc", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7",   \
                   "v8", "v9", "v10", "v11", "v15")
#endif

/* each returns how many operations it did, 0 where there is no such loop */
static double fma_burst(void) {
  int64_t turns = 600000, lanes = 0;
#if defined(__x86_64__)
  if (ml_isa() == ML_ISA_AVX512) lanes = 16;
  if (ml_isa() == ML_ISA_AVX2) lanes = 8;
  double done = 2.0 * 48 * (double)(turns * lanes);
  if (lanes == 16) LOOP(FMA512, turns);
  if (lanes == 8) LOOP(FMA256, turns);
  __asm__ volatile("vzeroupper" ::: "memory");
#elif defined(__aarch64__)
  lanes = ml_isa() == ML_ISA_NEON ? 4 : 0;
  double done = 2.0 * 48 * (double)(turns * lanes);
  if (lanes) LOOP(FMA128, turns);
#else
  double done = (double)(turns * lanes);
#endif
  return done;
}

#if defined(__x86_64__)
static double pairs_burst(void) {
  int64_t turns = 300000;
  double done = 4.0 * 48 * 16 * (double)turns;
  LOOP(VDP512, turns);
  __asm__ volatile("vzeroupper" ::: "memory");
  return done;
}

static double tiles_burst(void) {
  struct { uint8_t palette, none[15]; uint16_t bytes[16]; uint8_t rows[16]; } set = {1};
  int64_t turns = 200000;
  double done = 4.0 * 2 * 16 * 16 * 32 * (double)turns;
  for (int i = 0; i < 8; i++) set.bytes[i] = 64, set.rows[i] = 16;
  __asm__ volatile("ldtilecfg %1\n1:\n\t" TDP(0, 4, 6) TDP(1, 4, 7) TDP(2, 5, 6) TDP(3, 5, 7)
                   "dec %0\n\tjnz 1b\n\ttilerelease" : "+r"(turns) : "m"(set) : "cc");
  return done;
}
#else
static double pairs_burst(void) { return 0; }
static double tiles_burst(void) { return 0; }
#endif

static double burst(int kind) {
  if (kind == ML_F32) return fma_burst();
  if (!ml_gemm_is_bf16(kind) || !ml_gemm_uses_native(kind)) return 0;
  return kind == ML_GEMM_TILES ? tiles_burst() : pairs_burst();
}

typedef struct { int kind; double done[ML_MAX_THREADS]; } bursts_of;

static void run_burst(void *ctx, int64_t task, int worker) {
  bursts_of *b = ctx;
  (void)worker;
  b->done[task] = burst(b->kind);
}

double ml_peak(int kind, int bursts) {
  double best = 0;
  int threads = ml_threads();
  for (int r = 0; r < bursts; r++) {
    bursts_of b = {.kind = kind};
    double sum = 0, t = ml_clock();
    ml_parallel(threads, run_burst, &b);
    t = ml_clock() - t;
    for (int i = 0; i < threads; i++) sum += b.done[i];
    if (sum > best * t) best = sum / t;
  }
  return best;
}
