/* join.c -- cat and stack. */
#include "ops/internal.h"

static int backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  int64_t at = 0;
  const int64_t *len = n->ctx;
  for (int i = 0; i < n->nin; at += len[i++]) {
    if (!ml_node_needs(n, i)) continue;
    int st = ml_view_narrow(&dx[i], dy, (int)n->i[0], at, len[i], 1);
    if (st != ML_OK) return st;
  }
  return ML_OK;
}
static void release(ml_node *n) { ml_free(n->ctx); }
static const ml_op cat_op = {"cat", backward, release};

static int unlike(const char *who, const ml_tensor_list *l, int k) {
  return ml_fail(ML_ESHAPE, "%s: item %d is %s %s, the first is %s %s", who, k + 1,
                 ml_dtype_name(l->t[k]->dtype), ml_shape(l->t[k]).s,
                 ml_dtype_name(l->t[0]->dtype), ml_shape(l->t[0]).s);
}

static int check(const ml_tensor_list *l, int d, int64_t *total) {
  const ml_tensor *x = l->t[0];
  *total = 0;
  for (int k = 0; k < l->n; k++) {
    const ml_tensor *y = l->t[k];
    bool fine = y->ndim == x->ndim && y->dtype == x->dtype;
    for (int i = 0; fine && i < x->ndim; i++) fine = i == d || y->size[i] == x->size[i];
    if (!fine) return unlike("cat", l, k);
    *total += y->size[d];
  }
  return ML_OK;
}

static int keep_lengths(ml_node *n, const ml_tensor_list *l, int d) {
  int64_t *len = ml_alloc(sizeof *len * (size_t)l->n);
  if (!len) return ML_ENOMEM;
  for (int k = 0; k < l->n; k++) len[k] = l->t[k]->size[d];
  n->ctx = len, n->i[0] = d;
  return ML_OK;
}

static int cat(ml_tensor **out, const ml_tensor_list *l, int d) {
  int64_t size[ML_MAX_DIMS], total, at = 0;
  ml_tensor *y = NULL, *v = NULL;
  ml_node *n = NULL;
  int st;
  TRY(check(l, d, &total));
  memcpy(size, l->t[0]->size, sizeof size);
  size[d] = total;
  TRY(ml_tensor_new(&y, l->t[0]->dtype, l->t[0]->ndim, size));
  for (int k = 0; k < l->n; at += l->t[k++]->size[d]) {
    TRY(ml_view_narrow(&v, y, d, at, l->t[k]->size[d], 1));
    TRY(ml_copy_into(v, l->t[k]));
    ml_tensor_free(v), v = NULL;
  }
  TRY(ml_record(&n, &cat_op, y, l->n, l->t));
  if (n) TRY(keep_lengths(n, l, d));
  *out = y, y = NULL;
done:
  ml_tensor_free(y), ml_tensor_free(v);
  return st;
}

/* cat(list, dim = 1) */
int ml_op_cat(ml_tensor **out, const ml_arg *a) {
  if (a[0].l->n == 0 || a[0].l->t[0]->ndim == 0)
    return ml_fail(ML_EARG, "cat: needs at least one tensor of one dimension or more");
  return cat(out, a[0].l, (int)a[1].i);
}

/* stack(list, dim = 1): a new dimension */
int ml_op_stack(ml_tensor **out, const ml_arg *a) {
  const ml_tensor_list *l = a[0].l;
  int st = ML_OK, made = 0;
  if (l->n == 0) return ml_fail(ML_EARG, "stack: needs at least one tensor");
  for (int k = 1; k < l->n; k++)
    if (!ml_same_shape(l->t[k], l->t[0]) || l->t[k]->dtype != l->t[0]->dtype)
      return unlike("stack", l, k);
  ml_tensor **t = ml_alloc(sizeof *t * (size_t)l->n);
  if (!t) return ML_ENOMEM;
  for (; made < l->n && st == ML_OK; made++) {
    t[made] = NULL;
    st = ml_unsqueezed(&t[made], l->t[made], (int)a[1].i);
  }
  if (st == ML_OK) st = cat(out, &(ml_tensor_list){l->n, t}, (int)a[1].i);
  for (int k = 0; k < made; k++) ml_tensor_free(t[k]);
  ml_free(t);
  return st;
}
