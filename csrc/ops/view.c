/* view.c -- views that carry a gradient, copies, casts. A node keeps x's sizes, never x, and how
** to put dy back into them. */
#include "kernels/integer.h"
#include "ops/internal.h"

/* takes over y: records it as op of x, or frees it on failure */
static int recorded(ml_tensor **out, ml_node **n, const ml_op *op, ml_tensor *y, ml_tensor *x) {
  int st = ml_record(n, op, y, 1, &x);
  if (st != ML_OK) return ml_tensor_free(y), st;
  if (*n) ml_note_shape(*n, x);
  *out = y;
  return ML_OK;
}

/* ---- narrow, select: i[9] dimension, i[10] start, i[11] step (0: select) ---- */
static int paste_backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  ml_sizes x = ml_noted_shape(n);
  ml_tensor *z = NULL, *v = NULL;
  int st, d = (int)n->i[9];
  TRY(ml_tensor_zeros(&z, dy->dtype, x.ndim, x.size));
  TRY(n->i[11] > 0 ? ml_view_narrow(&v, z, d, n->i[10], dy->size[d], n->i[11])
                   : ml_view_select(&v, z, d, n->i[10]));
  TRY(ml_copy_into(v, dy));
  *dx = z, z = NULL;
done:
  ml_tensor_free(z), ml_tensor_free(v);
  return st;
}
static const ml_op narrow_op = {"narrow", paste_backward, NULL};
static const ml_op select_op = {"select", paste_backward, NULL};

static int narrow(ml_tensor **out, ml_tensor *x, int d, int64_t start, int64_t len, int64_t step) {
  ml_tensor *y = NULL;
  ml_node *n = NULL;
  int st = ml_view_narrow(&y, x, d, start, len, step);
  if (st == ML_OK) st = recorded(out, &n, &narrow_op, y, x);
  if (n) n->i[9] = d, n->i[10] = start, n->i[11] = step;
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
  if (st == ML_OK) st = recorded(out, &n, &select_op, y, a[0].t);
  if (n) n->i[9] = a[1].i, n->i[10] = a[2].i, n->i[11] = 0;
  return st;
}

/* ---- permutations: i[d] is where x's dimension went ---- */
static int permute_backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  int back[ML_MAX_DIMS];
  for (int d = 0; d < dy->ndim; d++) back[d] = (int)n->i[d];
  return ml_view_permute(dx, dy, back);
}
static const ml_op permute_op = {"permute", permute_backward, NULL};

static int permuted(ml_tensor **out, ml_tensor *x, const int *dims) {
  ml_tensor *y = NULL;
  ml_node *n = NULL;
  int st = ml_view_permute(&y, x, dims);
  if (st == ML_OK) st = recorded(out, &n, &permute_op, y, x);
  for (int d = 0; n && d < x->ndim; d++) n->i[dims[d]] = d;
  return st;
}

int ml_transposed(ml_tensor **out, ml_tensor *x, int d0, int d1) {
  int dims[ML_MAX_DIMS];
  for (int d = 0; d < x->ndim; d++) dims[d] = d == d0 ? d1 : d == d1 ? d0 : d;
  return permuted(out, x, dims);
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
  ml_tensor *x = a[0].t;
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
  return permuted(out, x, dims);
}

/* ---- other sizes for the same elements ---- */
static int reshape_backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  ml_sizes x = ml_noted_shape(n);
  return ml_view_reshape(dx, dy, x.ndim, x.size); /* dy is contiguous */
}
static const ml_op reshape_op = {"reshape", reshape_backward, NULL};

static int viewed(ml_tensor **out, ml_tensor *x, int ndim, const int64_t *size) {
  ml_tensor *y = NULL;
  ml_node *n = NULL;
  int st = ml_view_reshape(&y, x, ndim, size);
  return st == ML_OK ? recorded(out, &n, &reshape_op, y, x) : st;
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
  const ml_sizes *z = a[1].z;
  int st = ml_reshaped(out, a[0].t, z->ndim, z->size);
  if (st != ML_ESHAPE) return st;
  return ml_fail(st, "reshape: %s has %lld elements and cannot become %s", ml_shape(a[0].t).s,
                 (long long)ml_numel(a[0].t), ml_shape_of(z->ndim, z->size).s);
}

int ml_op_flatten(ml_tensor **out, const ml_arg *a) {
  int64_t n = ml_numel(a[0].t);
  return ml_reshaped(out, a[0].t, 1, &n);
}

int ml_unsqueezed(ml_tensor **out, ml_tensor *x, int d) {
  ml_tensor *y = NULL;
  ml_node *n = NULL;
  int st = ml_view_unsqueeze(&y, x, d);
  return st == ML_OK ? recorded(out, &n, &reshape_op, y, x) : st;
}

int ml_op_unsqueeze(ml_tensor **out, const ml_arg *a) {
  return ml_unsqueezed(out, a[0].t, (int)a[1].i);
}

int ml_squeezed(ml_tensor **out, ml_tensor *x, int d) {
  ml_tensor *y = NULL;
  ml_node *n = NULL;
  int st = ml_view_squeeze(&y, x, d);
  return st == ML_OK ? recorded(out, &n, &reshape_op, y, x) : st;
}

/* squeeze(dim): it must be 1 long; squeeze(): all that are */
int ml_op_squeeze(ml_tensor **out, const ml_arg *a) {
  ml_tensor *x = a[0].t;
  int64_t size[ML_MAX_DIMS];
  int nd = 0;
  if (a[1].i != ML_NO_DIM) return ml_squeezed(out, x, (int)a[1].i);
  for (int d = 0; d < x->ndim; d++)
    if (x->size[d] != 1) size[nd++] = x->size[d];
  return ml_reshaped(out, x, nd, size);
}

