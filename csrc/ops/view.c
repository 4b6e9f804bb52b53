/* view.c -- views that carry a gradient: each records how to put dy back into x's shape. */
#include "ops/internal.h"

enum { NARROW, SELECT, TRANSPOSE, RESHAPE, EXPAND, PERMUTE, COPY, CAST, STRIDED };

/* zeros of x's shape with dy written through the same view */
static int pasted(ml_tensor **dx, ml_node *n, ml_tensor *dy) {
  const ml_tensor *x = n->saved[0];
  ml_tensor *z = NULL, *v = NULL;
  int st;
  TRY(ml_tensor_zeros(&z, dy->dtype, x->ndim, x->size));
  int dim = (int)n->i[1];
  TRY(n->i[0] == NARROW ? ml_view_narrow(&v, z, dim, n->i[2], n->i[3], n->i[4])
                        : ml_view_select(&v, z, dim, n->i[2]));
  TRY(ml_copy_into(v, dy));
  *dx = z, z = NULL;
done:
  ml_tensor_free(z), ml_tensor_free(v);
  return st;
}

static int unpermuted(ml_tensor **dx, ml_node *n, ml_tensor *dy) {
  int back[ML_MAX_DIMS];
  for (int d = 0; d < dy->ndim; d++) back[n->i[1 + d]] = d;
  return ml_view_permute(dx, dy, back);
}

static int backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  const ml_tensor *x = n->saved[0];
  switch (n->i[0]) {
  case NARROW: case SELECT: return pasted(dx, n, dy);
  case TRANSPOSE: return ml_view_transpose(dx, dy, (int)n->i[1], (int)n->i[2]);
  case RESHAPE: return ml_view_reshape(dx, dy, x->ndim, x->size); /* dy is contiguous */
  case EXPAND: return ml_sum_to(dx, dy, x->ndim, x->size);
  case PERMUTE: return unpermuted(dx, n, dy);
  case CAST: return ml_to_dtype(dx, dy, x->dtype);
  default: *dx = ml_tensor_ref(dy); return ML_OK;
  }
}
static const ml_op view_op = {"view", backward, NULL};

/* takes over y: records it as a view of x, or frees it on failure. node->saved keeps x's shape */
static int recorded(ml_tensor **out, ml_node **n, ml_tensor *y, ml_tensor *x, int kind) {
  int st = ml_record(n, &view_op, y, 1, &x);
  if (st != ML_OK) return ml_tensor_free(y), st;
  if (*n) (*n)->i[0] = kind, ml_node_save(*n, x);
  *out = y;
  return ML_OK;
}

static int narrow(ml_tensor **out, ml_tensor *x, int d, int64_t start, int64_t len, int64_t step) {
  ml_tensor *y = NULL;
  ml_node *n = NULL;
  int st = ml_view_narrow(&y, x, d, start, len, step);
  if (st == ML_OK) st = recorded(out, &n, y, x, NARROW);
  if (n) n->i[1] = d, n->i[2] = start, n->i[3] = len, n->i[4] = step;
  return st;
}

int ml_narrowed(ml_tensor **y, ml_tensor *x, int d, int64_t start, int64_t len) {
  return narrow(y, x, d, start, len, 1);
}

/* narrow(dim, start, length, step = 1) */
int ml_op_narrow(ml_tensor **out, const ml_arg *a) {
  return narrow(out, a[0].t, (int)a[1].i, a[2].i, a[3].i, a[4].i);
}

int ml_op_select(ml_tensor **out, const ml_arg *a) {
  ml_tensor *y = NULL;
  ml_node *n = NULL;
  int st = ml_view_select(&y, a[0].t, (int)a[1].i, a[2].i);
  if (st == ML_OK) st = recorded(out, &n, y, a[0].t, SELECT);
  if (n) n->i[1] = a[1].i, n->i[2] = a[2].i;
  return st;
}

int ml_transposed(ml_tensor **out, ml_tensor *x, int d0, int d1) {
  ml_tensor *y = NULL;
  ml_node *n = NULL;
  int st = ml_view_transpose(&y, x, d0, d1);
  if (st == ML_OK) st = recorded(out, &n, y, x, TRANSPOSE);
  if (n) n->i[1] = d0, n->i[2] = d1;
  return st;
}

int ml_op_transpose(ml_tensor **out, const ml_arg *a) {
  return ml_transposed(out, a[0].t, (int)a[1].i, (int)a[2].i);
}

