/* where.c -- where(c, a, b), masked_fill, tril, triu, clamp. */
#include "kernels/integer.h"
#include "ops/internal.h"

#include <math.h>

typedef struct { const ml_kernels *k; double lo, hi; } job;

static void real_row(void *ctx, char *const *p, const int64_t *s, int64_t n) {
  ((const job *)ctx)->k->where(p[0], (const uint8_t *)p[1], s[1], p[2], s[2], p[3], s[3], n);
}
static void int_row(void *ctx, char *const *p, const int64_t *s, int64_t n) {
  (void)ctx;
  ml_int_where((int64_t *)p[0], (const uint8_t *)p[1], s[1], (const int64_t *)p[2], s[2],
               (const int64_t *)p[3], s[3], n);
}

static int backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  ml_tensor *c, *zero = NULL, *v = NULL;
  int st;
  TRY(ml_node_saved(n, 0, &c));
  TRY(ml_tensor_scalar(&zero, dy->dtype, 0));
  for (int side = 0; side < 2; side++) {
    if (!ml_node_needs(n, side)) continue;
    ml_arg args[] = {{.t = c}, {.t = side ? zero : dy}, {.t = side ? dy : zero}};
    TRY(ml_op_where(&v, args));
    TRY(ml_sum_to_operand(&dx[side], v, n, side));
    ml_tensor_free(v), v = NULL;
  }
done:
  ml_tensor_free(zero), ml_tensor_free(v);
  return st;
}
static const ml_op where_op = {"where", backward, NULL};

/* the shape all three broadcast to */
static int three(ml_tensor **y, int dtype, ml_tensor *c, ml_tensor *a, ml_tensor *b) {
  ml_tensor *ab = NULL;
  int st;
  TRY(ml_empty_broadcast(&ab, ML_BOOL, "where", a, b));
  TRY(ml_empty_broadcast(y, dtype, "where", ab, c));
done:
  ml_tensor_free(ab);
  return st;
}

static int choose(ml_tensor **out, ml_tensor *c, ml_tensor *a, ml_tensor *b) {
  ml_tensor *x = NULL, *z = NULL, *y = NULL;
  int st;
  bool real = ml_is_real(a->dtype);
  TRY(real ? ml_contiguous(&x, a) : ml_to_dtype(&x, a, ML_I64));
  TRY(real ? ml_contiguous(&z, b) : ml_to_dtype(&z, b, ML_I64));
  TRY(three(&y, x->dtype, c, x, z));
  job j = {real ? ml_k(x->dtype) : NULL, 0, 0};
  TRY(ml_iterate(4, (ml_tensor *[]){y, c, x, z}, real ? real_row : int_row, &j));
  TRY(ml_to_dtype(out, y, a->dtype));
done:
  ml_tensor_free(x), ml_tensor_free(z), ml_tensor_free(y);
  return st;
}

static int where(ml_tensor **out, const char *name, ml_tensor *c, ml_tensor *a0, ml_tensor *b0) {
  ml_tensor *a = NULL, *b = NULL, *y = NULL;
  ml_node *n = NULL;
  int st;
  if (a0->dtype == ML_BOOL && b0->dtype == ML_BOOL) return choose(out, c, a0, b0);
  TRY(ml_promote(name, &a, &b, a0, b0, true));
  TRY(choose(&y, c, a, b));
  TRY(ml_record(&n, &where_op, y, 2, (ml_tensor *[]){a, b}));
  if (n) {
    TRY(ml_keep(n, c));
    ml_note_operand(n, 0, a), ml_note_operand(n, 1, b);
  }
  *out = y, y = NULL;
done:
  ml_tensor_free(a), ml_tensor_free(b), ml_tensor_free(y);
  return st;
}

int ml_op_where(ml_tensor **out, const ml_arg *a) {
  int c = a[0].t->dtype;
  if (c != ML_BOOL && c != ML_U8)
    return ml_fail(ML_ETYPE, "where: the condition must be bool, got %s", ml_dtype_name(c));
  return where(out, "where", a[0].t, a[1].t, a[2].t);
}

