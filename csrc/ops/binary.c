/* binary.c -- y = f(a, b) with broadcasting. Integers stay exact; a float beside an integer makes
** a float; division always does. Gradients are summed back to each operand's shape. */
#include "ops/internal.h"
#include "kernels/integer.h"

enum { ADD, SUB, MUL, DIV, MAX, MIN, POW };
static const char *const names[] = {"add", "sub", "mul", "div", "maximum", "minimum", "pow"};
static const int integer_code[] = {ML_INT_ADD, ML_INT_SUB, ML_INT_MUL, -1, ML_INT_MAX, ML_INT_MIN,
                                   -1};

static ml_map2 *kernel(int dtype, int which) {
  const ml_kernels *k = ml_k(dtype);
  ml_map2 *const f[] = {k->add, k->sub, k->mul, k->div, k->max, k->min, k->pow};
  return f[which];
}

/* dx = sum_to(v, shape of operand) where v is consumed */
static int fit(ml_tensor **dx, ml_tensor *v, const ml_tensor *like) {
  int st = ml_sum_to(dx, v, like->ndim, like->size);
  ml_tensor_free(v);
  return st;
}

/* gradient of max and min: all of dy where the operand was chosen, a wins ties */
static int chosen(ml_tensor **v, int which, ml_tensor *dy, ml_tensor *a, ml_tensor *b, int side) {
  ml_tensor *pick = NULL, *zero = NULL;
  ml_tensor *lo = which == MAX ? b : a, *hi = which == MAX ? a : b;
  int st;
  TRY(ml_tensor_scalar(&zero, dy->dtype, 0));
  TRY(ml_op_le(&pick, (ml_arg[]){{.t = lo}, {.t = hi}}));
  TRY(ml_op_where(v, (ml_arg[]){{.t = pick}, {.t = side ? zero : dy}, {.t = side ? dy : zero}}));
done:
  ml_tensor_free(pick), ml_tensor_free(zero);
  return st;
}

/* d(a^b)/da = b a^(b-1); d/db = a^b log a */
static int power_slope(ml_tensor **v, ml_tensor *dy, ml_tensor *a, ml_tensor *b, int side) {
  const ml_kernels *k = ml_k(dy->dtype);
  ml_tensor *one = NULL, *less = NULL, *p = NULL, *q = NULL;
  int st;
  if (side == 0) {
    TRY(ml_tensor_scalar(&one, dy->dtype, 1));
    TRY(ml_apply2(&less, k->sub, b, one));
    TRY(ml_apply2(&p, k->pow, a, less));
    TRY(ml_apply2(&q, k->mul, p, b));
  } else {
    TRY(ml_apply2(&p, k->pow, a, b));
    TRY(ml_apply1(&less, k->log, a));
    TRY(ml_apply2(&q, k->mul, p, less));
  }
  TRY(ml_apply2(v, k->mul, dy, q));
done:
  ml_tensor_free(one), ml_tensor_free(less), ml_tensor_free(p), ml_tensor_free(q);
  return st;
}

/* the gradient at one side, of the result's shape */
static int slope(ml_tensor **v, int which, ml_tensor *dy, ml_tensor *a, ml_tensor *b, int side) {
  const ml_kernels *k = ml_k(dy->dtype);
  ml_tensor *t = NULL, *u = NULL;
  int st = ML_OK;
  switch (which) {
  case ADD: *v = ml_tensor_ref(dy); break;
  case SUB: st = side ? ml_apply1(v, k->neg, dy) : (*v = ml_tensor_ref(dy), ML_OK); break;
  case MUL: st = ml_apply2(v, k->mul, dy, side ? a : b); break;
  case DIV: /* dy / b, and -dy a / b^2 */
    if (!side) return ml_apply2(v, k->div, dy, b);
    TRY(ml_apply2(&t, k->div, dy, b));
    TRY(ml_apply2(&u, k->div, a, b));
    ml_tensor *w = NULL;
    TRY(ml_apply2(&w, k->mul, t, u));
    st = ml_apply1(v, k->neg, w);
    ml_tensor_free(w);
    break;
  case POW: st = power_slope(v, dy, a, b, side); break;
  default: st = chosen(v, which, dy, a, b, side);
  }
done:
  ml_tensor_free(t), ml_tensor_free(u);
  return st;
}

static int backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  ml_tensor *a, *b, *v;
  int st = ml_node_saved(n, 0, &a);
  if (st == ML_OK) st = ml_node_saved(n, 1, &b);
  for (int side = 0; side < 2 && st == ML_OK; side++) {
    if (!ml_node_needs(n, side)) continue;
    st = slope(&v, (int)n->i[0], dy, a, b, side);
    if (st == ML_OK) st = fit(&dx[side], v, side ? b : a);
  }
  return st;
}

/* sums need only the shapes, which a written tensor keeps */
static int sum_backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  int st = ML_OK;
  ml_tensor *v;
  for (int side = 0; side < 2 && st == ML_OK; side++) {
    if (!ml_node_needs(n, side)) continue;
    st = slope(&v, (int)n->i[0], dy, NULL, NULL, side);
    if (st == ML_OK) st = fit(&dx[side], v, n->saved[side]);
  }
  return st;
}
static const ml_op binary_op = {"binary", backward, NULL}, sum_op = {"add", sum_backward, NULL};

typedef struct { int code; } int_job;
static void int_row(void *ctx, char *const *p, const int64_t *s, int64_t n) {
  const int_job *j = ctx;
  ml_int_binary(j->code, (int64_t *)p[0], (const int64_t *)p[1], s[1], (const int64_t *)p[2], s[2],
                n);
}

/* exact, in 64 bits, back to the operands' dtype */
static int integers(ml_tensor **out, int which, ml_tensor *a, ml_tensor *b) {
  ml_tensor *x = NULL, *z = NULL, *y = NULL;
  int st, dtype = a->dtype;
  TRY(ml_to_dtype(&x, a, ML_I64));
  TRY(ml_to_dtype(&z, b, ML_I64));
  TRY(ml_empty_broadcast(&y, ML_I64, names[which], x, z));
  TRY(ml_iterate(3, (ml_tensor *[]){y, x, z}, int_row, &(int_job){integer_code[which]}));
  TRY(ml_to_dtype(out, y, dtype));
done:
  ml_tensor_free(x), ml_tensor_free(z), ml_tensor_free(y);
  return st;
}

static int binary(ml_tensor **out, int which, ml_tensor *a0, ml_tensor *b0) {
  ml_tensor *a = NULL, *b = NULL, *y = NULL;
  ml_node *n = NULL;
  ml_map2 *f;
  int st;
  TRY(ml_promote(names[which], &a, &b, a0, b0, integer_code[which] >= 0));
  if (!ml_is_real(a->dtype)) {
    TRY(integers(out, which, a, b));
    goto done;
  }
  f = kernel(a->dtype, which);
  TRY(ml_empty_broadcast(&y, a->dtype, names[which], a, b));
  TRY(ml_iterate(3, (ml_tensor *[]){y, a, b}, ml_row2, &f));
  TRY(ml_record(&n, which <= SUB ? &sum_op : &binary_op, y, 2, (ml_tensor *[]){a, b}));
  if (n) {
    n->i[0] = which;
    ml_node_save(n, a), ml_node_save(n, b);
  }
  *out = y, y = NULL;
done:
  ml_tensor_free(a), ml_tensor_free(b), ml_tensor_free(y);
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
