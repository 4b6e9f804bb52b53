/* tensor.c -- headers: life, questions, shapes in words. A header is a few dozen bytes on a
** storage; every size that comes in is checked here, once, and trusted afterwards. */
#include <stdio.h>
#include <string.h>

#include "tensor/tensor.h"

static int64_t live; /* headers in the process; states on other threads count too */

int64_t ml_tensor_live(void) { return __atomic_load_n(&live, __ATOMIC_RELAXED); }

/* ---- sizes ---- */
static int check_sizes(int dtype, int ndim, const int64_t *size, int64_t *bytes) {
  if (dtype < 0 || dtype >= ML_DTYPES) return ml_fail(ML_ETYPE, "tensor: no dtype %d", dtype);
  if (ndim < 0 || ndim > ML_MAX_DIMS)
    return ml_fail(ML_ESHAPE, "tensor: at most %d dimensions, got %d", ML_MAX_DIMS, ndim);
  int64_t n = 1, bound = 1;
  for (int d = 0; d < ndim; d++) {
    if (size[d] < 0)
      return ml_fail(ML_ERANGE, "tensor: sizes must not be negative, got %lld",
                     (long long)size[d]);
    /* strides of an empty tensor are products too: count zeros as one for the bound */
    if (!ml_mul_ok(bound, size[d] > 0 ? size[d] : 1, &bound))
      return ml_fail(ML_ERANGE, "tensor: %s has too many elements",
                     ml_shape_of(ndim, size).s);
    n *= size[d];
  }
  if (!ml_mul_ok(bound, ml_dtype_size(dtype), &bound) || bound > PTRDIFF_MAX / 2)
    return ml_fail(ML_ERANGE, "tensor: %s has too many elements", ml_shape_of(ndim, size).s);
  *bytes = n * ml_dtype_size(dtype);
  return ML_OK;
}

static int new_header(ml_tensor **out, ml_storage *s, int dtype, int ndim) {
  ml_tensor *t = ml_alloc(sizeof *t);
  if (t == NULL) return ML_ENOMEM;
  t->refs = 1;
  t->dtype = dtype;
  t->ndim = ndim;
  t->offset = 0;
  t->storage = s;
  t->requires_grad = t->grad_valid = false;
  t->node = NULL;
  t->grad = NULL;
  __atomic_fetch_add(&live, 1, __ATOMIC_RELAXED);
  ml_storage_made += (int64_t)sizeof *t; /* a million tiny ones are worth a collection too */
  *out = t;
  return ML_OK;
}

int ml_tensor_new(ml_tensor **out, int dtype, int ndim, const int64_t *size) {
  int64_t bytes;
  int st = check_sizes(dtype, ndim, size, &bytes);
  if (st != ML_OK) return st;
  ml_storage *s;
  st = ml_storage_new(&s, (size_t)bytes);
  if (st != ML_OK) return st;
  ml_tensor *t;
  st = new_header(&t, s, dtype, ndim);
  if (st != ML_OK) {
    ml_storage_unref(s);
    return st;
  }
  int64_t step = 1;
  for (int d = ndim - 1; d >= 0; d--) {
    t->size[d] = size[d];
    t->stride[d] = step;
    if (size[d] > 1) step *= size[d];
  }
  *out = t;
  return ML_OK;
}

int ml_tensor_zeros(ml_tensor **out, int dtype, int ndim, const int64_t *size) {
  ml_tensor *t;
  int st = ml_tensor_new(&t, dtype, ndim, size);
  if (st != ML_OK) return st;
  ml_storage_zero(t->storage);
  *out = t;
  return ML_OK;
}

int ml_tensor_like(ml_tensor **out, const ml_tensor *x) {
  return ml_tensor_new(out, x->dtype, x->ndim, x->size);
}

int ml_tensor_scalar(ml_tensor **out, int dtype, double v) {
  ml_tensor *t;
  int st = ml_tensor_new(&t, dtype, 0, NULL);
  if (st != ML_OK) return st;
  ml_cast(t->storage->data, dtype, 1, &v, ML_F64, 1, 1);
  *out = t;
  return ML_OK;
}

int ml_tensor_scalar_i64(ml_tensor **out, int dtype, int64_t v) {
  ml_tensor *t;
  int st = ml_tensor_new(&t, dtype, 0, NULL);
  if (st != ML_OK) return st;
  ml_cast(t->storage->data, dtype, 1, &v, ML_I64, 1, 1);
  *out = t;
  return ML_OK;
}