/* ---- triangles: x where column <= row + k (tril), or >= (triu), else 0 ---- */
static int triangle(ml_tensor **out, const char *name, const ml_arg *a, bool lower) {
  ml_tensor *x = a[0].t, *mask = NULL, *zero = NULL;
  int st;
  if (x->ndim < 2)
    return ml_fail(ML_ESHAPE, "%s: needs a matrix, got %s", name, ml_shape(x).s);
  int64_t size[2] = {x->size[x->ndim - 2], x->size[x->ndim - 1]};
  TRY(ml_tensor_new(&mask, ML_BOOL, 2, size));
  ml_int_triangle(ml_data(mask), size[0], size[1], a[1].i, lower);
  TRY(ml_tensor_scalar(&zero, x->dtype, 0));
  TRY(where(out, name, mask, x, zero));
done:
  ml_tensor_free(mask), ml_tensor_free(zero);
  return st;
}
int ml_op_tril(ml_tensor **out, const ml_arg *a) { return triangle(out, "tril", a, true); }
int ml_op_triu(ml_tensor **out, const ml_arg *a) { return triangle(out, "triu", a, false); }

/* x with value where mask is true */
int ml_op_masked_fill(ml_tensor **out, const ml_arg *a) {
  ml_sizes z;
  int mask = a[1].t->dtype;
  if (mask != ML_BOOL && mask != ML_U8)
    return ml_fail(ML_ETYPE, "masked_fill: the mask must be bool, got %s", ml_dtype_name(mask));
  if (ml_broadcast(&z, a[0].t, a[1].t) != ML_OK)
    return ml_fail(ML_ESHAPE, "masked_fill: sizes differ, %s and mask %s", ml_shape(a[0].t).s,
                   ml_shape(a[1].t).s);
  return where(out, "masked_fill", a[1].t, a[2].t, a[0].t);
}

static void clamp_row(void *ctx, char *const *p, const int64_t *s, int64_t n) {
  const job *j = ctx;
  j->k->clamp(p[0], p[1], s[1], n, j->lo, j->hi);
}

static int clamp_backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  ml_tensor *x, *y = NULL, *same = NULL, *zero = NULL;
  int st;
  TRY(ml_node_saved(n, 0, &x));
  job j = {ml_k(x->dtype), n->d[0], n->d[1]};
  TRY(ml_tensor_like(&y, x));
  TRY(ml_iterate(2, (ml_tensor *[]){y, x}, clamp_row, &j));
  TRY(ml_op_eq(&same, (ml_arg[]){{.t = x}, {.t = y}}));
  TRY(ml_tensor_scalar(&zero, dy->dtype, 0));
  TRY(choose(dx, same, dy, zero));
done:
  ml_tensor_free(y), ml_tensor_free(same), ml_tensor_free(zero);
  return st;
}
static const ml_op clamp_op = {"clamp", clamp_backward, NULL};

/* are both bounds integers, or absent? */
static bool whole_bounds(double lo, double hi) { return floor(lo) == lo && floor(hi) == hi; }

/* integers: bounds saturate to their dtype */
static int clamp_integers(ml_tensor **out, const ml_arg *a) {
  ml_tensor *lo = NULL, *hi = NULL, *y = NULL;
  int st, dtype = a[0].t->dtype == ML_BOOL ? ML_I64 : a[0].t->dtype;
  TRY(ml_tensor_scalar(&lo, dtype, a[1].n));
  TRY(ml_tensor_scalar(&hi, dtype, a[2].n));
  TRY(ml_op_maximum(&y, (ml_arg[]){{.t = a[0].t}, {.t = lo}}));
  TRY(ml_op_minimum(out, (ml_arg[]){{.t = y}, {.t = hi}}));
done:
  ml_tensor_free(lo), ml_tensor_free(hi), ml_tensor_free(y);
  return st;
}

/* min(max(x, lo), hi); a bound with a fraction makes f32 of integers, as in arithmetic */
int ml_op_clamp(ml_tensor **out, const ml_arg *a) {
  ml_tensor *x = NULL, *y = NULL;
  ml_node *n = NULL;
  bool integer = ml_is_integer(a[0].t->dtype);
  int st;
  if (integer && whole_bounds(a[1].n, a[2].n)) return clamp_integers(out, a);
  TRY(integer ? ml_to_dtype(&x, a[0].t, ML_F32) : (x = ml_tensor_ref(a[0].t), ML_OK));
  TRY(ml_need_real("clamp", x));
  job j = {ml_k(x->dtype), a[1].n, a[2].n};
  TRY(ml_tensor_like(&y, x));
  TRY(ml_iterate(2, (ml_tensor *[]){y, x}, clamp_row, &j));
  TRY(ml_record(&n, &clamp_op, y, 1, &x));
  if (n) {
    n->d[0] = j.lo, n->d[1] = j.hi;
    TRY(ml_keep(n, x));
  }
  *out = y, y = NULL;
done:
  ml_tensor_free(x), ml_tensor_free(y);
  return st;
}