int ml_op_t(ml_tensor **out, const ml_arg *a) {
  if (a[0].t->ndim != 2)
    return ml_fail(ML_ESHAPE, "t: needs two dimensions, got %s", ml_shape(a[0].t).s);
  return ml_transposed(out, a[0].t, 0, 1);
}

/* permute(2, 3, 1): dimension i of the result is dimension dims[i] of x (1-based) */
int ml_op_permute(ml_tensor **out, const ml_arg *a) {
  ml_tensor *x = a[0].t, *y = NULL;
  ml_node *n = NULL;
  int dims[ML_MAX_DIMS], seen = 0;
  if (a[1].z->ndim != x->ndim)
    return ml_fail(ML_ESHAPE, "permute: needs %d dimensions for %s, got %d", x->ndim,
                   ml_shape(x).s, a[1].z->ndim);
  for (int i = 0; i < x->ndim; i++) {
    int64_t d = a[1].z->size[i];
    d = d < 0 ? d + x->ndim : d - 1;
    if (d < 0 || d >= x->ndim || seen >> d & 1)
      return ml_fail(ML_EARG, "permute: each dimension of %s must appear once", ml_shape(x).s);
    seen |= 1 << d;
    dims[i] = (int)d;
  }
  int st = ml_view_permute(&y, x, dims);
  if (st == ML_OK) st = recorded(out, &n, y, x, PERMUTE);
  for (int i = 0; n && i < x->ndim; i++) n->i[1 + i] = dims[i];
  return st;
}

static int viewed(ml_tensor **out, ml_tensor *x, int ndim, const int64_t *size) {
  ml_tensor *y = NULL;
  ml_node *n = NULL;
  int st = ml_view_reshape(&y, x, ndim, size);
  return st == ML_OK ? recorded(out, &n, y, x, RESHAPE) : st;
}

int ml_op_view(ml_tensor **out, const ml_arg *a) {
  return viewed(out, a[0].t, a[1].z->ndim, a[1].z->size);
}

/* a view where strides allow it, a copy where not */
int ml_reshaped(ml_tensor **out, ml_tensor *x, int ndim, const int64_t *size) {
  ml_tensor *dense = NULL;
  int st = viewed(out, x, ndim, size);
  if (st != ML_ESHAPE || ml_is_contiguous(x)) return st;
  TRY(ml_dense(&dense, x));
  TRY(viewed(out, dense, ndim, size));
done:
  ml_tensor_free(dense);
  return st;
}

int ml_op_reshape(ml_tensor **out, const ml_arg *a) {
  return ml_reshaped(out, a[0].t, a[1].z->ndim, a[1].z->size);
}

int ml_op_flatten(ml_tensor **out, const ml_arg *a) {
  int64_t n = ml_numel(a[0].t);
  return ml_reshaped(out, a[0].t, 1, &n);
}

int ml_expanded(ml_tensor **out, ml_tensor *x, int ndim, const int64_t *size) {
  ml_tensor *y = NULL;
  ml_node *n = NULL;
  int st = ml_view_expand(&y, x, ndim, size);
  return st == ML_OK ? recorded(out, &n, y, x, EXPAND) : st;
}

int ml_op_expand(ml_tensor **out, const ml_arg *a) {
  return ml_expanded(out, a[0].t, a[1].z->ndim, a[1].z->size);
}

int ml_unsqueezed(ml_tensor **out, ml_tensor *x, int d) {
  ml_tensor *y = NULL;
  ml_node *n = NULL;
  int st = ml_view_unsqueeze(&y, x, d);
  return st == ML_OK ? recorded(out, &n, y, x, RESHAPE) : st;
}

int ml_squeezed(ml_tensor **out, ml_tensor *x, int d) {
  ml_tensor *y = NULL;
  ml_node *n = NULL;
  int st = ml_view_squeeze(&y, x, d);
  return st == ML_OK ? recorded(out, &n, y, x, RESHAPE) : st;
}

int ml_op_unsqueeze(ml_tensor **out, const ml_arg *a) {
  return ml_unsqueezed(out, a[0].t, (int)a[1].i);
}

/* squeeze(dim); without dim, every dimension of size 1 */
int ml_op_squeeze(ml_tensor **out, const ml_arg *a) {
  ml_tensor *x = a[0].t;
  if (a[1].i != ML_NO_DIM) return ml_squeezed(out, x, (int)a[1].i);
  int64_t size[ML_MAX_DIMS];
  int nd = 0;
  for (int d = 0; d < x->ndim; d++)
    if (x->size[d] != 1) size[nd++] = x->size[d];
  return ml_reshaped(out, x, nd, size);
}

