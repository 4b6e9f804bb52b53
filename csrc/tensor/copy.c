/* copy.c -- moving data: any dtype to any, any strides, broadcasting. */
#include <string.h>

#include "tensor/tensor.h"

typedef struct { int ydt, xdt; int64_t item; } pair;

static void copy_row(void *ctx, char *const *p, const int64_t *stride, int64_t n) {
  const pair *c = ctx;
  if (c->ydt != c->xdt) ml_cast(p[0], c->ydt, stride[0], p[1], c->xdt, stride[1], n);
  else if (stride[0] == 1 && stride[1] == 1) memcpy(p[0], p[1], (size_t)(n * c->item));
  else if (ml_is_real(c->ydt)) ml_k(c->ydt)->copy(p[0], stride[0], p[1], stride[1], n);
  else ml_cast(p[0], c->ydt, stride[0], p[1], c->xdt, stride[1], n);
}

static int copy_rows(ml_tensor *dst, const ml_tensor *src) {
  ml_tensor *ops[2] = {dst, (ml_tensor *)src};
  pair c = {dst->dtype, src->dtype, ml_dtype_size(dst->dtype)};
  return ml_iterate(2, ops, copy_row, &c);
}

/* the same elements in the same places: nothing to move */
static bool same_place(const ml_tensor *a, const ml_tensor *b) {
  return a->dtype == b->dtype && a->offset == b->offset && ml_same_shape(a, b) &&
         memcmp(a->stride, b->stride, (size_t)a->ndim * sizeof a->stride[0]) == 0;
}

int ml_copy_into(ml_tensor *dst, const ml_tensor *src) {
  ml_tensor *apart = NULL;
  int st = ML_OK;
  if (dst->storage == src->storage) { /* two views of one storage may overlap */
    if (same_place(dst, src)) return ML_OK;
    st = ml_clone(&apart, src);
  }
  if (st == ML_OK) st = copy_rows(dst, apart ? apart : src);
  if (st == ML_OK) ml_dirty(dst);
  ml_tensor_free(apart);
  return st;
}

static int fresh(ml_tensor **out, const ml_tensor *x, int dtype) {
  ml_tensor *y;
  int st = ml_tensor_new(&y, dtype, x->ndim, x->size);
  if (st != ML_OK) return st;
  st = copy_rows(y, x);
  if (st == ML_OK) *out = y;
  else ml_tensor_free(y);
  return st;
}

int ml_clone(ml_tensor **out, const ml_tensor *x) { return fresh(out, x, x->dtype); }

int ml_contiguous(ml_tensor **out, ml_tensor *x) {
  if (!ml_is_contiguous(x)) return fresh(out, x, x->dtype);
  *out = ml_tensor_ref(x);
  return ML_OK;
}

int ml_to_dtype(ml_tensor **out, ml_tensor *x, int dtype) {
  if (x->dtype == dtype) return ml_contiguous(out, x);
  return fresh(out, x, dtype);
}

int ml_broadcast(ml_sizes *out, const ml_tensor *a, const ml_tensor *b) {
  ml_sizes z = {.ndim = a->ndim > b->ndim ? a->ndim : b->ndim};
  for (int d = 1; d <= z.ndim; d++) { /* from the last dimension on */
    int64_t x = ml_dim(a, -d), y = ml_dim(b, -d);
    if (x != y && x != 1 && y != 1)
      return ml_fail(ML_ESHAPE, "sizes differ, %s and %s", ml_shape(a).s, ml_shape(b).s);
    z.size[z.ndim - d] = x == 1 ? y : x;
  }
  *out = z;
  return ML_OK;
}
