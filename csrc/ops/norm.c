/* norm.c -- rms_norm and layer_norm over the last dimension, gain and bias optional. Gain and bias
** gradients are column reductions: chunks of ML_DET_ROWS rows added in order. */
#include "ops/internal.h"

typedef struct {
  const ml_kernels *k;
  bool layer;
  double eps;
  char *out;              /* y, dx, or partials */
  const char *x, *dy, *w, *b;
  int64_t R, C, es;
  int what;
} job;
enum { FORWARD, DX, DW, DB };

static void rows_task(void *ctx, int64_t r0, int64_t r1) {
  const job *j = ctx;
  const ml_kernels *k = j->k;
  if (j->what == DX)
    (j->layer ? k->layer_norm_grad : k->rms_norm_grad)(j->out, j->dy, j->x, j->C, j->w, r0, r1,
                                                       j->C, j->eps, false);
  else if (j->layer) k->layer_norm(j->out, j->x, j->C, j->w, j->b, r0, r1, j->C, j->eps);
  else k->rms_norm(j->out, j->x, j->C, j->w, r0, r1, j->C, j->eps);
}

static void partial_task(void *ctx, int64_t p0, int64_t p1) {
  const job *j = ctx;
  for (int64_t p = p0; p < p1; p++) {
    int64_t r0 = p * ML_DET_ROWS, r1 = r0 + ML_DET_ROWS < j->R ? r0 + ML_DET_ROWS : j->R;
    char *out = j->out + p * j->C * j->es;
    if (j->what == DB) j->k->col_sum(out, j->dy, j->C, r0, r1, j->C);
    else (j->layer ? j->k->layer_norm_dw : j->k->rms_norm_dw)(out, j->dy, j->x, j->C, r0, r1, j->C,
                                                             j->eps);
  }
}

static int column_grad(ml_tensor **out, const ml_tensor *like, job j, int what) {
  int64_t P = (j.R + ML_DET_ROWS - 1) / ML_DET_ROWS;
  ml_tensor *part = NULL, *d = NULL;
  int st;
  TRY(ml_tensor_new(&part, like->dtype, 2, (int64_t[]){P, j.C}));
  TRY(ml_tensor_zeros(&d, like->dtype, 1, &j.C));
  j.out = ml_data(part), j.what = what;
  ml_rows_parallel(P, ml_grain(j.C * ML_DET_ROWS), partial_task, &j);
  j.k->col_finish(ml_data(d), ml_data(part), P, j.C, false);
  *out = d, d = NULL;
done:
  ml_tensor_free(part), ml_tensor_free(d);
  return st;
}

static int backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  ml_tensor *x, *w = NULL;
  int st;
  TRY(ml_node_saved(n, 0, &x));
  if (n->nsaved > 1) TRY(ml_node_saved(n, 1, &w));
  job j = {.k = ml_k(x->dtype), .layer = n->i[0], .eps = n->d[0], .x = ml_data(x),
           .dy = ml_data(dy), .w = w ? ml_data(w) : NULL, .R = ml_rows_of(x),
           .C = ml_row_length(x), .es = ml_dtype_size(x->dtype), .what = DX};
  if (ml_node_needs(n, 0)) {
    TRY(ml_tensor_like(&dx[0], x));
    j.out = ml_data(dx[0]);
    ml_rows_parallel(j.R, ml_grain(j.C), rows_task, &j);
  }
  if (ml_node_needs(n, 1)) TRY(column_grad(&dx[1], x, j, DW));
  if (ml_node_needs(n, 2)) TRY(column_grad(&dx[2], x, j, DB));
done:
  return st;
}
static const ml_op norm_op[] = {{"rms_norm", backward, NULL}, {"layer_norm", backward, NULL}};

static int check_gain(const char *name, const ml_tensor *x, const ml_tensor *w, const char *what) {
  if (!w || (w->ndim == 1 && w->size[0] == ml_row_length(x) && w->dtype == x->dtype)) return ML_OK;
  return ml_fail(ML_ESHAPE, "%s: %s must be %s (%lld), got %s %s", name, what,
                 ml_dtype_name(x->dtype), (long long)ml_row_length(x), ml_dtype_name(w->dtype),
                 ml_shape(w).s);
}

static int norm(ml_tensor **out, const char *name, ml_tensor *x0, ml_tensor *w0, ml_tensor *b0,
                double eps, bool layer) {
  ml_tensor *x = NULL, *w = NULL, *b = NULL, *y = NULL;
  ml_node *n = NULL;
  int st;
  TRY(ml_need_real(name, x0));
  TRY(check_gain(name, x0, w0, "weight"));
  TRY(check_gain(name, x0, b0, "bias"));
  TRY(ml_dense(&x, x0));
  if (w0) TRY(ml_dense(&w, w0));
  if (b0) TRY(ml_dense(&b, b0));
  TRY(ml_tensor_like(&y, x));
  job j = {.k = ml_k(x->dtype), .layer = layer, .eps = eps, .out = ml_data(y), .x = ml_data(x),
           .w = w ? ml_data(w) : NULL, .b = b ? ml_data(b) : NULL, .C = ml_row_length(x)};
  ml_rows_parallel(ml_rows_of(x), ml_grain(j.C), rows_task, &j);
  TRY(ml_record(&n, &norm_op[layer], y, 3, (ml_tensor *[]){x, w, b}));
  if (n) {
    n->i[0] = layer, n->d[0] = eps;
    TRY(ml_keep(n, x));
    if (w) TRY(ml_keep(n, w));
  }
  *out = y, y = NULL;
done:
  ml_tensor_free(x), ml_tensor_free(w), ml_tensor_free(b), ml_tensor_free(y);
  return st;
}

/* rms_norm(weight, { eps = 1e-6 }): arXiv 1910.07467 */
int ml_op_rms_norm(ml_tensor **out, const ml_arg *a) {
  return norm(out, "rms_norm", a[0].t, a[1].t, NULL, a[2].n, false);
}
/* layer_norm(weight, bias, { eps = 1e-5 }): arXiv 1607.06450 */
int ml_op_layer_norm(ml_tensor **out, const ml_arg *a) {
  return norm(out, "layer_norm", a[0].t, a[1].t, a[2].t, a[3].n, true);
}