/* first and last element touched, in elements of the storage; false on overflow */
static bool reach(int ndim, const int64_t *size, const int64_t *stride, int64_t offset,
                  int64_t *lo, int64_t *hi) {
  int64_t below = 0, above = 0; /* how far from the offset, both sums checked */
  for (int d = 0; d < ndim; d++) {
    if (size[d] == 0) return *lo = 0, *hi = -1, true; /* touches nothing */
    int64_t span, *side = stride[d] < 0 ? &below : &above;
    if (stride[d] == INT64_MIN) return false; /* has no opposite */
    if (!ml_mul_ok(size[d] - 1, stride[d] < 0 ? -stride[d] : stride[d], &span)) return false;
    if (!ml_add_ok(*side, span, side)) return false;
  }
  *lo = offset - below; /* neither is negative */
  return ml_add_ok(offset, above, hi);
}

int ml_tensor_on(ml_tensor **out, ml_storage *s, int dtype, int ndim, const int64_t *size,
                 const int64_t *stride, int64_t offset) {
  int64_t bytes, lo, hi;
  int st = check_sizes(dtype, ndim, size, &bytes);
  if (st != ML_OK) return st;
  int64_t room = (int64_t)s->bytes / ml_dtype_size(dtype);
  if (offset < 0 || !reach(ndim, size, stride, offset, &lo, &hi) || lo < 0 || hi >= room)
    return ml_fail(ML_ERANGE, "tensor: a view %s does not fit its storage of %lld elements",
                   ml_shape_of(ndim, size).s, (long long)room);
  ml_tensor *t;
  st = new_header(&t, s, dtype, ndim);
  if (st != ML_OK) return st;
  ml_storage_ref(s);
  t->offset = offset;
  for (int d = 0; d < ndim; d++) t->size[d] = size[d], t->stride[d] = stride[d];
  *out = t;
  return ML_OK;
}

ml_tensor *ml_tensor_ref(ml_tensor *t) {
  t->refs++;
  return t;
}

void ml_tensor_free(ml_tensor *t) {
  if (t == NULL || --t->refs > 0) return;
  ml_storage_unref(t->storage);
  if (t->grad != NULL) ml_tensor_free(t->grad);
  struct ml_node *n = t->node;
  ml_free(t);
  __atomic_fetch_sub(&live, 1, __ATOMIC_RELAXED);
  if (n != NULL) ml_node_free(n); /* last: it may free long chains, iteratively */
}

/* ---- questions ---- */
int64_t ml_numel(const ml_tensor *t) {
  int64_t n = 1;
  for (int d = 0; d < t->ndim; d++) n *= t->size[d];
  return n;
}

int64_t ml_dim(const ml_tensor *t, int d) {
  if (d < 0) d += t->ndim;
  return d >= 0 && d < t->ndim ? t->size[d] : 1;
}

bool ml_is_contiguous(const ml_tensor *t) {
  int64_t step = 1;
  for (int d = t->ndim - 1; d >= 0; d--) {
    if (t->size[d] == 0) return true;
    if (t->size[d] == 1) continue; /* its stride is never used */
    if (t->stride[d] != step) return false;
    step *= t->size[d];
  }
  return true;
}

bool ml_is_float(int dtype) {
  return dtype == ML_F32 || dtype == ML_F64 || dtype == ML_BF16 || dtype == ML_F16;
}

bool ml_is_real(int dtype) { return dtype == ML_F32 || dtype == ML_F64; }

bool ml_same_shape(const ml_tensor *a, const ml_tensor *b) {
  if (a->ndim != b->ndim) return false;
  for (int d = 0; d < a->ndim; d++)
    if (a->size[d] != b->size[d]) return false;
  return true;
}

void *ml_data(const ml_tensor *t) {
  return (char *)t->storage->data + t->offset * ml_dtype_size(t->dtype);
}

ml_text ml_shape_of(int ndim, const int64_t *size) {
  ml_text text;
  size_t n = 1;
  text.s[0] = '(';
  for (int d = 0; d < ndim && n < sizeof text.s - 24; d++)
    n += (size_t)snprintf(text.s + n, sizeof text.s - n, d ? ", %lld" : "%lld",
                          (long long)size[d]);
  snprintf(text.s + n, sizeof text.s - n, ")");
  return text;
}

ml_text ml_shape(const ml_tensor *t) { return ml_shape_of(t->ndim, t->size); }

static const char *at(const ml_tensor *t, int64_t linear) {
  int64_t pos = 0;
  for (int d = t->ndim - 1; d >= 0; d--) {
    pos += linear % t->size[d] * t->stride[d];
    linear /= t->size[d];
  }
  return (const char *)ml_data(t) + pos * ml_dtype_size(t->dtype);
}

double ml_item(const ml_tensor *t, int64_t linear) {
  double v;
  ml_cast(&v, ML_F64, 1, at(t, linear), t->dtype, 1, 1);
  return v;
}

int64_t ml_item_i64(const ml_tensor *t, int64_t linear) {
  int64_t v;
  ml_cast(&v, ML_I64, 1, at(t, linear), t->dtype, 1, 1);
  return v;
}
