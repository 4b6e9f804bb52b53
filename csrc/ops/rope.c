/* rope.c -- rotary position embedding (arXiv 2104.09864), half-split pairs as Hugging Face's. */
#include "ops/internal.h"

void ml_rope_tables(int dtype, void *cos_table, void *sin_table, int64_t positions, int64_t D,
                    double theta) {
  int64_t half = D / 2;
  for (int64_t i = 0; i < half; i++) {
    double f = ml_pow(theta, -2.0 * (double)i / (double)D);
    for (int64_t p = 0; p < positions; p++) {
      double c = ml_cos((double)p * f), s = ml_sin((double)p * f);
      ml_cast((char *)cos_table + (p * half + i) * ml_dtype_size(dtype), dtype, 1, &c, ML_F64, 1, 1);
      ml_cast((char *)sin_table + (p * half + i) * ml_dtype_size(dtype), dtype, 1, &s, ML_F64, 1, 1);
    }
  }
}

/* everything a pass needs: tables (2, P, D/2) and the position of each row */
typedef struct { char *tables; int32_t *pos; int64_t P, D, R; } setup;

static void release(ml_node *n) {
  setup *s = n->ctx;
  if (s) ml_free(s->tables), ml_free(s->pos);
  ml_free(s);
}

typedef struct { const ml_kernels *k; const setup *s; char *y; const char *x; bool inverse; } job;
static void task(void *ctx, int64_t r0, int64_t r1) {
  const job *j = ctx;
  const setup *s = j->s;
  int64_t bytes = s->P * (s->D / 2) * (j->k == ml_k(ML_F64) ? 8 : 4);
  j->k->rope(j->y, s->D, j->x, s->D, s->tables, s->tables + bytes, s->pos, r0, r1, 1, s->D,
             j->inverse);
}

static int turned(ml_tensor **out, const setup *s, ml_tensor *x, bool inverse) {
  int st = ml_tensor_like(out, x);
  if (st != ML_OK) return st;
  job j = {ml_k(x->dtype), s, ml_data(*out), ml_data(x), inverse};
  ml_rows_parallel(s->R, ml_grain(s->D), task, &j);
  return ML_OK;
}
static int backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  return turned(dx, n->ctx, dy, true);
}
static const ml_op rope_op = {"rope", backward, release};

/* positions (T), 0-based, or NULL for 0..T-1 */
static int fill_positions(setup *s, ml_tensor *positions, int64_t T) {
  ml_tensor *p = NULL;
  int st = ML_OK;
  if (positions) {
    if (ml_numel(positions) != T)
      return ml_fail(ML_ESHAPE, "rope: needs %lld positions, got %s", (long long)T,
                     ml_shape(positions).s);
    TRY(ml_to_dtype(&p, positions, ML_I64));
  }
  s->P = T;
  for (int64_t r = 0; r < s->R; r++) {
    int64_t at = p ? ml_item_i64(p, r % T) : r % T;
    if (at < 0 || at >= 1 << 24) {
      st = ml_fail(ML_ERANGE, "rope: position %lld is outside 0..16777215", (long long)at);
      goto done;
    }
    s->pos[r] = (int32_t)at;
    if (at >= s->P) s->P = at + 1;
  }
done:
  ml_tensor_free(p);
  return st;
}

static int prepare(setup **out, ml_tensor *x, ml_tensor *positions, double theta) {
  int64_t D = ml_row_length(x), R = ml_rows_of(x);
  setup *s = ml_alloc0(sizeof *s);
  int st = s ? ML_OK : ML_ENOMEM;
  if (st != ML_OK) return st;
  s->D = D, s->R = R;
  s->pos = ml_alloc((size_t)R * sizeof *s->pos);
  st = s->pos ? fill_positions(s, positions, x->size[x->ndim - 2]) : ML_ENOMEM;
  if (st == ML_OK) {
    int64_t bytes = s->P * (D / 2) * ml_dtype_size(x->dtype);
    s->tables = ml_alloc((size_t)(2 * bytes));
    if (s->tables) ml_rope_tables(x->dtype, s->tables, s->tables + bytes, s->P, D, theta);
    else st = ML_ENOMEM;
  }
  if (st != ML_OK) ml_free(s->pos), ml_free(s->tables), ml_free(s);
  else *out = s;
  return st;
}

/* rope({ theta = 10000, positions = nil }) of x (.., T, D) */
int ml_op_rope(ml_tensor **out, const ml_arg *a) {
  ml_tensor *x = NULL, *y = NULL;
  ml_node *n = NULL;
  setup *s = NULL;
  int st;
  TRY(ml_need_real("rope", a[0].t));
  if (a[0].t->ndim < 2 || ml_row_length(a[0].t) % 2 || ml_numel(a[0].t) == 0) {
    st = ml_fail(ML_ESHAPE, "rope: needs (.., T, D) with an even D, got %s", ml_shape(a[0].t).s);
    goto done;
  }
  TRY(ml_dense(&x, a[0].t));
  TRY(prepare(&s, x, a[2].t, a[1].n));
  TRY(turned(&y, s, x, false));
  TRY(ml_record(&n, &rope_op, y, 1, &x));
  if (n) n->ctx = s, s = NULL;
  *out = y, y = NULL;
done:
  if (s) ml_free(s->pos), ml_free(s->tables), ml_free(s);
  ml_tensor_free(x), ml_tensor_free(y);
  return st;
}
