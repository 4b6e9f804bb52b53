/* view.c -- headers that share a storage: arithmetic on sizes and strides, nothing moves.
** Dimensions and positions are 0-based here; a negative dimension counts from the end. */
#include <string.h>

#include "tensor/tensor.h"

static int check_dim(const char *who, int dim, int ndim, int *out) {
  if (dim < -ndim || dim >= ndim)
    return ml_fail(ML_ERANGE, "%s: no dimension %d in a tensor of %d", who,
                   dim < 0 ? dim : dim + 1, ndim);
  *out = dim < 0 ? dim + ndim : dim;
  return ML_OK;
}

/* x's header again with other sizes: they stay inside what x itself reaches */
static int remake(ml_tensor **out, const ml_tensor *x, int ndim, const int64_t *size,
                  const int64_t *stride, int64_t offset) {
  return ml_tensor_on(out, x->storage, x->dtype, ndim, size, stride, offset);
}

int ml_view_alias(ml_tensor **out, const ml_tensor *x) {
  return remake(out, x, x->ndim, x->size, x->stride, x->offset);
}

int ml_view_narrow(ml_tensor **out, const ml_tensor *x, int dim, int64_t start, int64_t len,
                   int64_t step) {
  int st = check_dim("narrow", dim, x->ndim, &dim);
  if (st != ML_OK) return st;
  int64_t n = x->size[dim];
  if (step < 1)
    return ml_fail(ML_ERANGE, "narrow: step must be at least 1, got %lld", (long long)step);
  /* the last element, start + (len - 1) * step, must be inside: divide, do not multiply */
  if (start < 0 || len < 0 || start > n || (len > 0 && (start >= n ||
      (len - 1) > (n - 1 - start) / step)))
    return ml_fail(ML_ERANGE, "narrow: %lld elements from position %lld do not fit %s",
                   (long long)len, (long long)start + 1, ml_shape(x).s);
  int64_t size[ML_MAX_DIMS], stride[ML_MAX_DIMS];
  memcpy(size, x->size, sizeof size);
  memcpy(stride, x->stride, sizeof stride);
  size[dim] = len;
  if (len > 1) stride[dim] *= step; /* a step past the end needs no stride */
  int64_t offset = len > 0 ? x->offset + start * x->stride[dim] : x->offset;
  return remake(out, x, x->ndim, size, stride, offset);
}

int ml_view_select(ml_tensor **out, const ml_tensor *x, int dim, int64_t index) {
  int st = check_dim("select", dim, x->ndim, &dim);
  if (st != ML_OK) return st;
  if (index < 0 || index >= x->size[dim])
    return ml_fail(ML_ERANGE, "select: position %lld is outside dimension %d of %s",
                   (long long)index + 1, dim + 1, ml_shape(x).s);
  int64_t size[ML_MAX_DIMS], stride[ML_MAX_DIMS];
  int n = 0;
  for (int d = 0; d < x->ndim; d++)
    if (d != dim) size[n] = x->size[d], stride[n++] = x->stride[d];
  return remake(out, x, n, size, stride, x->offset + index * x->stride[dim]);
}

int ml_view_permute(ml_tensor **out, const ml_tensor *x, const int *dims) {
  int64_t size[ML_MAX_DIMS], stride[ML_MAX_DIMS];
  bool seen[ML_MAX_DIMS] = {false};
  for (int d = 0; d < x->ndim; d++) {
    int from = 0, st = check_dim("permute", dims[d], x->ndim, &from);
    if (st != ML_OK) return st;
    if (seen[from]) return ml_fail(ML_EARG, "permute: dimension %d comes twice", from + 1);
    seen[from] = true;
    size[d] = x->size[from], stride[d] = x->stride[from];
  }
  return remake(out, x, x->ndim, size, stride, x->offset);
}

int ml_view_transpose(ml_tensor **out, const ml_tensor *x, int d0, int d1) {
  int dims[ML_MAX_DIMS], st = check_dim("transpose", d0, x->ndim, &d0);
  if (st == ML_OK) st = check_dim("transpose", d1, x->ndim, &d1);
  if (st != ML_OK) return st;
  for (int d = 0; d < x->ndim; d++) dims[d] = d;
  dims[d0] = d1, dims[d1] = d0;
  return ml_view_permute(out, x, dims);
}

int ml_view_expand(ml_tensor **out, const ml_tensor *x, int ndim, const int64_t *size) {
  if (ndim < x->ndim || ndim > ML_MAX_DIMS)
    return ml_fail(ML_ESHAPE, "expand: %s cannot become %s", ml_shape(x).s,
                   ml_shape_of(ndim > ML_MAX_DIMS ? ML_MAX_DIMS : ndim, size).s);
  int64_t full[ML_MAX_DIMS], stride[ML_MAX_DIMS];
  int lead = ndim - x->ndim;
  for (int d = 0; d < ndim; d++) {
    bool old = d >= lead;
    int64_t have = old ? x->size[d - lead] : 1;
    full[d] = size[d] == -1 && old ? have : size[d]; /* -1 keeps a size */
    stride[d] = old && have == full[d] ? x->stride[d - lead] : 0;
    if (full[d] < 0 || (have != full[d] && have != 1))
      return ml_fail(ML_ESHAPE, "expand: %s cannot become %s", ml_shape(x).s,
                     ml_shape_of(ndim, size).s);
  }
  return remake(out, x, ndim, full, stride, x->offset);
}

