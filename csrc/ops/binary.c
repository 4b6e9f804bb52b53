/* binary.c -- y = f(a, b) with broadcasting. Integers stay exact (i64 wraps, narrower ones
** saturate); a float beside an integer makes a float; division and powers always do. Gradients
** are summed back to each operand's shape; maximum and minimum give a tie's gradient to a. */
#include "kernels/integer.h"
#include "ops/internal.h"

enum { ADD, SUB, MUL, DIV, MAX, MIN, POW };

static int backward(ml_node *n, ml_tensor *dy, ml_tensor **dx);
static const ml_op table[] = {{"add", backward}, {"sub", backward}, {"mul", backward},
                              {"div", backward}, {"maximum", backward}, {"minimum", backward},
                              {"pow", backward}};
static const int integer_code[] = {ML_INT_ADD, ML_INT_SUB, ML_INT_MUL, -1, ML_INT_MAX, ML_INT_MIN,
                                   -1};

static ml_map2 *kernel(int dtype, int which) {
  const ml_kernels *k = ml_k(dtype);
  ml_map2 *const f[] = {k->add, k->sub, k->mul, k->div, k->max, k->min, k->pow};
  return f[which];
}

/* ---- gradients: *v gets side's, of the result's shape ---- */
/* v where mask is `inside`, else 0 */
static int only_where(ml_tensor **out, ml_tensor *mask, ml_tensor *v, bool inside) {
  ml_tensor *zero = NULL;
  int st;
  TRY(ml_tensor_scalar(&zero, v->dtype, 0));
  ml_arg args[] = {{.t = mask}, {.t = inside ? v : zero}, {.t = inside ? zero : v}};
  TRY(ml_op_where(out, args));
done:
  ml_tensor_free(zero);
  return st;
}

/* all of dy where the operand was chosen */
static int chosen(ml_tensor **v, int which, ml_tensor *dy, ml_tensor *a, ml_tensor *b, int side) {
  ml_tensor *pick = NULL;
  int st;
  TRY(ml_op_le(&pick, (ml_arg[]){{.t = which == MAX ? b : a}, {.t = which == MAX ? a : b}}));
  TRY(only_where(v, pick, dy, side == 0));
done:
  ml_tensor_free(pick);
  return st;
}

/* d(a/b)/db = -(a / b) / b */
static int quotient_slope(ml_tensor **v, ml_tensor *dy, ml_tensor *a, ml_tensor *b) {
  const ml_kernels *k = ml_k(dy->dtype);
  ml_tensor *t = NULL, *q = NULL, *w = NULL;
  int st;
  TRY(ml_apply2(&t, k->div, dy, b));
  TRY(ml_apply2(&q, k->div, a, b));
  TRY(ml_apply2(&w, k->mul, t, q));
  TRY(ml_apply1(v, k->neg, w));
done:
  ml_tensor_free(t), ml_tensor_free(q), ml_tensor_free(w);
  return st;
}

/* is the slope 0 whatever log and powers say? Of the base where b is 0; of the exponent where
** a is 0, but for a negative b, where a^b is infinite */
static int power_flat(ml_tensor **out, ml_tensor *zero, ml_tensor *a, ml_tensor *b, int side) {
  ml_tensor *none = NULL, *fine = NULL;
  int st;
  if (side == 0) return ml_op_eq(out, (ml_arg[]){{.t = b}, {.t = zero}});
  TRY(ml_op_eq(&none, (ml_arg[]){{.t = a}, {.t = zero}}));
  TRY(ml_op_ge(&fine, (ml_arg[]){{.t = b}, {.t = zero}}));
  TRY(ml_op_logical_and(out, (ml_arg[]){{.t = none}, {.t = fine}}));
done:
  ml_tensor_free(none), ml_tensor_free(fine);
  return st;
}

/* d(a^b)/da = b a^(b-1); d/db = a^b log a */
static int power_slope(ml_tensor **v, ml_tensor *dy, ml_tensor *a, ml_tensor *b, int side) {
  const ml_kernels *k = ml_k(dy->dtype);
  ml_tensor *one = NULL, *zero = NULL, *less = NULL, *p = NULL, *q = NULL, *all = NULL;
  ml_tensor *flat = NULL;
  int st;
  TRY(ml_tensor_scalar(&one, dy->dtype, 1));
  TRY(ml_tensor_scalar(&zero, dy->dtype, 0));
  if (side == 0) TRY(ml_apply2(&less, k->sub, b, one));
  TRY(ml_apply2(&p, k->pow, a, side == 0 ? less : b));
  if (side == 1) TRY(ml_apply1(&less, k->log, a));
  TRY(ml_apply2(&q, k->mul, p, side == 0 ? b : less));
  TRY(ml_apply2(&all, k->mul, dy, q));
  TRY(power_flat(&flat, zero, a, b, side));
  TRY(only_where(v, flat, all, false));
done:
  ml_tensor_free(one), ml_tensor_free(zero), ml_tensor_free(less), ml_tensor_free(p);
  ml_tensor_free(q), ml_tensor_free(all), ml_tensor_free(flat);
  return st;
}

