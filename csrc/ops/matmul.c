/* matmul.c -- products as torch.matmul: vectors, matrices, batches that broadcast. Strides go
** straight to the GEMM; a batch is one task list. */
#include "kernels/gemm.h"
#include "ops/internal.h"

/* c (batch.., m, n) contiguous = a (batch.., m, k) b (batch.., k, n); equal batch dimensions */
static int products(ml_tensor *c, const ml_tensor *a, const ml_tensor *b) {
  int nd = c->ndim, dtype = c->dtype, st;
  int64_t es = ml_dtype_size(dtype), m = c->size[nd - 2], n = c->size[nd - 1];
  int64_t each = m * n, count = each > 0 ? ml_numel(c) / each : 0;
  if (count == 0) return ML_OK;
  ml_gemm one, *g = count == 1 ? &one : ml_alloc(sizeof *g * (size_t)count);
  if (!g) return ML_ENOMEM;
  for (int64_t i = 0; i < count; i++) {
    int64_t at = i, ao = 0, bo = 0;
    for (int d = nd - 3; d >= 0; at /= c->size[d], d--)
      ao += at % c->size[d] * a->stride[d], bo += at % c->size[d] * b->stride[d];
    g[i] = (ml_gemm){.m = m, .n = n, .k = a->size[nd - 1],
                     .a = (char *)ml_data(a) + ao * es, .ars = a->stride[nd - 2],
                     .acs = a->stride[nd - 1], .b = (char *)ml_data(b) + bo * es,
                     .brs = b->stride[nd - 2], .bcs = b->stride[nd - 1],
                     .c = (char *)ml_data(c) + i * m * n * es, .ldc = n};
  }
  st = ml_gemm_run(dtype, g, count);
  if (g != &one) ml_free(g);
  return st;
}

static int product_new(ml_tensor **out, const ml_tensor *a, const ml_tensor *b) {
  int64_t size[ML_MAX_DIMS];
  ml_tensor *c = NULL;
  int st;
  memcpy(size, a->size, sizeof size);
  size[a->ndim - 1] = b->size[b->ndim - 1];
  TRY(ml_tensor_new(&c, a->dtype, a->ndim, size));
  TRY(products(c, a, b));
  *out = c, c = NULL;
done:
  ml_tensor_free(c);
  return st;
}

/* da = dc b^T, db = a^T dc */
static int backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  ml_tensor *a = NULL, *b = NULL, *t = NULL;
  int st = ML_OK, nd = dy->ndim, at = 0;
  if (ml_node_needs(n, 1)) TRY(ml_node_saved(n, at++, &a));
  if (ml_node_needs(n, 0)) TRY(ml_node_saved(n, at, &b));
  if (ml_node_needs(n, 0)) {
    TRY(ml_view_transpose(&t, b, nd - 2, nd - 1));
    TRY(product_new(&dx[0], dy, t));
    ml_tensor_free(t), t = NULL;
  }
  if (ml_node_needs(n, 1)) {
    TRY(ml_view_transpose(&t, a, nd - 2, nd - 1));
    TRY(product_new(&dx[1], t, dy));
  }
done:
  ml_tensor_free(t);
  return st;
}
static const ml_op matmul_op = {"matmul", backward, NULL};

/* equal batch dimensions, at least two dimensions each */
static int core(ml_tensor **out, ml_tensor *a, ml_tensor *b) {
  ml_tensor *y = NULL;
  ml_node *n = NULL;
  int st;
  TRY(product_new(&y, a, b));
  TRY(ml_record(&n, &matmul_op, y, 2, (ml_tensor *[]){a, b}));
  if (n && ml_node_needs(n, 1)) TRY(ml_keep(n, a));
  if (n && ml_node_needs(n, 0)) TRY(ml_keep(n, b));
  *out = y, y = NULL;
done:
  ml_tensor_free(y);
  return st;
}

/* (batch.., m, k) x (k, n): one product of batch*m rows */
static int tall(ml_tensor **out, ml_tensor *a, ml_tensor *b) {
  int64_t size[ML_MAX_DIMS], rows = 1;
  ml_tensor *flat = NULL, *y = NULL;
  int st;
  for (int d = 0; d < a->ndim - 1; d++) rows *= a->size[d];
  TRY(ml_reshaped(&flat, a, 2, (int64_t[]){rows, b->size[0]}));
  TRY(core(&y, flat, b));
  memcpy(size, a->size, sizeof size);
  size[a->ndim - 1] = b->size[1];
  TRY(ml_reshaped(out, y, a->ndim, size));
done:
  ml_tensor_free(flat), ml_tensor_free(y);
  return st;
}

