/* index.c -- masks and positions: which elements, and writing them. Positions are 1-based,
** negative ones count from the end, as users write them. */
#include <string.h>

#include "tensor/tensor.h"

static int64_t count_set(const uint8_t *m, int64_t n) {
  int64_t set = 0;
  for (int64_t i = 0; i < n; i++) set += m[i] != 0;
  return set;
}

/* 1-based positions of the non-zero elements of a mask, in logical order */
int ml_mask_positions(ml_tensor **out, ml_tensor *mask) {
  if (mask->dtype != ML_BOOL && mask->dtype != ML_U8)
    return ml_fail(ML_ETYPE, "mask: must be bool or u8, got %s", ml_dtype_name(mask->dtype));
  ml_tensor *flat, *pos = NULL;
  int st = ml_contiguous(&flat, mask);
  if (st != ML_OK) return st;
  const uint8_t *m = ml_data(flat);
  int64_t n = ml_numel(flat), set = count_set(m, n);
  st = ml_tensor_new(&pos, ML_I64, 1, &set);
  if (st == ML_OK) {
    int64_t *p = ml_data(pos);
    for (int64_t i = 0; i < n; i++)
      if (m[i] != 0) *p++ = i + 1;
    *out = pos;
  }
  ml_tensor_free(flat);
  return st;
}

/* positions as contiguous 0-based i64, checked against n */
static int zero_based(ml_tensor **out, ml_tensor *pos, int64_t n) {
  if (pos->dtype != ML_I64 && pos->dtype != ML_I32)
    return ml_fail(ML_ETYPE, "index: positions must be i64, got %s",
                   ml_dtype_name(pos->dtype));
  ml_tensor *own = NULL;
  int st = ml_tensor_new(&own, ML_I64, pos->ndim, pos->size);
  if (st == ML_OK) st = ml_copy_into(own, pos);
  int64_t *p = st == ML_OK ? ml_data(own) : NULL, m = ml_numel(pos);
  for (int64_t i = 0; st == ML_OK && i < m; i++) {
    if (p[i] == 0 || p[i] > n || p[i] < -n)
      st = ml_fail(ML_ERANGE, "index: position %lld is outside 1..%lld", (long long)p[i],
                   (long long)n);
    else p[i] = p[i] > 0 ? p[i] - 1 : p[i] + n;
  }
  if (st == ML_OK) *out = own;
  else ml_tensor_free(own);
  return st;
}

/* src spread out to pos' sizes followed by the sizes of a row of x, contiguous, of x's dtype */
static int spread(ml_tensor **out, ml_tensor *src, const ml_tensor *pos, const ml_tensor *x) {
  ml_sizes z = {.ndim = pos->ndim + x->ndim - 1};
  if (z.ndim > ML_MAX_DIMS)
    return ml_fail(ML_ESHAPE, "index: at most %d dimensions, got %d", ML_MAX_DIMS, z.ndim);
  for (int d = 0; d < z.ndim; d++)
    z.size[d] = d < pos->ndim ? pos->size[d] : x->size[d - pos->ndim + 1];
  ml_tensor *y;
  int st = ml_tensor_new(&y, x->dtype, z.ndim, z.size);
  if (st != ML_OK) return st;
  st = ml_copy_into(y, src);
  if (st == ML_ESHAPE)
    st = ml_fail(st, "index: %s does not broadcast to %s", ml_shape(src).s, ml_shape(y).s);
  if (st == ML_OK) *out = y;
  else ml_tensor_free(y);
  return st;
}

/* x[pos] = src along the first dimension; of two equal positions the later one stays */
int ml_index_write(ml_tensor *x, ml_tensor *pos, ml_tensor *src) {
  if (x->ndim == 0) return ml_fail(ML_ESHAPE, "index: a single number has no positions");
  ml_tensor *p = NULL, *from = NULL, *to = NULL;
  int st = zero_based(&p, pos, x->size[0]);
  if (st == ML_OK) st = spread(&from, src, pos, x);
  if (st == ML_OK) st = ml_contiguous(&to, x);
  if (st == ML_OK && ml_numel(from) > 0) {
    int64_t n = ml_numel(p);
    size_t row = (size_t)(ml_numel(from) / n * ml_dtype_size(x->dtype));
    const int64_t *at = ml_data(p);
    for (int64_t i = 0; i < n; i++)
      memcpy((char *)ml_data(to) + (size_t)at[i] * row, (char *)ml_data(from) + (size_t)i * row,
             row);
    if (to != x) st = ml_copy_into(x, to);
    else ml_dirty(x);
  }
  ml_tensor_free(p), ml_tensor_free(from), ml_tensor_free(to);
  return st;
}
