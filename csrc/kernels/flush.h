/* flush.h -- the floating-point mode of bf16 products: subnormals are read and written as zero, as
** the instructions do, so that plain FMAs give the same bits. Only around such kernels: all
** others run in the IEEE mode that ml_parallel sets. The kernels must be calls the compiler cannot
** look into (through the table), or it may move arithmetic out of the region. */
#ifndef ML_KERNELS_FLUSH_H
#define ML_KERNELS_FLUSH_H
#include <stdint.h>

#if defined(__x86_64__)
#include <immintrin.h>
typedef unsigned ml_flush;
static inline ml_flush ml_flush_on(void) { /* the mode before, for ml_flush_off */
  ml_flush was = _mm_getcsr();
  _mm_setcsr(was | 0x8040); /* FTZ and DAZ */
  return was;
}
static inline void ml_flush_off(ml_flush was) { _mm_setcsr(was); }
#elif defined(__aarch64__)
typedef uint64_t ml_flush;
static inline void ml_flush_off(ml_flush was) { __asm__ volatile("msr fpcr, %0" ::"r"(was)); }
static inline ml_flush ml_flush_on(void) {
  ml_flush was;
  __asm__ volatile("mrs %0, fpcr" : "=r"(was));
  ml_flush_off(was | 1u << 24); /* FZ */
  return was;
}
#else
typedef int ml_flush;
static inline ml_flush ml_flush_on(void) { return 0; }
static inline void ml_flush_off(ml_flush was) { (void)was; }
#endif

#endif
