/* gather.c -- elements and rows by index: gather, scatter_add, index_select, embedding.
** Positions are 1-based (negative from the end), ids 0-based; both become checked 0-based i64
** before a kernel sees them. Adjoint sums run in ascending order. */
#include "kernels/integer.h"
#include "ops/internal.h"

/* a fresh contiguous i64 copy of idx, 0-based, every entry in [0, limit) */
static int checked_index(ml_tensor **out, const char *op, ml_tensor *idx, int64_t limit, bool ids) {
  ml_tensor *w = NULL, *y = NULL;
  int64_t bad;
  int st;
  TRY(ml_need_integer(op, idx));
  TRY(ml_to_dtype(&w, idx, ML_I64));
  TRY(ml_clone(&y, w));
  int64_t n = ml_numel(y);
  if (ids ? !ml_int_shift_check(ml_data(y), n, 0, limit, &bad)
          : !ml_int_positions(ml_data(y), n, limit, &bad)) {
    st = ml_fail(ML_ERANGE, "%s: %s %lld is outside %s%lld", op, ids ? "id" : "position",
                 (long long)bad, ids ? "0.." : "1..", (long long)(ids ? limit - 1 : limit));
    goto done;
  }
  *out = y, y = NULL;
done:
  ml_tensor_free(w), ml_tensor_free(y);
  return st;
}

/* ---- along the last dimension ---- */

typedef struct {
  const ml_kernels *k;
  void *y;
  const void *x;
  const int64_t *idx;
  int64_t C, S;
  bool add;
} job;
static void task(void *ctx, int64_t r0, int64_t r1) {
  const job *j = ctx;
  if (!j->k) ml_int_gather_row(j->y, j->x, j->idx, r0, r1, j->C, j->S);
  else (j->add ? j->k->scatter_add_row : j->k->gather_row)(j->y, j->x, j->idx, r0, r1, j->C, j->S);
}

static void run(ml_tensor *y, const ml_tensor *x, const ml_tensor *idx, int64_t S, bool add) {
  int64_t C = ml_row_length(idx);
  job j = {ml_is_real(y->dtype) ? ml_k(y->dtype) : NULL, ml_data(y), ml_data(x), ml_data(idx), C,
           S, add};
  if (C > 0) ml_rows_parallel(ml_rows_of(idx), ml_grain(C), task, &j);
}

static int gather_backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  ml_sizes x = ml_noted_shape(n);
  ml_tensor *idx;
  int st = ml_node_saved(n, 0, &idx);
  if (st == ML_OK) st = ml_tensor_zeros(dx, dy->dtype, x.ndim, x.size);
  if (st == ML_OK) run(*dx, dy, idx, x.size[x.ndim - 1], true);
  return st;
}
static const ml_op gather_op = {"gather", gather_backward, NULL};

int ml_gathered(ml_tensor **out, ml_tensor *x, ml_tensor *idx) {
  ml_tensor *w = NULL, *y = NULL;
  ml_node *n = NULL;
  int st;
  TRY(ml_is_real(x->dtype) ? ml_dense(&w, x) : ml_to_dtype(&w, x, ML_I64));
  TRY(ml_tensor_new(&y, w->dtype, idx->ndim, idx->size));
  run(y, w, idx, ml_row_length(x), false);
  TRY(ml_record(&n, &gather_op, y, 1, &w));
  if (n) ml_note_shape(n, w), ml_node_save(n, idx);
  TRY(y->dtype == x->dtype ? (*out = ml_tensor_ref(y), ML_OK) : ml_to_dtype(out, y, x->dtype));
done:
  ml_tensor_free(w), ml_tensor_free(y);
  return st;
}

static int same_but(const char *op, const ml_tensor *x, const ml_tensor *idx, int d) {
  bool fine = x->ndim == idx->ndim && x->ndim > 0;
  for (int i = 0; fine && i < x->ndim; i++) fine = i == d || x->size[i] == idx->size[i];
  if (fine) return ML_OK;
  return ml_fail(ML_ESHAPE, "%s: index %s must match %s except in dimension %d", op,
                 ml_shape(idx).s, ml_shape(x).s, d + 1);
}

