/* reduce.c -- sum mean var norm cumsum, extremes and their positions.
** The order of additions depends on the logical shape alone: a reduction that includes the last
** dimension is a row reduction (16 lanes) over the reduced dimensions moved to the end; any other
** is a column reduction, chunks of ML_DET_ROWS rows added in order; the sum of everything beyond
** ML_DET_FLAT elements is blocks of that many, then a row reduction of the block sums. */
#include "kernels/integer.h"
#include "ops/internal.h"

typedef struct {
  const ml_kernels *k;
  char *y;
  const char *x;
  int64_t C, es, R, n;
} job;

static void rows_task(void *ctx, int64_t r0, int64_t r1) {
  const job *j = ctx;
  j->k->row_sum(j->y, j->x, j->C, r0, r1, j->C);
}
static void chunks_task(void *ctx, int64_t p0, int64_t p1) {
  const job *j = ctx;
  for (int64_t p = p0; p < p1; p++) {
    int64_t r1 = (p + 1) * ML_DET_ROWS;
    j->k->col_sum(j->y + p * j->C * j->es, j->x, j->C, p * ML_DET_ROWS, r1 < j->R ? r1 : j->R,
                  j->C);
  }
}
static void flat_task(void *ctx, int64_t b0, int64_t b1) {
  const job *j = ctx;
  j->k->flat_sum(j->y, j->x, j->n, b0, b1);
}

/* y (R) = sums of the rows of x (R, C), both contiguous */
static void sum_rows(ml_tensor *y, const ml_tensor *x, int64_t R, int64_t C) {
  job j = {.k = ml_k(x->dtype), .y = ml_data(y), .x = ml_data(x), .C = C};
  ml_rows_parallel(R, ml_grain(C), rows_task, &j);
}

/* y (C) = sums of the columns of x (R, C) */
static int sum_columns(ml_tensor *y, const ml_tensor *x, int64_t R, int64_t C) {
  int64_t P = (R + ML_DET_ROWS - 1) / ML_DET_ROWS;
  ml_tensor *part = NULL;
  int st;
  TRY(ml_tensor_new(&part, x->dtype, 2, (int64_t[]){P, C}));
  job j = {ml_k(x->dtype), ml_data(part), ml_data(x), C, ml_dtype_size(x->dtype), R, 0};
  ml_rows_parallel(P, ml_grain(C * ML_DET_ROWS), chunks_task, &j);
  j.k->col_finish(ml_data(y), ml_data(part), P, C, false);
done:
  ml_tensor_free(part);
  return st;
}

static int sum_flat(ml_tensor *y, const ml_tensor *x) {
  int64_t n = ml_numel(x), B = (n + ML_DET_FLAT - 1) / ML_DET_FLAT;
  ml_tensor *part = NULL;
  int st;
  TRY(ml_tensor_new(&part, x->dtype, 1, &B));
  job j = {.k = ml_k(x->dtype), .y = ml_data(part), .x = ml_data(x), .n = n};
  ml_rows_parallel(B, 4, flat_task, &j);
  j.k->row_sum(ml_data(y), ml_data(part), B, 0, 1, B);
done:
  ml_tensor_free(part);
  return st;
}

/* x as (kept.., reduced..) or (reduced.., kept..), contiguous, unrecorded */
static int arranged(ml_tensor **out, ml_tensor *x, const bool *gone, bool reduced_last) {
  int dims[ML_MAX_DIMS], n = 0;
  ml_tensor *v = NULL;
  int st;
  for (int pass = 0; pass < 2; pass++)
    for (int d = 0; d < x->ndim; d++)
      if (gone[d] == (reduced_last ? pass == 1 : pass == 0)) dims[n++] = d;
  TRY(ml_view_permute(&v, x, dims));
  TRY(ml_contiguous(out, v));
done:
  ml_tensor_free(v);
  return st;
}