int ml_dense(ml_tensor **out, ml_tensor *x) {
  ml_tensor *y = NULL;
  ml_node *n = NULL;
  if (ml_is_contiguous(x)) return *out = ml_tensor_ref(x), ML_OK;
  int st = ml_clone(&y, x);
  return st == ML_OK ? recorded(out, &n, y, x, COPY) : st;
}

int ml_op_contiguous(ml_tensor **out, const ml_arg *a) { return ml_dense(out, a[0].t); }

int ml_op_clone(ml_tensor **out, const ml_arg *a) {
  ml_tensor *y = NULL;
  ml_node *n = NULL;
  int st = ml_clone(&y, a[0].t);
  return st == ML_OK ? recorded(out, &n, y, a[0].t, COPY) : st;
}

/* to("f64"): differentiable between floats */
int ml_op_to(ml_tensor **out, const ml_arg *a) {
  ml_tensor *x = a[0].t, *y = NULL;
  ml_node *n = NULL;
  if (x->dtype == a[1].i) return *out = ml_tensor_ref(x), ML_OK;
  int st = ml_to_dtype(&y, x, (int)a[1].i);
  if (st != ML_OK || !ml_is_float(y->dtype) || !ml_is_float(x->dtype))
    return st == ML_OK ? (*out = y, ML_OK) : st;
  return recorded(out, &n, y, x, CAST);
}

/* windows may overlap: the gradient adds, ascending, through the positions each one reads */
static int strided_backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  const ml_tensor *x = n->saved[0], *v = n->saved[1];
  ml_tensor *at = NULL, *where = NULL, *z = NULL, *flat = NULL;
  int64_t count = ml_numel(x), many = ml_numel(dy);
  int st;
  TRY(ml_tensor_new(&at, ML_I64, 1, &count));
  for (int64_t i = 0; i < count; i++) ((int64_t *)ml_data(at))[i] = i;
  TRY(ml_tensor_on(&flat, at->storage, ML_I64, v->ndim, v->size, v->stride, v->offset));
  TRY(ml_contiguous(&where, flat));
  TRY(ml_tensor_zeros(&z, dy->dtype, x->ndim, x->size));
  ml_k(dy->dtype)->scatter_add_row(ml_data(z), ml_data(dy), ml_data(where), 0, 1, many, count);
  *dx = z, z = NULL;
done:
  ml_tensor_free(at), ml_tensor_free(where), ml_tensor_free(z), ml_tensor_free(flat);
  return st;
}
static const ml_op strided_op = {"strided", strided_backward, NULL};

/* strided(sizes, strides, offset = 0) of a contiguous x: any window onto its storage, in
** elements. Needs care only where windows overlap: the gradient adds there. */
int ml_op_strided(ml_tensor **out, const ml_arg *a) {
  ml_tensor *x = a[0].t, *y = NULL;
  ml_node *n = NULL;
  int64_t size[ML_MAX_DIMS], stride[ML_MAX_DIMS];
  int st, nd = a[1].z->ndim / 2;
  if (!ml_is_contiguous(x) || x->offset != 0 || a[1].z->ndim % 2)
    return ml_fail(ML_EARG, "strided: needs a contiguous tensor and as many strides as sizes");
  for (int d = 0; d < nd; d++) size[d] = a[1].z->size[d], stride[d] = a[1].z->size[nd + d];
  TRY(ml_tensor_on(&y, x->storage, x->dtype, nd, size, stride, a[2].i));
  TRY(ml_record(&n, &strided_op, y, 1, &x));
  if (n) {
    ml_tensor *alias = NULL;
    TRY(ml_view_alias(&alias, y));
    ml_node_save(n, x), ml_node_save(n, alias);
    ml_tensor_free(alias);
  }
  *out = y, y = NULL;
done:
  ml_tensor_free(y);
  return st;
}

int ml_dim_to_end(ml_tensor **y, ml_tensor *x, int d) {
  ml_tensor *t = NULL;
  int st;
  if (d == x->ndim - 1 || x->ndim == 0) return ml_dense(y, x);
  TRY(ml_transposed(&t, x, d, x->ndim - 1));
  TRY(ml_dense(y, t));
done:
  ml_tensor_free(t);
  return st;
}

int ml_dim_from_end(ml_tensor **y, ml_tensor *x, int d) {
  if (d == x->ndim - 1 || x->ndim == 0) return *y = ml_tensor_ref(x), ML_OK;
  return ml_transposed(y, x, d, x->ndim - 1);
}
