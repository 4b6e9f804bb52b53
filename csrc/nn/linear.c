/* linear.c -- y = x W^T + b and the norms, over rows, with gradients added straight into the
** parameters' slots. Column sums go by chunks of ML_DET_ROWS rows, partials in order. */
#include "nn/inner.h"

/* ---- rows of reals and of activations ---- */

enum { STAGE_COLS = 256 }; /* columns of a bf16 column sum widened at a time */

size_t ml_model_stage(const ml_model *m) {
  if (!m->half) return 0;
  int64_t row = m->w.W > m->w.U ? m->w.W : m->w.U;
  if (row < m->w.d) row = m->w.d;
  int64_t rows = 4 * row, block = ML_DET_ROWS * STAGE_COLS;
  return (size_t)((rows > block ? rows : block) * m->es);
}

typedef struct { int64_t rows, grain; ml_row_fn *fn; void *ctx; } rows_run;

static void rows_task(void *ctx, int64_t task, int worker) {
  const rows_run *w = ctx;
  int64_t end = (task + 1) * w->grain;
  for (int64_t r = task * w->grain; r < end && r < w->rows; r++)
    w->fn(w->ctx, r, ml_scratch(worker));
}

void ml_each_row(int64_t rows, int64_t width, ml_row_fn *fn, void *ctx) {
  rows_run w = {rows, width > 4096 ? 4 : 16384 / width, fn, ctx};
  ml_parallel((rows + w.grain - 1) / w.grain, rows_task, &w);
}

typedef struct { const ml_model *m; char *y; const char *x; int64_t width; } round_job;

static void round_row(void *ctx, int64_t r, char *tmp) {
  const round_job *j = ctx;
  (void)tmp;
  ml_row_done(j->m, j->y + r * j->width * j->m->as, j->x + r * j->width * j->m->es, j->width);
}

const void *ml_as_operand(const ml_model *m, void *y, const void *x, int64_t rows, int64_t width) {
  if (!m->half) return x;
  ml_each_row(rows, width, round_row, &(round_job){m, y, x, width});
  return y;
}

/* ---- y = x W^T + b ---- */

bool ml_wants_grad(const ml_tensor *leaf) { return leaf && leaf->requires_grad; }

int ml_linear_forward(const ml_model *m, const ml_linear *l, void *y, int to, const void *x,
                      int64_t rows, const void *residual, bool packed) {
  ml_gemm g = {.m = rows, .n = l->out, .k = l->in, .a = x, .ars = l->in, .acs = 1,
               .b = ml_data(l->w[0]), .brs = 1, .bcs = l->in, .c = y, .ldc = l->out,
               .narrow = m->half && to == ML_ACTIVATION,
               .bias = l->b[0] ? ml_data(l->b[0]) : NULL, .residual = residual, .ldr = l->out};
  if (m->half || (packed && l->packed)) g.packed = l->packed, g.b = NULL;
  return ml_gemm_run(m->c.kind, &g, 1);
}

/* ---- column sums ---- */

typedef struct {
  const ml_model *m;
  char *partial;
  int from; /* ML_REAL, ML_ACTIVATION: what dy is */
  const char *dy;
  int64_t ld, rows, C;
} column_job;

/* sums of bf16 columns: a block of them at a time becomes reals */
static void sum_widened(const column_job *j, char *y, int64_t r0, int64_t r1, char *tmp) {
  for (int64_t c = 0; c < j->C; c += STAGE_COLS) {
    int64_t n = j->C - c < STAGE_COLS ? j->C - c : STAGE_COLS;
    for (int64_t r = r0; r < r1; r++)
      ml_row_in(j->m, tmp + (r - r0) * n * j->m->es, j->dy + (r * j->ld + c) * j->m->as, n);
    j->m->k->col_sum(y + c * j->m->es, tmp, n, 0, r1 - r0, n);
  }
}

static void column_task(void *ctx, int64_t task, int worker) {
  const column_job *j = ctx;
  int64_t r0 = task * ML_DET_ROWS, r1 = r0 + ML_DET_ROWS < j->rows ? r0 + ML_DET_ROWS : j->rows;
  char *y = j->partial + task * j->C * j->m->es;
  if (j->m->half && j->from == ML_ACTIVATION) sum_widened(j, y, r0, r1, ml_scratch(worker));
  else j->m->k->col_sum(y, j->dy, j->ld, r0, r1, j->C);
}

static int64_t chunks_of(int64_t rows) { return (rows + ML_DET_ROWS - 1) / ML_DET_ROWS; }

int ml_finish_grad(const ml_model *m, ml_tensor *leaf, const void *partial, int64_t P) {
  ml_tensor *grad;
  bool add;
  int st = ml_grad_slot(leaf, &grad, &add);
  if (st != ML_OK) return st;
  m->k->col_finish(ml_data(grad), partial, P, ml_numel(leaf), add);
  ml_dirty(grad);
  return ML_OK;
}

static int bias_grad(const ml_model *m, ml_tensor *leaf, int from, const void *dy, int64_t ld,
                     int64_t rows, void *partial) {
  if (!ml_wants_grad(leaf)) return ML_OK;
  column_job j = {m, partial, from, dy, ld, rows, ml_numel(leaf)};
  ml_parallel(chunks_of(rows), column_task, &j);
  return ml_finish_grad(m, leaf, partial, chunks_of(rows));
}

/* ---- backward of a linear layer ---- */