static int integer_sum(ml_tensor **out, ml_tensor *x, const bool *gone, int nd,
                       const int64_t *size, int64_t R, int64_t C) {
  ml_tensor *w = NULL, *v = NULL;
  int st;
  TRY(ml_to_dtype(&w, x, ML_I64));
  TRY(arranged(&v, w, gone, true));
  TRY(ml_tensor_new(out, ML_I64, nd, size));
  ml_int_row_sum(ml_data(*out), ml_data(v), 0, R, C);
done:
  ml_tensor_free(w), ml_tensor_free(v);
  return st;
}

/* sum over the dimensions marked in gone; kept ones remain in order */
static int sum_over(ml_tensor **out, ml_tensor *x, const bool *gone) {
  int64_t size[ML_MAX_DIMS], kept = 1, reduced = 1;
  int nd = 0, st;
  ml_tensor *v = NULL, *y = NULL;
  for (int d = 0; d < x->ndim; d++) {
    if (gone[d]) reduced *= x->size[d];
    else kept *= x->size[d], size[nd++] = x->size[d];
  }
  if (ml_is_integer(x->dtype)) return integer_sum(out, x, gone, nd, size, kept, reduced);
  TRY(ml_need_real("sum", x));
  bool rows = x->ndim == 0 || gone[x->ndim - 1];
  TRY(arranged(&v, x, gone, rows));
  TRY(ml_tensor_zeros(&y, x->dtype, nd, size));
  if (reduced == 0 || kept == 0) st = ML_OK; /* the sum of nothing is 0 */
  else if (rows && kept == 1 && reduced > ML_DET_FLAT) TRY(sum_flat(y, v));
  else if (rows) sum_rows(y, v, kept, reduced);
  else TRY(sum_columns(y, v, reduced, kept));
  *out = y, y = NULL;
done:
  ml_tensor_free(v), ml_tensor_free(y);
  return st;
}

int ml_sum_to(ml_tensor **out, ml_tensor *x, int ndim, const int64_t *size) {
  bool gone[ML_MAX_DIMS] = {false};
  int lead = x->ndim - ndim, st;
  bool any = false;
  for (int d = 0; d < x->ndim; d++) {
    gone[d] = d < lead || (size[d - lead] == 1 && x->size[d] != 1);
    any = any || gone[d];
  }
  if (!any) return *out = ml_tensor_ref(x), ML_OK;
  ml_tensor *y = NULL;
  TRY(sum_over(&y, x, gone));
  TRY(ml_view_reshape(out, y, ndim, size));
done:
  ml_tensor_free(y);
  return st;
}

/* dy, with the reduced dimension back as 1, spread over x's shape */
static int spread(ml_tensor **dx, ml_node *n, ml_tensor *dy) {
  ml_sizes x = ml_noted_shape(n), one = x;
  ml_tensor *v = NULL;
  int st;
  for (int d = 0; d < x.ndim; d++)
    if (n->i[9] == ML_NO_DIM || d == n->i[9]) one.size[d] = 1;
  TRY(ml_view_reshape(&v, dy, x.ndim, one.size));
  TRY(ml_view_expand(dx, v, x.ndim, x.size));
done:
  ml_tensor_free(v);
  return st;
}
static int sum_backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) { return spread(dx, n, dy); }
static const ml_op sum_op = {"sum", sum_backward, NULL};

int ml_reduced(ml_tensor **out, ml_tensor *x, int d, bool keepdim) {
  bool gone[ML_MAX_DIMS];
  int64_t size[ML_MAX_DIMS];
  ml_tensor *y = NULL, *v = NULL;
  ml_node *n = NULL;
  int st;
  for (int i = 0; i < x->ndim; i++) {
    gone[i] = d == ML_NO_DIM || i == d;
    size[i] = gone[i] ? 1 : x->size[i];
  }
  TRY(sum_over(&y, x, gone));
  if (keepdim) {
    TRY(ml_view_reshape(&v, y, x->ndim, size));
    ml_tensor_free(y), y = v, v = NULL;
  }
  TRY(ml_record(&n, &sum_op, y, 1, &x));
  if (n) n->i[9] = d, ml_note_shape(n, x);
  *out = y, y = NULL;
done:
  ml_tensor_free(y), ml_tensor_free(v);
  return st;
}

