/* dropout.c -- y = x / (1 - p) where u >= p, else 0; u from Philox by element, so that the
** backward pass draws the same mask again instead of keeping it. */
#include "ops/internal.h"

enum { STREAM = 1 };
typedef struct { const ml_kernels *k; void *y; const void *x; double p; const int64_t *key; } job;

static void task(void *ctx, int64_t i0, int64_t i1) {
  const job *j = ctx;
  j->k->dropout(j->y, j->x, i0, i1, j->p, (uint64_t)j->key[0], STREAM, 0, (uint32_t)j->key[1],
                (uint32_t)j->key[2]);
}

static int masked(ml_tensor **out, ml_tensor *x, double p, const int64_t *key) {
  int st = ml_tensor_like(out, x);
  if (st != ML_OK) return st;
  job j = {ml_k(x->dtype), ml_data(*out), ml_data(x), p, key};
  ml_rows_parallel(ml_numel(x), 16384, task, &j);
  return ML_OK;
}

static int backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  return masked(dx, dy, n->d[0], n->i);
}
static const ml_op dropout_op = {"dropout", backward, NULL};

/* dropout(p = 0.5, { seed, step, site }): the same three give the same mask */
int ml_op_dropout(ml_tensor **out, const ml_arg *a) {
  int64_t key[3] = {a[2].i, a[3].i, a[4].i};
  double p = a[1].n;
  ml_tensor *x = NULL, *y = NULL;
  ml_node *n = NULL;
  int st;
  TRY(ml_need_real("dropout", a[0].t));
  if (!(p >= 0 && p < 1)) {
    st = ml_fail(ML_ERANGE, "dropout: p must be in [0, 1), got %g", p);
    goto done;
  }
  TRY(ml_dense(&x, a[0].t));
  TRY(masked(&y, x, p, key));
  TRY(ml_record(&n, &dropout_op, y, 1, &x));
  if (n) memcpy(n->i, key, sizeof key), n->d[0] = p;
  *out = y, y = NULL;
done:
  ml_tensor_free(x), ml_tensor_free(y);
  return st;
}
