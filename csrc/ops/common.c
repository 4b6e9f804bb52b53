/* common.c -- checks, promotion, what nodes keep, elementwise application. */
#include "ops/internal.h"

bool ml_is_integer(int dt) {
  return dt == ML_I64 || dt == ML_I32 || dt == ML_U8 || dt == ML_BOOL;
}

int ml_need_real(const char *op, const ml_tensor *x) {
  if (ml_is_real(x->dtype)) return ML_OK;
  return ml_fail(ML_ETYPE, "%s: needs f32 or f64, got %s (use :to(\"f32\"))", op,
                 ml_dtype_name(x->dtype));
}

int ml_need_integer(const char *op, const ml_tensor *x) {
  if (ml_is_integer(x->dtype)) return ML_OK;
  return ml_fail(ML_ETYPE, "%s: needs integers, got %s", op, ml_dtype_name(x->dtype));
}

int ml_need_number(const char *op, const ml_tensor *x) {
  return ml_is_integer(x->dtype) ? ML_OK : ml_need_real(op, x);
}

static int common_dtype(const char *op, const ml_tensor *a, const ml_tensor *b, bool whole,
                        int *out) {
  int x = a->dtype, y = b->dtype;
  *out = x;
  if ((ml_is_float(x) && !ml_is_real(x)) || (ml_is_float(y) && !ml_is_real(y)))
    return ml_need_real(op, ml_is_real(x) || ml_is_integer(x) ? b : a);
  if (x == ML_F64 || y == ML_F64) *out = ML_F64;
  else if (x == ML_F32 || y == ML_F32 || !whole) *out = ML_F32;
  else *out = x == y && x != ML_BOOL ? x : ML_I64;
  return ML_OK;
}

int ml_op_to(ml_tensor **out, const ml_arg *a);

/* through the recorded cast, so that a mixed sum still has gradients */
static int converted(ml_tensor **out, ml_tensor *x, int dtype) {
  if (x->dtype == dtype) return *out = ml_tensor_ref(x), ML_OK;
  return ml_op_to(out, (ml_arg[]){{.t = x}, {.i = dtype}});
}

int ml_promote(const char *op, ml_tensor **pa, ml_tensor **pb, ml_tensor *a, ml_tensor *b,
               bool whole) {
  int dtype = ML_F32, st = common_dtype(op, a, b, whole, &dtype);
  ml_tensor *x = NULL;
  if (st == ML_OK) st = converted(&x, a, dtype);
  if (st == ML_OK) st = converted(pb, b, dtype);
  if (st != ML_OK) return ml_tensor_free(x), st;
  *pa = x;
  return ML_OK;
}

int ml_empty_broadcast(ml_tensor **y, int dtype, const char *op, const ml_tensor *a,
                       const ml_tensor *b) {
  ml_sizes z;
  if (ml_broadcast(&z, a, b) != ML_OK)
    return ml_fail(ML_ESHAPE, "%s: sizes differ, %s and %s", op, ml_shape(a).s, ml_shape(b).s);
  return ml_tensor_new(y, dtype, z.ndim, z.size);
}

/* ---- what nodes keep ---- */
int ml_keep(ml_node *n, ml_tensor *t) {
  ml_tensor *alias;
  int st = ml_view_alias(&alias, t);
  if (st != ML_OK) return st;
  ml_node_save(n, alias);
  ml_tensor_free(alias);
  return ML_OK;
}

void ml_note_shape(ml_node *n, const ml_tensor *x) {
  n->i[0] = x->ndim;
  memcpy(n->i + 1, x->size, (size_t)x->ndim * sizeof x->size[0]);
}

ml_sizes ml_noted_shape(const ml_node *n) {
  ml_sizes z = {.ndim = (int)n->i[0]};
  memcpy(z.size, n->i + 1, (size_t)z.ndim * sizeof z.size[0]);
  return z;
}

/* beside dy's sizes, an operand's are its number of dimensions and which of them are 1 */
void ml_note_operand(ml_node *n, int k, const ml_tensor *x) {
  n->i[2 + 2 * k] = x->ndim;
  n->i[3 + 2 * k] = 0;
  for (int d = 0; d < x->ndim; d++)
    if (x->size[d] == 1) n->i[3 + 2 * k] |= 1 << d;
}

int ml_sum_to_operand(ml_tensor **dx, ml_tensor *v, const ml_node *n, int k) {
  int64_t size[ML_MAX_DIMS];
  int nd = (int)n->i[2 + 2 * k];
  for (int d = 0; d < nd; d++)
    size[d] = n->i[3 + 2 * k] >> d & 1 ? 1 : v->size[v->ndim - nd + d];
  return ml_sum_to(dx, v, nd, size);
}

/* ---- elementwise ---- */
static void row1(void *ctx, char *const *p, const int64_t *s, int64_t n) {
  (*(ml_map1 **)ctx)(p[0], p[1], s[1], n);
}
void ml_row2(void *ctx, char *const *p, const int64_t *s, int64_t n) {
  (*(ml_map2 **)ctx)(p[0], p[1], s[1], p[2], s[2], n);
}

int ml_apply1(ml_tensor **out, ml_map1 *f, ml_tensor *x) {
  ml_tensor *y = NULL;
  int st;
  TRY(ml_tensor_like(&y, x));
  TRY(ml_iterate(2, (ml_tensor *[]){y, x}, row1, &f));
  *out = y, y = NULL;
done:
  ml_tensor_free(y);
  return st;
}

int ml_apply2(ml_tensor **out, ml_map2 *f, ml_tensor *a, ml_tensor *b) {
  ml_tensor *y = NULL;
  int st;
  TRY(ml_empty_broadcast(&y, a->dtype, "elementwise", a, b));
  TRY(ml_iterate(3, (ml_tensor *[]){y, a, b}, ml_row2, &f));
  *out = y, y = NULL;
done:
  ml_tensor_free(y);
  return st;
}

typedef struct { const ml_kernels *k; double a; } scale_job;
static void scale_row(void *ctx, char *const *p, const int64_t *s, int64_t n) {
  const scale_job *j = ctx;
  j->k->scale(p[0], p[1], s[1], n, j->a);
}

int ml_scaled(ml_tensor **out, ml_tensor *x, double a) {
  ml_tensor *y = NULL;
  int st;
  TRY(ml_tensor_like(&y, x));
  TRY(ml_iterate(2, (ml_tensor *[]){y, x}, scale_row, &(scale_job){ml_k(x->dtype), a}));
  *out = y, y = NULL;
done:
  ml_tensor_free(y);
  return st;
}