/* sum(dim, { keepdim }) */
int ml_op_sum(ml_tensor **out, const ml_arg *a) {
  return ml_reduced(out, a[0].t, (int)a[1].i, a[2].b);
}

static int over(ml_tensor **out, ml_tensor *x, double count) {
  ml_tensor *s = NULL;
  int st;
  TRY(ml_tensor_scalar(&s, x->dtype, count));
  TRY(ml_div(out, x, s));
done:
  ml_tensor_free(s);
  return st;
}

static double count_of(const ml_tensor *x, int64_t d) {
  return (double)(d == ML_NO_DIM ? ml_numel(x) : x->size[d]);
}

/* x, integers as f32: a mean of truth values is a rate */
static int averageable(ml_tensor **out, const char *name, ml_tensor *x) {
  if (!ml_is_integer(x->dtype)) *out = ml_tensor_ref(x);
  return ml_is_integer(x->dtype) ? ml_to_dtype(out, x, ML_F32) : ml_need_real(name, x);
}

int ml_op_mean(ml_tensor **out, const ml_arg *a) {
  ml_tensor *x = NULL, *s = NULL;
  int st;
  TRY(averageable(&x, "mean", a[0].t));
  TRY(ml_reduced(&s, x, (int)a[1].i, a[2].b));
  TRY(over(out, s, count_of(x, a[1].i)));
done:
  ml_tensor_free(x), ml_tensor_free(s);
  return st;
}

/* var(dim, { keepdim, correction = 1 }): sum((x - mean)^2) / max(n - correction, 0) */
int ml_op_var(ml_tensor **out, const ml_arg *a) {
  ml_tensor *x = NULL, *m = NULL, *c = NULL, *q = NULL, *s = NULL;
  int st;
  TRY(averageable(&x, "var", a[0].t));
  TRY(ml_op_mean(&m, (ml_arg[]){{.t = x}, a[1], {.b = true}}));
  TRY(ml_sub(&c, x, m));
  TRY(ml_mul(&q, c, c));
  TRY(ml_reduced(&s, q, (int)a[1].i, a[2].b));
  double left = count_of(x, a[1].i) - (double)a[3].i;
  TRY(over(out, s, left > 0 ? left : 0));
done:
  ml_tensor_free(x), ml_tensor_free(m), ml_tensor_free(c), ml_tensor_free(q), ml_tensor_free(s);
  return st;
}

/* dx = dy x / y, and 0 where the norm is 0; y has dimension i[9] as 1 here */
static int norm_backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  ml_tensor *x, *y, *g = NULL, *q = NULL, *flat = NULL, *zero = NULL, *f = NULL;
  int st;
  TRY(ml_node_saved(n, 0, &x));
  TRY(ml_node_saved(n, 1, &y));
  TRY(ml_view_reshape(&g, dy, y->ndim, y->size));
  TRY(ml_div(&q, g, y));
  TRY(ml_tensor_scalar(&zero, y->dtype, 0));
  TRY(ml_op_eq(&flat, (ml_arg[]){{.t = y}, {.t = zero}}));
  TRY(ml_op_where(&f, (ml_arg[]){{.t = flat}, {.t = zero}, {.t = q}}));
  TRY(ml_mul(dx, x, f));
done:
  ml_tensor_free(g), ml_tensor_free(q), ml_tensor_free(flat), ml_tensor_free(zero);
  ml_tensor_free(f);
  return st;
}
static const ml_op norm_op = {"norm", norm_backward, NULL};

/* sqrt(sum(x^2)) with the dimension kept, unrecorded */
static int norm_of(ml_tensor **out, ml_tensor *x, int d) {
  ml_tensor *q = NULL, *s = NULL;
  bool was = ml_grad_enabled;
  int st;
  ml_grad_enabled = false;
  TRY(ml_mul(&q, x, x));
  TRY(ml_reduced(&s, q, d, true));
  TRY(ml_apply1(out, ml_k(x->dtype)->sqrt, s));
done:
  ml_grad_enabled = was;
  ml_tensor_free(q), ml_tensor_free(s);
  return st;
}

