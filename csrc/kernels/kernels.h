/* kernels.h -- loops over raw pointers, reached through one table per ISA (and one for f64).
** A kernel knows no tensor and cannot fail; the caller checked everything, and splits the work.
** kernels.def lists them; every source file is compiled once per ISA. */
#ifndef ML_KERNELS_H
#define ML_KERNELS_H

#include "base/base.h"

/* dtypes: ML_F32 and ML_F64 compute; f16 and bf16 are storage with casts; bool is a byte 0/1 */
enum { ML_F32, ML_F64, ML_I64, ML_I32, ML_U8, ML_BOOL, ML_BF16, ML_F16, ML_DTYPES };
int64_t ml_dtype_size(int dtype);
const char *ml_dtype_name(int dtype); /* "f32" ... */

/* det-1: constants that decide bits. Part of the format, never of a machine. */
enum {
  ML_DET_GEMM_K = 512,      /* f32 GEMM: block of k */
  ML_DET_GEMM16_K = 2048,   /* bf16 GEMM, both orders */
  ML_DET_KEYS = 252,        /* attention: keys a block, from the document's first key */
  ML_DET_KEYS16 = 256,      /* the same of bf16 kinds; in backward also queries a block */
  ML_DET_HEAD_VOCAB = 4096, /* head: vocabulary a block of its log-sum-exp */
  ML_DET_ROWS = 64,         /* column reductions: rows a chunk */
  ML_DET_FLAT = 4096        /* flat reductions (gradient norm): elements a block */
};

/* How one token is drawn from a row of logits (sample.c). */
typedef struct {
  double temperature; /* 0: the largest logit, ties to the lowest id */
  int64_t top_k;      /* 0: all */
  double top_p, min_p; /* 1 and 0: all; in this order, as Hugging Face's warpers */
} ml_sampling;

/* Divergences of two distributions, ours and theirs (divergence.c): KL(theirs || ours),
** KL(ours || theirs), and, with m = (1 - beta) ours + beta theirs, beta KL(theirs || m) +
** (1 - beta) KL(ours || m) */
enum { ML_KL_FORWARD, ML_KL_REVERSE, ML_KL_JS };

struct ml_attention; /* attention.h's */
struct ml_segment;

/* The table. `real *` of kernels.def appears as `void *`: the f32 tables and the f64 table have
** one type, so ops are written once. A pointer's dtype is the table's. */
#define real void
#define KERNEL(ret, name, args) ret (*name) args;
typedef struct ml_kernels {
#include "kernels/kernels.def"
} ml_kernels;
#undef KERNEL
#undef real

extern const ml_kernels *ml_k_of[2];  /* [ML_F32] the chosen ISA's, [ML_F64] */
static inline const ml_kernels *ml_k(int dtype) { return ml_k_of[dtype]; }
int ml_isa_set(int isa);  /* status; an ISA this machine lacks is ML_EARG naming those it has */
int ml_isa(void);

/* Scalar functions in double, made of IEEE + - * / sqrt only: the same bits on every machine,
** within 2 ulp. For schedules, RoPE tables, bias corrections; never libm. (detmath.c) */
double ml_exp(double x);
double ml_log(double x);
double ml_pow(double x, double y); /* x > 0 */
double ml_sin(double x);           /* |x| < 2^30 */
double ml_cos(double x);

/* Casts, any dtype to any, n elements at strides in elements; round to nearest even; float to
** integer truncates toward zero, NaN gives 0, out of range saturates. (cast.c, one for all) */
void ml_cast(void *y, int ydt, int64_t sy, const void *x, int xdt, int64_t sx, int64_t n);

/* ---- gemm.h's driver and attention.h's are separate headers: they own task splitting ---- */
#endif