/* dW (out, in) (+)= dy^T x for parts of the weight; parts whose slots are neighbours and agree on
** accumulation become one product */
static int weight_products(const ml_model *m, const ml_linear *l, ml_gemm *g, int *count,
                           const char *dy, const void *x, int64_t rows) {
  int64_t column = 0;
  const ml_gemm *last = NULL;
  for (int i = 0; i < l->parts; i++) {
    int64_t n = l->w[i]->size[0];
    const char *a = dy + column * m->as;
    column += n;
    if (!ml_wants_grad(l->w[i])) { last = NULL; continue; }
    ml_tensor *grad;
    bool add;
    int st = ml_grad_slot(l->w[i], &grad, &add);
    if (st != ML_OK) return st;
    char *c = ml_data(grad);
    ml_dirty(grad);
    if (last && last->accumulate == add && (char *)last->c + last->m * l->in * m->es == c) {
      g[*count - 1].m += n;
      continue;
    }
    g[*count] = (ml_gemm){.m = n, .n = l->in, .k = rows, .a = a, .ars = 1, .acs = l->out,
                          .b = x, .brs = l->in, .bcs = 1, .c = c, .ldc = l->in,
                          .accumulate = add};
    last = &g[(*count)++];
  }
  return ML_OK;
}

int ml_linear_backward_input(const ml_model *m, const ml_linear *l, void *dx, int to,
                             const void *dy, int64_t rows) {
  ml_gemm g = {.m = rows, .n = l->in, .k = l->out, .a = dy, .ars = l->out, .acs = 1,
               .b = ml_data(l->w[0]), .brs = l->in, .bcs = 1, .c = dx, .ldc = l->in,
               .narrow = m->half && to == ML_ACTIVATION};
  if (m->half) g.packed = l->packed_dx, g.b = NULL;
  return ml_gemm_run(m->c.kind, &g, 1);
}

int ml_linear_backward_weight(const ml_model *m, const ml_linear *l, const void *dy, const void *x,
                              int64_t rows, void *partial) {
  ml_gemm g[3];
  int count = 0;
  int st = weight_products(m, l, g, &count, dy, x, rows);
  for (int i = 0; i < count && st == ML_OK; i++) st = ml_gemm_run(m->c.kind, g + i, 1);
  int64_t column = 0;
  for (int i = 0; i < l->parts && st == ML_OK; i++) {
    st = bias_grad(m, l->b[i], ML_ACTIVATION, (const char *)dy + column * m->as, l->out, rows,
                   partial);
    column += l->w[i]->size[0];
  }
  return st;
}

int ml_linear_backward(const ml_model *m, const ml_linear *l, void *dx, int to, const void *dy,
                       const void *x, int64_t rows, void *partial) {
  int st = ml_linear_backward_input(m, l, dx, to, dy, rows);
  return st == ML_OK ? ml_linear_backward_weight(m, l, dy, x, rows, partial) : st;
}

/* ---- norms ---- */

typedef struct {
  const ml_model *m;
  char *y;
  const char *dy, *x;
  const void *w, *b;
  bool accumulate;
  int to;
  int64_t rows;
  char *partial; /* of the gain's gradient, or NULL */
} norm_job;

static void norm_row(void *ctx, int64_t r, char *tmp) {
  const norm_job *j = ctx;
  const ml_config *c = &j->m->c;
  const char *x = j->x + r * c->dim * j->m->es;
  bool rounds = j->m->half && j->to == ML_ACTIVATION;
  char *row = j->y + r * c->dim * (rounds ? j->m->as : j->m->es), *y = rounds ? tmp : row;
  if (c->norm == ML_NORM_RMS) j->m->k->rms_norm(y, x, c->dim, j->w, 0, 1, c->dim, c->eps);
  else j->m->k->layer_norm(y, x, c->dim, j->w, j->b, 0, 1, c->dim, c->eps);
  if (rounds) ml_row_done(j->m, row, y, c->dim);
}

/* both gradients of a chunk of rows while they are in cache */
static void norm_grad_task(void *ctx, int64_t task, int worker) {
  const norm_job *j = ctx;
  (void)worker;
  const ml_kernels *k = j->m->k;
  int64_t d = j->m->c.dim, r0 = task * ML_DET_ROWS;
  int64_t r1 = r0 + ML_DET_ROWS < j->rows ? r0 + ML_DET_ROWS : j->rows;
  double eps = j->m->c.eps;
  char *dw = j->partial ? j->partial + task * d * j->m->es : NULL;
  if (j->m->c.norm == ML_NORM_RMS) {
    k->rms_norm_grad(j->y, j->dy, j->x, d, j->w, r0, r1, d, eps, j->accumulate);
    if (dw) k->rms_norm_dw(dw, j->dy, j->x, d, r0, r1, d, eps);
  } else {
    k->layer_norm_grad(j->y, j->dy, j->x, d, j->w, r0, r1, d, eps, j->accumulate);
    if (dw) k->layer_norm_dw(dw, j->dy, j->x, d, r0, r1, d, eps);
  }
}

static const void *data_or_null(const ml_tensor *t) { return t ? ml_data(t) : NULL; }

void ml_norm_forward(const ml_model *m, const ml_norm *n, void *y, int to, const void *x,
                     int64_t rows) {
  norm_job j = {m, y, NULL, x, data_or_null(n->w), data_or_null(n->b), false, to, rows, NULL};
  ml_each_row(rows, m->c.dim, norm_row, &j);
}

int ml_norm_backward(const ml_model *m, const ml_norm *n, void *dx, const void *dy, const void *x,
                     int64_t rows, bool accumulate, void *partial) {
  norm_job j = {m, dx, dy, x, data_or_null(n->w), NULL, accumulate, ML_REAL, rows,
                ml_wants_grad(n->w) ? partial : NULL};
  ml_parallel(chunks_of(rows), norm_grad_task, &j);
  int st = j.partial ? ml_finish_grad(m, n->w, partial, chunks_of(rows)) : ML_OK;
  return st == ML_OK ? bias_grad(m, n->b, ML_REAL, dy, m->c.dim, rows, partial) : st;
}