/* norm(dim, { keepdim }) */
int ml_op_norm(ml_tensor **out, const ml_arg *a) {
  ml_tensor *x = a[0].t, *kept = NULL, *y = NULL;
  ml_node *n = NULL;
  int st, d = (int)a[1].i;
  TRY(ml_need_real("norm", x));
  TRY(norm_of(&kept, x, d));
  if (a[2].b) TRY(ml_view_alias(&y, kept));
  else if (d == ML_NO_DIM) TRY(ml_view_reshape(&y, kept, 0, NULL));
  else TRY(ml_view_squeeze(&y, kept, d));
  TRY(ml_record(&n, &norm_op, y, 1, &x));
  if (n) {
    TRY(ml_keep(n, x));
    TRY(ml_keep(n, kept));
  }
  *out = y, y = NULL;
done:
  ml_tensor_free(kept), ml_tensor_free(y);
  return st;
}

/* ---- cumsum ---- */

typedef struct { const ml_kernels *k; void *y; const void *x; int64_t C; bool reverse; } cum_job;
static void cum_task(void *ctx, int64_t r0, int64_t r1) {
  const cum_job *j = ctx;
  if (j->k) j->k->row_cumsum(j->y, j->x, r0, r1, j->C, j->reverse);
  else ml_int_row_cumsum(j->y, j->x, r0, r1, j->C);
}
static int cumulate(ml_tensor **out, ml_tensor *x, bool reverse) {
  int64_t C = ml_row_length(x);
  int st = ml_tensor_like(out, x);
  if (st != ML_OK) return st;
  cum_job j = {ml_is_real(x->dtype) ? ml_k(x->dtype) : NULL, ml_data(*out), ml_data(x), C, reverse};
  ml_rows_parallel(ml_rows_of(x), ml_grain(C), cum_task, &j);
  return ML_OK;
}
static int cumsum_backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  (void)n;
  return cumulate(dx, dy, true);
}
static const ml_op cumsum_op = {"cumsum", cumsum_backward, NULL};

int ml_op_cumsum(ml_tensor **out, const ml_arg *a) {
  ml_tensor *x = NULL, *w = NULL, *y = NULL;
  ml_node *n = NULL;
  int st;
  TRY(ml_need_number("cumsum", a[0].t));
  TRY(ml_dim_to_end(&x, a[0].t, (int)a[1].i));
  TRY(ml_is_real(x->dtype) ? ml_contiguous(&w, x) : ml_to_dtype(&w, x, ML_I64));
  TRY(cumulate(&y, w, false));
  TRY(ml_record(&n, &cumsum_op, y, 1, &w));
  TRY(ml_dim_from_end(out, y, (int)a[1].i));
done:
  ml_tensor_free(x), ml_tensor_free(w), ml_tensor_free(y);
  return st;
}

/* ---- extremes ---- */

typedef struct { const ml_tensor *x; int64_t *y, C; bool largest; } arg_job;
static void arg_task(void *ctx, int64_t r0, int64_t r1) {
  const arg_job *j = ctx;
  if (!ml_is_real(j->x->dtype)) {
    ml_int_row_arg(j->y, ml_data(j->x), r0, r1, j->C, j->largest);
    return;
  }
  const ml_kernels *k = ml_k(j->x->dtype);
  (j->largest ? k->row_argmax : k->row_argmin)(j->y, ml_data(j->x), j->C, r0, r1, j->C);
}

/* 0-based position of the extreme of each row of contiguous x; shape: x's with a last 1 */
static int positions(ml_tensor **out, const char *name, ml_tensor *x, bool largest) {
  int64_t size[ML_MAX_DIMS], C = ml_row_length(x);
  ml_tensor *w = NULL;
  int st;
  if (C == 0) return ml_fail(ML_ESHAPE, "%s: no element to choose from in %s", name, ml_shape(x).s);
  memcpy(size, x->size, sizeof size);
  size[x->ndim - 1] = 1;
  TRY(ml_is_real(x->dtype) ? ml_contiguous(&w, x) : ml_to_dtype(&w, x, ML_I64));
  TRY(ml_tensor_new(out, ML_I64, x->ndim, size));
  arg_job j = {w, ml_data(*out), C, largest};
  ml_rows_parallel(ml_rows_of(w), ml_grain(C), arg_task, &j);
done:
  ml_tensor_free(w);
  return st;
}

