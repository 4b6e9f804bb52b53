/* gemm.h -- C (m, n) = A (m, k) B (k, n): the parallel driver over kernels/gemm.c.
** C[i][j] is one FMA chain, k ascending from +0, inside each block of ML_DET_GEMM_K; block sums
** are added in order. Neither tiles, threads, ISA, m nor the packing change a bit. */
#ifndef ML_GEMM_H
#define ML_GEMM_H

#include "kernels/kernels.h"

/* What a product computes with. ML_F32, ML_F64: every operand is of that dtype. The other two take
** bf16 operands, add in f32 and flush subnormals, in one of two orders, each native on some
** machines and emulated with the same bits on all others:
**   PAIRS  c = fma(a[k], b[k], fma(a[k+1], b[k+1], c)), k ascending by 2: vdpbf16ps (Zen 4, Zen 5);
**   TILES  c = c + (e + o) for each 32 of k, e the FMA chain from +0 of the even k of those 32, o
**          of the odd ones: tdpbf16ps (AMX: Sapphire Rapids and later).
** One exception: a sum below the smallest normal number that rounds up to it is flushed on NEON.
** A k that 2 or 32 does not divide is filled up with zeros. The block of k is ML_DET_GEMM16_K. */
enum { ML_GEMM_PAIRS = ML_DTYPES, ML_GEMM_TILES };
static inline bool ml_gemm_is_bf16(int kind) { return kind >= ML_GEMM_PAIRS; }
/* is there an instruction for it here (and the ISA in use may use it)? */
bool ml_gemm_native(int kind);
/* Which of the two ways products take; the bits are the same. AUTO is the faster one: the
** instruction where it is native, but for PAIRS on Intel's processors, where two FMAs beat it.
** NATIVE without the instruction is EMULATE. Packed operands serve both ways. */
enum { ML_GEMM_AUTO, ML_GEMM_EMULATE, ML_GEMM_NATIVE };
void ml_gemm_way(int way);
bool ml_gemm_uses_native(int kind);

/* Strides in elements: A(i, p) = a[i*ars + p*acs], B(p, j) = b[p*brs + j*bcs], C(i, j) =
** c[i*ldc + j]. One stride of A and one of B are 1 in every fast case (NN, NT, TN); others work.
** result = (accumulate ? C : +0) + block sums, then + bias[j], then + residual(i, j).
** Without accumulate the first block's sum is stored as it is. k = 0 is one block whose sum is +0.
** residual may be c itself only when accumulate is false. Nothing else may overlap c. */
typedef struct {
  int64_t m, n, k;
  const void *a;
  int64_t ars, acs;
  const void *b;
  int64_t brs, bcs;
  const void *packed; /* instead of b: made by ml_gemm_pack with this kind, ISA, n and k */
  void *c;
  int64_t ldc;
  bool accumulate;
  bool narrow; /* bf16 kinds: C is bf16, rounded once, at the end; else f32. Not with accumulate */
  const void *bias; /* bf16 kinds: bias and residual are f32 */
  const void *residual;
  int64_t ldr;
} ml_gemm;

/* Runs `count` independent products as one task list. Fails only for want of memory. */
int ml_gemm_run(int kind, const ml_gemm *g, int64_t count);

/* Prepacked B: weights packed once, used many times (decode, micro-batches). */
size_t ml_gemm_packed_bytes(int kind, int64_t k, int64_t n);
/* b is of dtype bdt: the kind's own, or, for a bf16 kind, ML_F32, rounded on the way */
int ml_gemm_pack(int kind, void *packed, const void *b, int bdt, int64_t brs, int64_t bcs,
                 int64_t k, int64_t n);

/* f64 products go here once the OpenBLAS part is loaded (and f32 ones under ml.engine
** "openblas"); NULL = our own kernels. Called from one task, single-threaded, for up to 256 rows
** of one product: C = (accumulate ? C : 0) + A B and no more, bias and residual are NULL, the
** driver adds them around it. Strides are a BLAS's: one of A's (and B's) is 1, the other at least
** the length of the contiguous side; m, n, k > 0. Packed and oddly strided products do not come. */
typedef void ml_gemm_engine(int dtype, const ml_gemm *g);
extern ml_gemm_engine *ml_gemm_engine_f64, *ml_gemm_engine_f32;

#endif