static int slope(ml_tensor **v, int which, ml_tensor *dy, ml_tensor *a, ml_tensor *b, int side) {
  const ml_kernels *k = ml_k(dy->dtype);
  switch (which) {
  case MUL: return ml_apply2(v, k->mul, dy, side == 0 ? b : a);
  case DIV: return side == 0 ? ml_apply2(v, k->div, dy, b) : quotient_slope(v, dy, a, b);
  case POW: return power_slope(v, dy, a, b, side);
  case MAX: case MIN: return chosen(v, which, dy, a, b, side);
  case SUB: if (side == 1) return ml_apply1(v, k->neg, dy); /* fall through */
  default: return *v = ml_tensor_ref(dy), ML_OK;
  }
}

/* which operands a side's gradient looks at: of a product the other one, of a sum none */
static bool needs_operand(int which, const ml_node *n, int k) {
  if (which <= SUB) return false;
  if (which == MUL) return ml_node_needs(n, 1 - k);
  if (which == DIV) return k == 1 || ml_node_needs(n, 1);
  return true;
}

static int backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  int which = (int)n->i[0], st = ML_OK, at = 0;
  ml_tensor *in[2] = {NULL, NULL}, *v = NULL;
  for (int k = 0; k < 2; k++)
    if (needs_operand(which, n, k)) TRY(ml_node_saved(n, at++, &in[k]));
  for (int k = 0; k < 2; k++) {
    if (!ml_node_needs(n, k)) continue;
    TRY(slope(&v, which, dy, in[0], in[1], k));
    TRY(ml_sum_to_operand(&dx[k], v, n, k));
    ml_tensor_free(v), v = NULL;
  }
done:
  ml_tensor_free(v);
  return st;
}

static int record(ml_tensor *y, int which, ml_tensor *const *in) {
  ml_node *n;
  int st = ml_record(&n, &table[which], y, 2, in);
  if (n == NULL) return st;
  n->i[0] = which;
  for (int k = 0; k < 2 && st == ML_OK; k++) {
    ml_note_operand(n, k, in[k]);
    if (needs_operand(which, n, k)) st = ml_keep(n, in[k]);
  }
  return st;
}

/* ---- forward ---- */
static void int_row(void *ctx, char *const *p, const int64_t *s, int64_t n) {
  ml_int_binary(*(const int *)ctx, (int64_t *)p[0], (const int64_t *)p[1], s[1],
                (const int64_t *)p[2], s[2], n);
}

/* exact, in 64 bits, back to the operands' dtype */
static int integers(ml_tensor **out, int which, ml_tensor *a, ml_tensor *b) {
  ml_tensor *x = NULL, *z = NULL, *y = NULL;
  int st, code = integer_code[which];
  TRY(ml_to_dtype(&x, a, ML_I64));
  TRY(ml_to_dtype(&z, b, ML_I64));
  TRY(ml_empty_broadcast(&y, ML_I64, table[which].name, x, z));
  TRY(ml_iterate(3, (ml_tensor *[]){y, x, z}, int_row, &code));
  TRY(ml_to_dtype(out, y, a->dtype));
done:
  ml_tensor_free(x), ml_tensor_free(z), ml_tensor_free(y);
  return st;
}

static int reals(ml_tensor **out, int which, ml_tensor *a, ml_tensor *b) {
  ml_map2 *f = kernel(a->dtype, which);
  ml_tensor *y = NULL;
  int st;
  TRY(ml_empty_broadcast(&y, a->dtype, table[which].name, a, b));
  TRY(ml_iterate(3, (ml_tensor *[]){y, a, b}, ml_row2, &f));
  TRY(record(y, which, (ml_tensor *[]){a, b}));
  *out = y, y = NULL;
done:
  ml_tensor_free(y);
  return st;
}

static int binary(ml_tensor **out, int which, ml_tensor *a0, ml_tensor *b0) {
  ml_tensor *a, *b;
  int st = ml_promote(table[which].name, &a, &b, a0, b0, integer_code[which] >= 0);
  if (st != ML_OK) return st;
  st = ml_is_real(a->dtype) ? reals(out, which, a, b) : integers(out, which, a, b);
  ml_tensor_free(a), ml_tensor_free(b);
  return st;
}

int ml_add(ml_tensor **out, ml_tensor *a, ml_tensor *b) { return binary(out, ADD, a, b); }
int ml_sub(ml_tensor **out, ml_tensor *a, ml_tensor *b) { return binary(out, SUB, a, b); }
int ml_mul(ml_tensor **out, ml_tensor *a, ml_tensor *b) { return binary(out, MUL, a, b); }
int ml_div(ml_tensor **out, ml_tensor *a, ml_tensor *b) { return binary(out, DIV, a, b); }

#define BINARY(name, which) \
  int ml_op_##name(ml_tensor **out, const ml_arg *a) { return binary(out, which, a[0].t, a[1].t); }
BINARY(add, ADD)
BINARY(sub, SUB)
BINARY(mul, MUL)
BINARY(div, DIV)
BINARY(maximum, MAX)
BINARY(minimum, MIN)
BINARY(pow, POW)
