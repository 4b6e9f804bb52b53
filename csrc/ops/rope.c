/* rope.c -- rotary position embedding (arXiv 2104.09864), half-split pairs as Hugging Face's. */
#include "kernels/integer.h"
#include "ops/internal.h"

/* rows of cos and sin for at[r], or r itself where at is NULL; angle = position * theta^(-2i/D) */
typedef struct {
  int dtype;
  char *cos_table, *sin_table;
  const int64_t *at;
  int64_t D;
  double theta;
} angles;

static void angle_rows(void *ctx, int64_t r0, int64_t r1) {
  const angles *t = ctx;
  int64_t half = t->D / 2, es = ml_dtype_size(t->dtype);
  for (int64_t i = 0; i < half; i++) {
    double f = ml_pow(t->theta, -2.0 * (double)i / (double)t->D);
    for (int64_t r = r0; r < r1; r++) {
      double angle = (double)(t->at ? t->at[r] : r) * f, c = ml_cos(angle), s = ml_sin(angle);
      ml_cast(t->cos_table + (r * half + i) * es, t->dtype, 1, &c, ML_F64, 1, 1);
      ml_cast(t->sin_table + (r * half + i) * es, t->dtype, 1, &s, ML_F64, 1, 1);
    }
  }
}

void ml_rope_tables(int dtype, void *cos_table, void *sin_table, int64_t positions, int64_t D,
                    double theta) {
  angles t = {dtype, cos_table, sin_table, NULL, D, theta};
  ml_rows_parallel(positions, 32, angle_rows, &t);
}

/* everything a pass needs: tables (2, T, D/2) and which of their rows each row of x takes */
typedef struct { char *tables; int32_t *pos; int64_t T, D, R; } setup;

static void drop(setup *s) {
  if (s) ml_free(s->tables), ml_free(s->pos);
  ml_free(s);
}
static void release(ml_node *n) {
  drop(n->ctx);
  n->ctx = NULL;
}

typedef struct {
  const ml_kernels *k;
  const setup *s;
  char *y;
  const char *x;
  int64_t bytes; /* of one table */
  bool inverse;
} job;
static void task(void *ctx, int64_t r0, int64_t r1) {
  const job *j = ctx;
  const setup *s = j->s;
  j->k->rope(j->y, s->D, j->x, s->D, s->tables, s->tables + j->bytes, s->pos, r0, r1, 1, s->D,
             j->inverse);
}

static int turned(ml_tensor **out, const setup *s, ml_tensor *x, bool inverse) {
  int st = ml_tensor_like(out, x);
  if (st != ML_OK) return st;
  job j = {ml_k(x->dtype), s, ml_data(*out), ml_data(x),
           s->T * (s->D / 2) * ml_dtype_size(x->dtype), inverse};
  ml_rows_parallel(s->R, ml_grain(s->D), task, &j);
  return ML_OK;
}
static int backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  return turned(dx, n->ctx, dy, true);
}
static const ml_op rope_op = {"rope", backward, release};

/* positions (T), 0-based, or NULL for 0..T-1 */
static int fill_tables(setup *s, int dtype, ml_tensor *positions, double theta) {
  int64_t bytes = s->T * (s->D / 2) * ml_dtype_size(dtype), bad;
  angles t = {dtype, s->tables, s->tables + bytes, NULL, s->D, theta};
  ml_tensor *p = NULL;
  int st = ML_OK;
  if (positions) {
    TRY(ml_need_integer("rope: positions", positions));
    TRY(ml_to_dtype(&p, positions, ML_I64));
    if (!ml_int_shift_check(ml_data(p), s->T, 0, 1 << 24, &bad)) {
      st = ml_fail(ML_ERANGE, "rope: position %lld is outside 0..16777215", (long long)bad);
      goto done;
    }
    t.at = ml_data(p);
  }
  ml_rows_parallel(s->T, 32, angle_rows, &t);
done:
  ml_tensor_free(p);
  return st;
}

static int prepare(setup **out, ml_tensor *x, ml_tensor *positions, double theta) {
  int64_t D = ml_row_length(x), R = ml_rows_of(x), T = x->size[x->ndim - 2];
  setup *s = ml_alloc0(sizeof *s);
  int st = s ? ML_OK : ML_ENOMEM;
  if (st != ML_OK) return st;
  *s = (setup){.T = T, .D = D, .R = R};
  s->pos = ml_alloc((size_t)R * sizeof *s->pos);
  s->tables = ml_alloc((size_t)(T * D * ml_dtype_size(x->dtype)));
  st = s->pos && s->tables ? fill_tables(s, x->dtype, positions, theta) : ML_ENOMEM;
  for (int64_t r = 0; st == ML_OK && r < R; r++) s->pos[r] = (int32_t)(r % T);
  if (st == ML_OK) *out = s;
  else drop(s);
  return st;
}

/* rope({ theta = 10000, positions = nil }) of x (.., T, D) */
int ml_op_rope(ml_tensor **out, const ml_arg *a) {
  ml_tensor *x = NULL, *y = NULL;
  ml_node *n = NULL;
  setup *s = NULL;
  int st;
  TRY(ml_need_real("rope", a[0].t));
  if (a[0].t->ndim < 2 || ml_row_length(a[0].t) % 2) {
    st = ml_fail(ML_ESHAPE, "rope: needs (.., T, D) with an even D, got %s", ml_shape(a[0].t).s);
    goto done;
  }
  if (a[2].t && ml_numel(a[2].t) != a[0].t->size[a[0].t->ndim - 2]) {
    st = ml_fail(ML_ESHAPE, "rope: needs %lld positions, got %s",
                 (long long)a[0].t->size[a[0].t->ndim - 2], ml_shape(a[2].t).s);
    goto done;
  }
  if (!(a[1].n > 0)) {
    st = ml_fail(ML_ERANGE, "rope: theta must be positive, got %g", a[1].n);
    goto done;
  }
  TRY(ml_dense(&x, a[0].t));
  TRY(prepare(&s, x, a[2].t, a[1].n));
  TRY(turned(&y, s, x, false));
  TRY(ml_record(&n, &rope_op, y, 1, &x));
  if (n) n->ctx = s, s = NULL;
  *out = y, y = NULL;
done:
  drop(s);
  ml_tensor_free(x), ml_tensor_free(y);
  return st;
}