/* both expanded to the common batch */
static int batched(ml_tensor **out, const char *name, ml_tensor *a, ml_tensor *b) {
  int nd = a->ndim > b->ndim ? a->ndim : b->ndim, st;
  int64_t sa[ML_MAX_DIMS], sb[ML_MAX_DIMS];
  ml_tensor *ea = NULL, *eb = NULL;
  for (int d = 0; d < nd - 2; d++) {
    int64_t p = d - (nd - a->ndim) < 0 ? 1 : a->size[d - (nd - a->ndim)];
    int64_t q = d - (nd - b->ndim) < 0 ? 1 : b->size[d - (nd - b->ndim)];
    if (p != q && p != 1 && q != 1)
      return ml_fail(ML_ESHAPE, "%s: batch sizes differ, %s x %s", name, ml_shape(a).s,
                     ml_shape(b).s);
    sa[d] = sb[d] = p == 1 ? q : p;
  }
  for (int d = 0; d < 2; d++) {
    sa[nd - 2 + d] = a->size[a->ndim - 2 + d];
    sb[nd - 2 + d] = b->size[b->ndim - 2 + d];
  }
  TRY(ml_expanded(&ea, a, nd, sa));
  TRY(ml_expanded(&eb, b, nd, sb));
  TRY(core(out, ea, eb));
done:
  ml_tensor_free(ea), ml_tensor_free(eb);
  return st;
}

static int matrices(ml_tensor **out, const char *name, ml_tensor *a, ml_tensor *b) {
  if (a->ndim == 2 && b->ndim == 2) return core(out, a, b);
  return b->ndim == 2 ? tall(out, a, b) : batched(out, name, a, b);
}

/* a vector is a row on the left, a column on the right; its dimension goes again at the end */
static int product(ml_tensor **out, const char *name, ml_tensor *a0, ml_tensor *b0) {
  ml_tensor *a = NULL, *b = NULL, *x = NULL, *z = NULL, *y = NULL, *w = NULL;
  int st;
  TRY(ml_need_real(name, a0));
  TRY(ml_need_real(name, b0));
  TRY(ml_promote(name, &a, &b, a0, b0, false));
  if (a->ndim == 0 || b->ndim == 0) {
    st = ml_fail(ML_ESHAPE, "%s: needs vectors or matrices, got %s x %s", name, ml_shape(a).s,
                 ml_shape(b).s);
    goto done;
  }
  if (a->size[a->ndim - 1] != b->size[b->ndim == 1 ? 0 : b->ndim - 2]) {
    st = ml_fail(ML_ESHAPE, "%s: inner sizes differ, %s x %s", name, ml_shape(a).s,
                 ml_shape(b).s);
    goto done;
  }
  TRY(a->ndim == 1 ? ml_unsqueezed(&x, a, 0) : (x = ml_tensor_ref(a), ML_OK));
  TRY(b->ndim == 1 ? ml_unsqueezed(&z, b, 1) : (z = ml_tensor_ref(b), ML_OK));
  TRY(matrices(&y, name, x, z));
  TRY(b->ndim == 1 ? ml_squeezed(&w, y, y->ndim - 1) : (w = ml_tensor_ref(y), ML_OK));
  TRY(a->ndim == 1 ? ml_squeezed(out, w, w->ndim - (b->ndim == 1 ? 1 : 2))
                   : (*out = ml_tensor_ref(w), ML_OK));
done:
  ml_tensor_free(a), ml_tensor_free(b), ml_tensor_free(x), ml_tensor_free(z);
  ml_tensor_free(y), ml_tensor_free(w);
  return st;
}

int ml_matmul(ml_tensor **out, ml_tensor *a, ml_tensor *b) { return product(out, "matmul", a, b); }

int ml_op_matmul(ml_tensor **out, const ml_arg *a) { return ml_matmul(out, a[0].t, a[1].t); }

int ml_op_bmm(ml_tensor **out, const ml_arg *a) {
  ml_tensor *x = a[0].t, *y = a[1].t;
  if (x->ndim != 3 || y->ndim != 3 || x->size[0] != y->size[0])
    return ml_fail(ML_ESHAPE, "bmm: needs (B, m, k) x (B, k, n), got %s x %s", ml_shape(x).s,
                   ml_shape(y).s);
  return product(out, "bmm", x, y);
}
