/* softmax.c -- softmax and log_softmax along a dimension. */
#include "ops/internal.h"

typedef void rows1(void *y, const void *x, int64_t r0, int64_t r1, int64_t C);
typedef void rows2(void *dx, const void *dy, const void *y, int64_t r0, int64_t r1, int64_t C);
typedef struct { rows1 *f; rows2 *g; void *y; const void *x, *s; int64_t C; } job;

static void task(void *ctx, int64_t r0, int64_t r1) {
  const job *j = ctx;
  if (j->f) j->f(j->y, j->x, r0, r1, j->C);
  else j->g(j->y, j->x, j->s, r0, r1, j->C);
}

static int backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  const ml_kernels *k = ml_k(dy->dtype);
  ml_tensor *y;
  int st = ml_node_saved(n, 0, &y);
  if (st == ML_OK) st = ml_tensor_like(dx, y);
  if (st != ML_OK) return st;
  job j = {NULL, n->i[0] ? k->log_softmax_grad : k->softmax_grad, ml_data(*dx), ml_data(dy),
           ml_data(y), ml_row_length(y)};
  ml_rows_parallel(ml_rows_of(y), ml_grain(j.C), task, &j);
  return ML_OK;
}
static const ml_op softmax_op[] = {{"softmax", backward, NULL}, {"log_softmax", backward, NULL}};

static int last(ml_tensor **out, ml_tensor *x, bool log) {
  ml_tensor *y = NULL;
  ml_node *n = NULL;
  int st;
  TRY(ml_tensor_like(&y, x));
  const ml_kernels *k = ml_k(x->dtype);
  job j = {log ? k->log_softmax : k->softmax, NULL, ml_data(y), ml_data(x), NULL,
           ml_row_length(x)};
  ml_rows_parallel(ml_rows_of(x), ml_grain(j.C), task, &j);
  TRY(ml_record(&n, &softmax_op[log], y, 1, &x));
  if (n) {
    n->i[0] = log;
    TRY(ml_keep(n, y));
  }
  *out = y, y = NULL;
done:
  ml_tensor_free(y);
  return st;
}

static int along(ml_tensor **out, const char *name, ml_tensor *x, int d, bool log) {
  ml_tensor *m = NULL, *y = NULL;
  int st;
  TRY(ml_need_real(name, x));
  TRY(ml_dim_to_end(&m, x, d));
  TRY(last(&y, m, log));
  TRY(ml_dim_from_end(out, y, d));
done:
  ml_tensor_free(m), ml_tensor_free(y);
  return st;
}

int ml_op_softmax(ml_tensor **out, const ml_arg *a) {
  return along(out, "softmax", a[0].t, (int)a[1].i, false);
}
int ml_op_log_softmax(ml_tensor **out, const ml_arg *a) {
  return along(out, "log_softmax", a[0].t, (int)a[1].i, true);
}
