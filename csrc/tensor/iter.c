/* iter.c -- elementwise walks: broadcast to one shape, merge dimensions, cut into fixed chunks.
** A chunk never depends on the thread count; each element is computed alone, so neither the
** chunks nor the merging can change a bit. */
#include <string.h>

#include "tensor/tensor.h"

enum { CHUNK = 16384 }; /* elements a task */

typedef struct {
  int nops, ndim; /* ndim counts the outer dimensions only */
  int64_t size[ML_MAX_DIMS];
  int64_t step[ML_ITER_MAX][ML_MAX_DIMS]; /* outer strides in bytes */
  int64_t n, stride[ML_ITER_MAX];         /* the inner row */
  int64_t item[ML_ITER_MAX];
  char *base[ML_ITER_MAX];
  int64_t rows, rows_a_task, cuts; /* cuts: chunks a row, when rows are long */
  ml_iter_fn *fn;
  void *ctx;
} walk;

/* strides of op over the output's dimensions: 0 where it is broadcast */
static int align(const ml_tensor *y, const ml_tensor *x, int64_t *stride) {
  int lead = y->ndim - x->ndim;
  for (int d = 0; d < y->ndim; d++) stride[d] = 0;
  for (int d = 0; d < x->ndim; d++) {
    bool fits = lead + d >= 0 && (x->size[d] == y->size[lead + d] || x->size[d] == 1);
    if (!fits)
      return ml_fail(ML_ESHAPE, "sizes differ: %s does not broadcast to %s", ml_shape(x).s,
                     ml_shape(y).s);
    if (x->size[d] != 1) stride[lead + d] = x->stride[d];
  }
  return ML_OK;
}

/* Neighbours that every operand steps through evenly become one; the last is the row. */
static int plan(walk *w, int nops, ml_tensor *const *ops) {
  int64_t stride[ML_ITER_MAX][ML_MAX_DIMS];
  const ml_tensor *y = ops[0];
  w->nops = nops;
  for (int k = 0; k < nops; k++) {
    int st = align(y, ops[k], stride[k]);
    if (st != ML_OK) return st;
    w->base[k] = ml_data(ops[k]);
    w->item[k] = ml_dtype_size(ops[k]->dtype);
  }
  int nd = 0;
  for (int d = 0; d < y->ndim; d++) {
    if (y->size[d] == 1) continue;
    bool merge = nd > 0;
    for (int k = 0; merge && k < nops; k++)
      merge = w->step[k][nd - 1] == stride[k][d] * y->size[d];
    if (!merge) w->size[nd++] = 1;
    w->size[nd - 1] *= y->size[d];
    for (int k = 0; k < nops; k++) w->step[k][nd - 1] = stride[k][d];
  }
  w->n = nd > 0 ? w->size[nd - 1] : 1;
  w->ndim = nd > 0 ? nd - 1 : 0;
  w->rows = 1;
  for (int d = 0; d < w->ndim; d++) w->rows *= w->size[d];
  for (int k = 0; k < nops; k++) {
    w->stride[k] = nd > 0 ? w->step[k][nd - 1] : 1;
    for (int d = 0; d < w->ndim; d++) w->step[k][d] *= w->item[k];
  }
  return ML_OK;
}

static void run_row(const walk *w, int64_t row, int64_t from, int64_t n) {
  char *p[ML_ITER_MAX];
  for (int k = 0; k < w->nops; k++) p[k] = w->base[k] + from * w->stride[k] * w->item[k];
  for (int d = w->ndim - 1; d >= 0; d--) {
    int64_t at = row % w->size[d];
    row /= w->size[d];
    for (int k = 0; k < w->nops; k++) p[k] += at * w->step[k][d];
  }
  w->fn(w->ctx, p, w->stride, n);
}

static void task(void *ctx, int64_t t, int worker) {
  const walk *w = ctx;
  (void)worker;
  if (w->cuts > 1) { /* long rows: a task is a piece of one */
    int64_t from = t % w->cuts * CHUNK, left = w->n - from;
    run_row(w, t / w->cuts, from, left < CHUNK ? left : CHUNK);
    return;
  }
  int64_t r0 = t * w->rows_a_task, r1 = r0 + w->rows_a_task;
  for (int64_t r = r0; r < r1 && r < w->rows; r++) run_row(w, r, 0, w->n);
}

int ml_iterate(int nops, ml_tensor *const *ops, ml_iter_fn *fn, void *ctx) {
  walk w = {.fn = fn, .ctx = ctx};
  int st = plan(&w, nops, ops);
  if (st != ML_OK) return st;
  if (w.n == 0 || w.rows == 0) return ML_OK; /* no elements */
  w.cuts = (w.n + CHUNK - 1) / CHUNK;
  w.rows_a_task = w.cuts > 1 ? 1 : CHUNK / w.n;
  int64_t tasks = w.cuts > 1 ? w.rows * w.cuts
                             : (w.rows + w.rows_a_task - 1) / w.rows_a_task;
  ml_parallel(tasks, task, &w);
  return ML_OK;
}

/* ---- rows ---- */
typedef struct {
  int64_t R, grain;
  ml_rows_fn *fn;
  void *ctx;
} rows;

static void rows_task(void *ctx, int64_t t, int worker) {
  const rows *w = ctx;
  int64_t r0 = t * w->grain, r1 = r0 + w->grain;
  (void)worker;
  w->fn(w->ctx, r0, r1 < w->R ? r1 : w->R);
}

void ml_rows_parallel(int64_t R, int64_t grain, ml_rows_fn *fn, void *ctx) {
  rows w = {R, grain > 0 ? grain : 1, fn, ctx};
  if (R > 0) ml_parallel((R - 1) / w.grain + 1, rows_task, &w);
}
