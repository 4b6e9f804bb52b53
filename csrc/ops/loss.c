/* loss.c -- cross_entropy of logits (N, V) and class ids (N), 0-based; rows whose id is `ignore`
** count for nothing. log-sum-exp is row_lse's, as in the fused head. */
#include "kernels/integer.h"
#include "ops/internal.h"

typedef struct { const ml_tensor *z; char *lse; const int64_t *ids; const void *g; } job;

static void lse_task(void *ctx, int64_t r0, int64_t r1) {
  const job *j = ctx;
  int64_t V = ml_row_length(j->z);
  ml_k(j->z->dtype)->row_lse(j->lse, ml_data(j->z), V, r0, r1, V);
}
static void grad_task(void *ctx, int64_t r0, int64_t r1) {
  const job *j = ctx;
  int64_t V = ml_row_length(j->z);
  ml_k(j->z->dtype)->ce_grad(ml_data(j->z), V, j->lse, j->ids, 0, j->g, r0, r1, V);
}

/* per row -log p(id); dz = (softmax - onehot) * dy */
static int backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  ml_tensor *z, *lse, *ids, *g = NULL;
  int st;
  TRY(ml_node_saved(n, 0, &z));
  TRY(ml_node_saved(n, 1, &lse));
  TRY(ml_node_saved(n, 2, &ids));
  TRY(ml_mul(&g, dy, n->saved[3])); /* an ignored row's is 0: ce_grad skips it */
  TRY(ml_clone(dx, z));
  job j = {*dx, ml_data(lse), ml_data(ids), ml_data(g)};
  ml_rows_parallel(z->size[0], ml_grain(z->size[1]), grad_task, &j);
done:
  ml_tensor_free(g);
  return st;
}
static const ml_op ce_op = {"cross_entropy", backward, NULL};

/* ids with `ignore` replaced by 0, and 1 or 0 for each row of z's dtype */
static int clean_ids(ml_tensor **out, ml_tensor **learned, ml_tensor *ids0, int64_t ignore,
                     const ml_tensor *z, int64_t *count) {
  ml_tensor *w = NULL, *ids = NULL, *m = NULL, *f = NULL;
  int st;
  TRY(ml_need_integer("cross_entropy", ids0));
  TRY(ml_to_dtype(&w, ids0, ML_I64));
  TRY(ml_clone(&ids, w));
  TRY(ml_tensor_new(&m, ML_I64, 1, z->size));
  int64_t bad;
  *count = ml_int_labels(ml_data(ids), ml_data(m), z->size[0], ignore, z->size[1], &bad);
  if (*count < 0) {
    st = ml_fail(ML_ERANGE, "cross_entropy: id %lld at row %lld is outside 0..%lld",
                 (long long)ml_item_i64(ids, bad), (long long)bad + 1,
                 (long long)z->size[1] - 1);
    goto done;
  }
  TRY(ml_to_dtype(&f, m, z->dtype));
  *out = ids, ids = NULL, *learned = f, f = NULL;
done:
  ml_tensor_free(w), ml_tensor_free(ids), ml_tensor_free(m), ml_tensor_free(f);
  return st;
}

/* (N) losses of contiguous z */
static int per_row(ml_tensor **out, ml_tensor *z, ml_tensor *ids, ml_tensor *learned) {
  ml_tensor *lse = NULL, *at = NULL, *picked = NULL, *flat = NULL, *raw = NULL, *y = NULL;
  ml_tensor *zero = NULL, *skip = NULL;
  ml_node *n = NULL;
  bool was = ml_grad_enabled;
  int st;
  ml_grad_enabled = false;
  TRY(ml_tensor_new(&lse, z->dtype, 1, z->size));
  ml_rows_parallel(z->size[0], ml_grain(z->size[1]), lse_task, &(job){z, ml_data(lse), NULL, NULL});
  TRY(ml_view_unsqueeze(&at, ids, 1));
  TRY(ml_gathered(&picked, z, at));
  TRY(ml_view_squeeze(&flat, picked, 1));
  TRY(ml_sub(&raw, lse, flat));
  TRY(ml_tensor_scalar(&zero, z->dtype, 0)); /* not times 0: logits may be infinite */
  TRY(ml_op_eq(&skip, (ml_arg[]){{.t = learned}, {.t = zero}}));
  TRY(ml_op_where(&y, (ml_arg[]){{.t = skip}, {.t = zero}, {.t = raw}}));
  ml_grad_enabled = was;
  TRY(ml_record(&n, &ce_op, y, 1, &z));
  if (n) {
    TRY(ml_keep(n, z));
    ml_node_save(n, lse), ml_node_save(n, ids), ml_node_save(n, learned);
  }
  *out = y, y = NULL;
done:
  ml_grad_enabled = was;
  ml_tensor_free(lse), ml_tensor_free(at), ml_tensor_free(picked), ml_tensor_free(flat);
  ml_tensor_free(raw), ml_tensor_free(zero), ml_tensor_free(skip), ml_tensor_free(y);
  return st;
}

/* z:cross_entropy(ids, { ignore = -100, reduction = "mean" | "sum" | "none" }) */
int ml_op_cross_entropy(ml_tensor **out, const ml_arg *a) {
  ml_tensor *z = NULL, *ids = NULL, *learned = NULL, *y = NULL, *s = NULL, *c = NULL;
  int64_t count = 0;
  int st;
  TRY(ml_need_real("cross_entropy", a[0].t));
  if (a[0].t->ndim != 2 || a[1].t->ndim != 1 || a[0].t->size[0] != a[1].t->size[0]) {
    st = ml_fail(ML_ESHAPE, "cross_entropy: needs logits (N, V) and ids (N), got %s and %s",
                 ml_shape(a[0].t).s, ml_shape(a[1].t).s);
    goto done;
  }
  TRY(ml_dense(&z, a[0].t));
  TRY(clean_ids(&ids, &learned, a[1].t, a[2].i, z, &count));
  TRY(per_row(&y, z, ids, learned));
  if (strcmp(a[3].s, "none") == 0) {
    *out = ml_tensor_ref(y);
  } else if (strcmp(a[3].s, "sum") == 0) {
    TRY(ml_reduced(out, y, ML_NO_DIM, false));
  } else if (strcmp(a[3].s, "mean") == 0) {
    TRY(ml_reduced(&s, y, ML_NO_DIM, false));
    TRY(ml_tensor_scalar(&c, z->dtype, (double)count));
    TRY(ml_div(out, s, c));
  } else {
    st = ml_fail(ML_EARG, "cross_entropy: reduction must be mean, sum or none, got \"%s\"", a[3].s);
  }
done:
  ml_tensor_free(z), ml_tensor_free(ids), ml_tensor_free(learned), ml_tensor_free(y);
  ml_tensor_free(s), ml_tensor_free(c);
  return st;
}
