/* internal.h -- what the op files share: checks, promotion, temporaries. */
#ifndef ML_OPS_INTERNAL_H
#define ML_OPS_INTERNAL_H

#include <stddef.h>
#include <string.h>

#include "ops/ops.h"

/* leave through the function's one exit, `done`, on any failure */
#define TRY(call)                       \
  do {                                  \
    if ((st = (call)) != ML_OK) goto done; \
  } while (0)

int ml_need_real(const char *op, const ml_tensor *x);    /* f32 or f64, else ML_ETYPE */
int ml_need_integer(const char *op, const ml_tensor *x); /* i64 i32 u8 bool */
int ml_need_number(const char *op, const ml_tensor *x);  /* one of these: not bf16, f16 */
bool ml_is_integer(int dtype);
/* both to the wider dtype of the two (new references); floats win over integers; `whole` lets
** integers stay, else they become f32 */
int ml_promote(const char *op, ml_tensor **pa, ml_tensor **pb, ml_tensor *a, ml_tensor *b,
               bool whole);
/* y = op's empty result of a and b */
int ml_empty_broadcast(ml_tensor **y, int dtype, const char *op, const ml_tensor *a,
                       const ml_tensor *b);

/* y = f(x), no gradient; x of any strides */
typedef void ml_map1(void *y, const void *x, int64_t sx, int64_t n);
typedef void ml_map2(void *y, const void *a, int64_t sa, const void *b, int64_t sb, int64_t n);
int ml_apply1(ml_tensor **y, ml_map1 *f, ml_tensor *x);
int ml_apply2(ml_tensor **y, ml_map2 *f, ml_tensor *a, ml_tensor *b); /* one dtype; broadcasts */
int ml_scaled(ml_tensor **y, ml_tensor *x, double a);                 /* a x */
ml_iter_fn ml_row2; /* ctx: ml_map2 ** */

/* recorded moves of a dimension to the end and back: the row ops work on the last one */
int ml_dim_to_end(ml_tensor **y, ml_tensor *x, int d);   /* contiguous */
int ml_dim_from_end(ml_tensor **y, ml_tensor *x, int d);
/* contiguous, recorded */
int ml_dense(ml_tensor **y, ml_tensor *x);
int ml_reshaped(ml_tensor **y, ml_tensor *x, int ndim, const int64_t *size);
int ml_transposed(ml_tensor **y, ml_tensor *x, int d0, int d1);
int ml_expanded(ml_tensor **y, ml_tensor *x, int ndim, const int64_t *size);
int ml_narrowed(ml_tensor **y, ml_tensor *x, int d, int64_t start, int64_t len);
int ml_unsqueezed(ml_tensor **y, ml_tensor *x, int d);
int ml_squeezed(ml_tensor **y, ml_tensor *x, int d);
int ml_reduced(ml_tensor **y, ml_tensor *x, int d, bool keepdim); /* sum; ML_NO_DIM: all */
/* last dimension: y[.., c] = x[.., idx[.., c]], idx i64 0-based, contiguous, checked by caller */
int ml_gathered(ml_tensor **y, ml_tensor *x, ml_tensor *idx);

/* ---- what a node keeps. A saved tensor is a second header: a node never holds its own result,
** and writing in place sees that its elements are needed. Where only a shape is needed, only the
** shape is kept. ---- */
int ml_keep(ml_node *n, ml_tensor *t);
void ml_note_shape(ml_node *n, const ml_tensor *x); /* i[0] to i[8] */
ml_sizes ml_noted_shape(const ml_node *n);
/* operand k of an op that broadcasts: i[2 + 2k], i[3 + 2k]; then dx[k] = v summed to its shape */
void ml_note_operand(ml_node *n, int k, const ml_tensor *x);
int ml_sum_to_operand(ml_tensor **dx, ml_tensor *v, const ml_node *n, int k);

static inline int64_t ml_rows_of(const ml_tensor *x) { /* of the last dimension */
  int64_t C = x->ndim ? x->size[x->ndim - 1] : 1;
  return C ? ml_numel(x) / C : 0;
}
static inline int64_t ml_row_length(const ml_tensor *x) {
  return x->ndim ? x->size[x->ndim - 1] : 1;
}
/* rows a task: about 16 thousand elements, whatever the threads */
static inline int64_t ml_grain(int64_t C) { return C >= 16384 ? 1 : 16384 / (C > 0 ? C : 1); }
static inline char *ml_row(const ml_tensor *x, int64_t r, int64_t C) {
  return (char *)ml_data(x) + r * C * ml_dtype_size(x->dtype);
}

#endif