static int gather(ml_tensor **out, const char *op, const ml_arg *a, bool ids) {
  ml_tensor *x = a[0].t, *idx = NULL, *mx = NULL, *mi = NULL, *y = NULL;
  int d = (int)a[1].i, st;
  TRY(ml_need_number(op, x));
  TRY(same_but(op, x, a[2].t, d));
  TRY(checked_index(&idx, op, a[2].t, x->size[d], ids));
  TRY(ml_dim_to_end(&mx, x, d));
  TRY(ml_dim_to_end(&mi, idx, d));
  TRY(ml_gathered(&y, mx, mi));
  TRY(ml_dim_from_end(out, y, d));
done:
  ml_tensor_free(idx), ml_tensor_free(mx), ml_tensor_free(mi), ml_tensor_free(y);
  return st;
}
/* gather(dim, index): y[..i..] = x[..index[..i..]..] */
int ml_op_gather(ml_tensor **out, const ml_arg *a) { return gather(out, "gather", a, false); }
int ml_op_gather_ids(ml_tensor **out, const ml_arg *a) {
  return gather(out, "gather_ids", a, true);
}

static int scatter_backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  ml_tensor *idx;
  int st = ml_node_saved(n, 0, &idx);
  if (st == ML_OK && ml_node_needs(n, 0)) dx[0] = ml_tensor_ref(dy);
  if (st != ML_OK || !ml_node_needs(n, 1)) return st;
  st = ml_tensor_new(&dx[1], dy->dtype, idx->ndim, idx->size);
  if (st == ML_OK) run(dx[1], dy, idx, ml_row_length(dy), false);
  return st;
}
static const ml_op scatter_op = {"scatter_add", scatter_backward, NULL};

/* contiguous x and src, last dimension */
static int scattered(ml_tensor **out, ml_tensor *x, ml_tensor *idx, ml_tensor *src) {
  ml_tensor *y = NULL;
  ml_node *n = NULL;
  int st;
  TRY(ml_clone(&y, x));
  run(y, src, idx, ml_row_length(x), true);
  TRY(ml_record(&n, &scatter_op, y, 2, (ml_tensor *[]){x, src}));
  if (n) ml_node_save(n, idx);
  *out = y, y = NULL;
done:
  ml_tensor_free(y);
  return st;
}

/* scatter_add(dim, index, src): x plus src[..i..] at position index[..i..] */
int ml_op_scatter_add(ml_tensor **out, const ml_arg *a) {
  ml_tensor *x = a[0].t, *src = a[3].t, *idx = NULL, *mx = NULL, *mi = NULL, *ms = NULL, *y = NULL;
  int d = (int)a[1].i, st;
  TRY(ml_need_real("scatter_add", x));
  TRY(same_but("scatter_add", x, a[2].t, d));
  if (!ml_same_shape(src, a[2].t) || src->dtype != x->dtype) {
    st = ml_fail(ML_ESHAPE, "scatter_add: source must be %s %s like its index, got %s %s",
                 ml_dtype_name(x->dtype), ml_shape(a[2].t).s, ml_dtype_name(src->dtype),
                 ml_shape(src).s);
    goto done;
  }
  TRY(checked_index(&idx, "scatter_add", a[2].t, x->size[d], false));
  TRY(ml_dim_to_end(&mx, x, d));
  TRY(ml_dim_to_end(&mi, idx, d));
  TRY(ml_dim_to_end(&ms, src, d));
  TRY(scattered(&y, mx, mi, ms));
  TRY(ml_dim_from_end(out, y, d));
done:
  ml_tensor_free(idx), ml_tensor_free(mx), ml_tensor_free(mi), ml_tensor_free(ms);
  ml_tensor_free(y);
  return st;
}

/* ---- whole rows ---- */

typedef struct {
  const ml_kernels *k;
  char *y;
  const char *x;
  const int64_t *ids, *order, *first;
  int64_t C, es;
} rows_job;
static void take_task(void *ctx, int64_t r0, int64_t r1) {
  const rows_job *j = ctx;
  ml_int_take_rows(j->y, j->x, j->ids, r0, r1, j->C * j->es);
}
static void add_task(void *ctx, int64_t v0, int64_t v1) {
  const rows_job *j = ctx;
  for (int64_t v = v0; v < v1; v++)
    j->k->add_rows(j->y + v * j->C * j->es, j->x, j->order, j->first[v], j->first[v + 1], j->C);
}

