/* sort.c -- sort and topk along a dimension: stable, ties by the first position. */
#include "kernels/integer.h"
#include "ops/internal.h"

typedef struct { const ml_tensor *x; int64_t *idx, C, k; bool descending; } job;

/* one row a task: its order, made in scratch, then the first k of it */
static void task(void *ctx, int64_t r, int worker) {
  const job *j = ctx;
  int64_t *order = ml_scratch(worker);
  const char *row = ml_row(j->x, r, j->C);
  if (ml_is_real(j->x->dtype))
    ml_k(j->x->dtype)->row_sort(order, row, j->C, j->descending, order + j->C);
  else ml_int_row_sort(order, (const int64_t *)row, j->C, j->descending, order + j->C);
  memcpy(j->idx + r * j->k, order, (size_t)j->k * sizeof *order);
}

/* 0-based positions of the first k of each row's order */
static int ranked(ml_tensor **out, ml_tensor *x, int64_t k, bool descending) {
  int64_t size[ML_MAX_DIMS], C = ml_row_length(x), R = ml_rows_of(x);
  ml_tensor *w = NULL;
  int st;
  TRY(ml_scratch_reserve((size_t)(2 * C) * sizeof(int64_t)));
  memcpy(size, x->size, sizeof size);
  size[x->ndim - 1] = k;
  TRY(ml_is_real(x->dtype) ? ml_contiguous(&w, x) : ml_to_dtype(&w, x, ML_I64));
  TRY(ml_tensor_new(out, ML_I64, x->ndim, size));
  job j = {w, ml_data(*out), C, k, descending};
  ml_parallel(R, task, &j);
done:
  ml_tensor_free(w);
  return st;
}

static int ordered(ml_tensor **out, ml_tensor *x, int d, int64_t k, bool descending, int base) {
  ml_tensor *m = NULL, *idx = NULL, *v = NULL, *one = NULL, *p = NULL;
  int st;
  TRY(ml_dim_to_end(&m, x, d));
  TRY(ranked(&idx, m, k, descending));
  TRY(ml_gathered(&v, m, idx));
  TRY(ml_tensor_scalar_i64(&one, ML_I64, base));
  TRY(ml_add(&p, idx, one));
  TRY(ml_dim_from_end(&out[0], v, d));
  TRY(ml_dim_from_end(&out[1], p, d));
done:
  ml_tensor_free(m), ml_tensor_free(idx), ml_tensor_free(v), ml_tensor_free(one);
  ml_tensor_free(p);
  return st;
}

/* sort(dim, { descending }) -> values, positions */
int ml_op_sort(ml_tensor **out, const ml_arg *a) {
  int d = (int)a[1].i;
  if (a[0].t->ndim == 0) return ml_fail(ML_ESHAPE, "sort: needs at least one dimension");
  d = d < 0 ? d + a[0].t->ndim : d;
  int st = ml_need_number("sort", a[0].t);
  if (st != ML_OK) return st;
  return ordered(out, a[0].t, d, a[0].t->size[d], a[2].b, 1);
}

static int topk(ml_tensor **out, const char *name, const ml_arg *a, int base) {
  ml_tensor *x = a[0].t;
  if (x->ndim == 0) return ml_fail(ML_ESHAPE, "%s: needs at least one dimension", name);
  int d = (int)a[2].i < 0 ? (int)a[2].i + x->ndim : (int)a[2].i;
  int st = ml_need_number(name, x);
  if (st != ML_OK) return st;
  if (a[1].i < 1 || a[1].i > x->size[d])
    return ml_fail(ML_ERANGE, "%s: k must be 1 to %lld for %s, got %lld", name,
                   (long long)x->size[d], ml_shape(x).s, (long long)a[1].i);
  return ordered(out, x, d, a[1].i, true, base);
}
/* topk(k, dim = -1) -> values, positions (ids: 0-based) */
int ml_op_topk(ml_tensor **out, const ml_arg *a) { return topk(out, "topk", a, 1); }
int ml_op_topk_ids(ml_tensor **out, const ml_arg *a) { return topk(out, "topk_ids", a, 0); }