static int expand_backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  ml_sizes x = ml_noted_shape(n);
  return ml_sum_to(dx, dy, x.ndim, x.size);
}
static const ml_op expand_op = {"expand", expand_backward, NULL};

int ml_expanded(ml_tensor **out, ml_tensor *x, int ndim, const int64_t *size) {
  ml_tensor *y = NULL;
  ml_node *n = NULL;
  int st = ml_view_expand(&y, x, ndim, size);
  return st == ML_OK ? recorded(out, &n, &expand_op, y, x) : st;
}

int ml_op_expand(ml_tensor **out, const ml_arg *a) {
  return ml_expanded(out, a[0].t, a[1].z->ndim, a[1].z->size);
}

/* ---- copies ---- */
static int copy_backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  (void)n;
  *dx = ml_tensor_ref(dy);
  return ML_OK;
}
static const ml_op copy_op = {"clone", copy_backward, NULL};

int ml_op_clone(ml_tensor **out, const ml_arg *a) {
  ml_tensor *y = NULL;
  ml_node *n = NULL;
  int st = ml_clone(&y, a[0].t);
  return st == ML_OK ? recorded(out, &n, &copy_op, y, a[0].t) : st;
}

int ml_dense(ml_tensor **out, ml_tensor *x) {
  if (ml_is_contiguous(x)) return *out = ml_tensor_ref(x), ML_OK;
  return ml_op_clone(out, (ml_arg[]){{.t = x}});
}

int ml_op_contiguous(ml_tensor **out, const ml_arg *a) { return ml_dense(out, a[0].t); }

static int cast_backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  return ml_to_dtype(dx, dy, (int)n->i[9]);
}
static const ml_op cast_op = {"to", cast_backward, NULL};

/* to("f64"): differentiable between floats */
int ml_op_to(ml_tensor **out, const ml_arg *a) {
  ml_tensor *x = a[0].t, *y = NULL;
  ml_node *n = NULL;
  if (a[1].i < 0) return ml_fail(ML_EARG, "to: argument 1 must be a dtype name, got nothing");
  if (x->dtype == a[1].i) return *out = ml_tensor_ref(x), ML_OK;
  int st = ml_to_dtype(&y, x, (int)a[1].i);
  if (st != ML_OK) return st;
  if (!ml_is_float(y->dtype) || !ml_is_float(x->dtype)) return *out = y, ML_OK;
  st = recorded(out, &n, &cast_op, y, x);
  if (n) n->i[9] = x->dtype;
  return st;
}

/* ---- strided ---- */
/* windows may overlap: the gradient adds, ascending, through the positions each one reads */
static int strided_backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  ml_sizes x = ml_noted_shape(n);
  const ml_tensor *v = n->saved[0]; /* for its strides */
  ml_tensor *at = NULL, *window = NULL, *where = NULL, *z = NULL;
  int st;
  TRY(ml_tensor_zeros(&z, dy->dtype, x.ndim, x.size));
  int64_t count = ml_numel(z);
  TRY(ml_tensor_new(&at, ML_I64, 1, &count));
  ml_int_iota(ml_data(at), count);
  TRY(ml_tensor_on(&window, at->storage, ML_I64, v->ndim, v->size, v->stride, v->offset));
  TRY(ml_contiguous(&where, window));
  ml_k(dy->dtype)->scatter_add_row(ml_data(z), ml_data(dy), ml_data(where), 0, 1, ml_numel(dy),
                                   count);
  *dx = z, z = NULL;
done:
  ml_tensor_free(at), ml_tensor_free(window), ml_tensor_free(where), ml_tensor_free(z);
  return st;
}
static const ml_op strided_op = {"strided", strided_backward, NULL};

/* is the last element of window y one of x's? */
static bool inside(const ml_tensor *y, const ml_tensor *x) {
  int64_t last = y->offset;
  for (int d = 0; d < y->ndim; d++)
    if (y->stride[d] > 0) last += (y->size[d] - 1) * y->stride[d];
  return ml_numel(y) == 0 || last < ml_numel(x);
}

/* strided({sizes.., strides..}, offset = 0) of a contiguous x: any window onto its elements */
int ml_op_strided(ml_tensor **out, const ml_arg *a) {
  ml_tensor *x = a[0].t, *y = NULL;
  ml_node *n = NULL;
  const int64_t *size = a[1].z->size;
  int st, nd = a[1].z->ndim / 2;
  if (!ml_is_contiguous(x) || x->offset != 0 || a[1].z->ndim % 2 != 0)
    return ml_fail(ML_EARG, "strided: needs a contiguous tensor and as many strides as sizes");
  st = ml_tensor_on(&y, x->storage, x->dtype, nd, size, size + nd, a[2].i);
  if (st == ML_ENOMEM) return st;
  if (st != ML_OK || !inside(y, x)) {
    st = ml_fail(ML_ERANGE, "strided: sizes %s do not fit %s with these strides and this offset",
                 ml_shape_of(nd, size).s, ml_shape(x).s);
    goto done;
  }
  TRY(ml_record(&n, &strided_op, y, 1, &x));
  if (n) {
    ml_note_shape(n, x);
    TRY(ml_keep(n, y));
  }
  *out = y, y = NULL;
done:
  ml_tensor_free(y);
  return st;
}

/* ---- for ops along a dimension ---- */
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