int ml_view_unsqueeze(ml_tensor **out, const ml_tensor *x, int dim) {
  if (x->ndim == ML_MAX_DIMS)
    return ml_fail(ML_ESHAPE, "unsqueeze: %s has %d dimensions already", ml_shape(x).s,
                   ML_MAX_DIMS);
  int st = check_dim("unsqueeze", dim, x->ndim + 1, &dim);
  if (st != ML_OK) return st;
  int64_t size[ML_MAX_DIMS], stride[ML_MAX_DIMS];
  for (int d = 0; d <= x->ndim; d++) {
    int from = d < dim ? d : d - 1;
    size[d] = d == dim ? 1 : x->size[from];
    stride[d] = d == dim ? 1 : x->stride[from];
  }
  return remake(out, x, x->ndim + 1, size, stride, x->offset);
}

int ml_view_squeeze(ml_tensor **out, const ml_tensor *x, int dim) {
  int st = check_dim("squeeze", dim, x->ndim, &dim);
  if (st != ML_OK) return st;
  if (x->size[dim] != 1)
    return ml_fail(ML_ESHAPE, "squeeze: dimension %d of %s is not 1 long", dim + 1,
                   ml_shape(x).s);
  return ml_view_select(out, x, dim, 0);
}

/* one size may be -1: what is left of the elements */
static int fill_in(const ml_tensor *x, int ndim, const int64_t *size, int64_t *full) {
  int64_t known = 1, n = ml_numel(x);
  int hole = -1;
  for (int d = 0; d < ndim; d++) {
    full[d] = size[d];
    if (size[d] == -1 && hole < 0) hole = d;
    else if (!ml_mul_ok(known, size[d], &known)) known = -1, d = ndim;
  }
  if (known >= 0 && hole >= 0 && known > 0 && n % known == 0)
    full[hole] = n / known, known = n;
  else if (hole >= 0) known = -1;
  if (known != n)
    return ml_fail(ML_ESHAPE, "view: %s has %lld elements and cannot become %s",
                   ml_shape(x).s, (long long)n, ml_shape_of(ndim, size).s);
  return ML_OK;
}

/* Runs of old dimensions that are one dimension in memory are cut anew; a new dimension may
** not span two runs. False when it would have to. */
static bool cut_anew(const ml_tensor *x, int ndim, const int64_t *size, int64_t *stride) {
  int o = 0, v = 0, n = 0;
  int64_t osize[ML_MAX_DIMS], ostride[ML_MAX_DIMS];
  for (int d = 0; d < x->ndim; d++)
    if (x->size[d] != 1) osize[n] = x->size[d], ostride[n++] = x->stride[d];
  while (o < n) {
    int last = o, first = v;
    int64_t run = osize[o], want = 1;
    while (last + 1 < n && ostride[last] == ostride[last + 1] * osize[last + 1])
      run *= osize[++last];
    while (v < ndim && want < run) want *= size[v++];
    if (want != run) return false;
    while (v < ndim && size[v] == 1) v++; /* ones go anywhere */
    int64_t step = ostride[last];
    for (int d = v - 1; d >= first; d--) stride[d] = step, step *= size[d];
    o = last + 1;
  }
  for (; v < ndim; v++) stride[v] = 1;
  return true;
}

int ml_view_reshape(ml_tensor **out, const ml_tensor *x, int ndim, const int64_t *size) {
  int64_t full[ML_MAX_DIMS], stride[ML_MAX_DIMS];
  if (ndim < 0 || ndim > ML_MAX_DIMS)
    return ml_fail(ML_ESHAPE, "view: at most %d dimensions, got %d", ML_MAX_DIMS, ndim);
  int st = fill_in(x, ndim, size, full);
  if (st != ML_OK) return st;
  if (ml_is_contiguous(x)) { /* the usual case, and the only one with no elements */
    int64_t step = 1;
    for (int d = ndim - 1; d >= 0; d--) {
      stride[d] = step;
      if (full[d] > 1) step *= full[d];
    }
  } else if (!cut_anew(x, ndim, full, stride)) {
    return ml_fail(ML_ESHAPE, "view: strides of %s do not allow %s; call :contiguous() first",
                   ml_shape(x).s, ml_shape_of(ndim, full).s);
  }
  return remake(out, x, ndim, full, stride, x->offset);
}