/* x with dimension d last (or flat for ML_NO_DIM), and the extreme's positions there */
static int locate(ml_tensor **moved, ml_tensor **idx, const char *name, ml_tensor *x, int d,
                  bool largest) {
  int64_t n = ml_numel(x);
  int st = ml_need_number(name, x);
  if (st != ML_OK) return st;
  st = d == ML_NO_DIM ? ml_reshaped(moved, x, 1, &n) : ml_dim_to_end(moved, x, d);
  if (st == ML_OK) st = positions(idx, name, *moved, largest);
  return st;
}

/* drops the last 1, or puts it back at d */
static int settled(ml_tensor **out, ml_tensor *v, int d, bool keepdim) {
  return keepdim ? ml_dim_from_end(out, v, d) : ml_squeezed(out, v, v->ndim - 1);
}

static int shifted(ml_tensor **out, ml_tensor *idx, int64_t by) {
  ml_tensor *s = NULL;
  int st;
  TRY(ml_tensor_scalar_i64(&s, ML_I64, by));
  TRY(ml_add(out, idx, s));
done:
  ml_tensor_free(s);
  return st;
}

/* values and 1-based positions along a dimension, or just the value of everything */
static int extreme(ml_tensor **out, const char *name, ml_tensor *x, int d, bool keepdim,
                   bool largest) {
  ml_tensor *m = NULL, *idx = NULL, *v = NULL, *one = NULL;
  int st;
  TRY(locate(&m, &idx, name, x, d, largest));
  TRY(ml_gathered(&v, m, idx));
  TRY(settled(&out[0], v, d, keepdim));
  if (d == ML_NO_DIM) goto done;
  TRY(shifted(&one, idx, 1));
  TRY(settled(&out[1], one, d, keepdim));
done:
  ml_tensor_free(m), ml_tensor_free(idx), ml_tensor_free(v), ml_tensor_free(one);
  return st;
}

/* max(dim) -> values, positions; amax() -> the value. Lua's x:max(...) picks between them */
int ml_op_max_along(ml_tensor **out, const ml_arg *a) {
  return extreme(out, "max", a[0].t, (int)a[1].i, a[2].b, true);
}
int ml_op_min_along(ml_tensor **out, const ml_arg *a) {
  return extreme(out, "min", a[0].t, (int)a[1].i, a[2].b, false);
}
int ml_op_amax(ml_tensor **out, const ml_arg *a) {
  return extreme(out, "max", a[0].t, ML_NO_DIM, false, true);
}
int ml_op_amin(ml_tensor **out, const ml_arg *a) {
  return extreme(out, "min", a[0].t, ML_NO_DIM, false, false);
}

static int arg_of(ml_tensor **out, const char *name, const ml_arg *a, bool largest, int64_t base) {
  ml_tensor *m = NULL, *idx = NULL, *v = NULL;
  bool was = ml_grad_enabled;
  int64_t ones[ML_MAX_DIMS] = {1, 1, 1, 1, 1, 1, 1, 1};
  int st, d = (int)a[1].i, nd = a[0].t->ndim;
  ml_grad_enabled = false;
  TRY(locate(&m, &idx, name, a[0].t, d, largest));
  TRY(shifted(&v, idx, base));
  if (d == ML_NO_DIM) TRY(ml_view_reshape(out, v, a[2].b ? nd : 0, ones));
  else TRY(settled(out, v, d, a[2].b));
done:
  ml_grad_enabled = was;
  ml_tensor_free(m), ml_tensor_free(idx), ml_tensor_free(v);
  return st;
}
int ml_op_argmax(ml_tensor **out, const ml_arg *a) { return arg_of(out, "argmax", a, true, 1); }
int ml_op_argmin(ml_tensor **out, const ml_arg *a) { return arg_of(out, "argmin", a, false, 1); }
int ml_op_argmax_ids(ml_tensor **out, const ml_arg *a) {
  return arg_of(out, "argmax_ids", a, true, 0);
}