/* dw (V, C) += rows of dy grouped by id, ascending */
static int add_by_id(ml_tensor *dw, const ml_tensor *dy, const ml_tensor *ids) {
  int64_t n = ml_numel(ids), V = dw->size[0], C = V ? ml_numel(dw) / V : 0;
  int64_t *order = ml_alloc((size_t)(n + V + 1) * sizeof *order);
  if (!order) return ML_ENOMEM;
  int64_t *first = order + n;
  ml_int_group(order, first, ml_data(ids), n, V);
  rows_job j = {ml_k(dw->dtype), ml_data(dw), ml_data(dy), NULL, order, first, C,
                ml_dtype_size(dw->dtype)};
  ml_rows_parallel(V, 64, add_task, &j);
  ml_free(order);
  return ML_OK;
}

static int take_backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  ml_sizes w = ml_noted_shape(n);
  ml_tensor *ids;
  int st = ml_node_saved(n, 0, &ids);
  if (st == ML_OK) st = ml_tensor_zeros(dx, dy->dtype, w.ndim, w.size);
  return st == ML_OK ? add_by_id(*dx, dy, ids) : st;
}
static const ml_op take_op = {"embedding", take_backward, NULL};

/* y (ids.., w's other dimensions) of contiguous w; ids checked, 0-based */
static int take(ml_tensor **out, ml_tensor *w, ml_tensor *ids) {
  int64_t size[2 * ML_MAX_DIMS];
  ml_tensor *y = NULL;
  ml_node *n = NULL;
  int nd = ids->ndim + w->ndim - 1, st;
  if (nd > ML_MAX_DIMS) return ml_fail(ML_ESHAPE, "embedding: too many dimensions");
  memcpy(size, ids->size, sizeof *size * (size_t)ids->ndim);
  memcpy(size + ids->ndim, w->size + 1, sizeof *size * (size_t)(w->ndim - 1));
  TRY(ml_tensor_new(&y, w->dtype, nd, size));
  int64_t C = w->size[0] ? ml_numel(w) / w->size[0] : 0;
  rows_job j = {.y = ml_data(y), .x = ml_data(w), .ids = ml_data(ids), .C = C,
                .es = ml_dtype_size(w->dtype)};
  ml_rows_parallel(ml_numel(ids), ml_grain(C), take_task, &j);
  TRY(ml_record(&n, &take_op, y, 1, &w));
  if (n) ml_note_shape(n, w), ml_node_save(n, ids);
  *out = y, y = NULL;
done:
  ml_tensor_free(y);
  return st;
}

/* w:embedding(ids): rows of w (V, C) by 0-based id */
int ml_op_embedding(ml_tensor **out, const ml_arg *a) {
  ml_tensor *w = NULL, *ids = NULL;
  int st;
  TRY(ml_need_real("embedding", a[0].t));
  if (a[0].t->ndim != 2) {
    st = ml_fail(ML_ESHAPE, "embedding: the table must be (V, C), got %s", ml_shape(a[0].t).s);
    goto done;
  }
  TRY(ml_dense(&w, a[0].t));
  TRY(checked_index(&ids, "embedding", a[1].t, w->size[0], true));
  TRY(take(out, w, ids));
done:
  ml_tensor_free(w), ml_tensor_free(ids);
  return st;
}

/* index_select(dim, index): rows of that dimension by 1-based position; any dtype */
int ml_op_index_select(ml_tensor **out, const ml_arg *a) {
  ml_tensor *x = a[0].t, *t = NULL, *w = NULL, *idx = NULL, *y = NULL;
  int d = (int)a[1].i, st;
  if (a[2].t->ndim != 1)
    return ml_fail(ML_ESHAPE, "index_select: the index must be a list, got %s",
                   ml_shape(a[2].t).s);
  TRY(checked_index(&idx, "index_select", a[2].t, x->size[d], false));
  TRY(ml_transposed(&t, x, 0, d));
  TRY(ml_dense(&w, t));
  TRY(take(&y, w, idx));
  TRY(ml_transposed(out, y, 0, d));
done:
  ml_tensor_free(t), ml_tensor_free(w), ml_tensor_free(idx), ml_tensor_free(y);
  return st;
}
