/* unary.c -- y = f(x) elementwise. A row of the table says which kernel is f, and how its gradient
** is made: by a kernel of (dy, x) or (dy, y), or as dy times or over a kernel of x or y. */
#include "ops/internal.h"

typedef struct {
  ml_op op;
  size_t f;             /* offsets into ml_kernels */
  size_t grad;          /* kernel of (dy, s); 0 = dy (*or/) inner(s) * factor */
  size_t inner;         /* kernel of s; 0 = s itself */
  bool of_y, divide, none;
  double factor;
} unary;

static int backward(ml_node *n, ml_tensor *dy, ml_tensor **dx);

#define AT(k) offsetof(ml_kernels, k)
#define NAME(n) {n, backward, NULL}
#define BY_X(n) {NAME(#n), AT(n), AT(n##_grad), 0, false, false, false, 1}
#define BY_Y(n) {NAME(#n), AT(n), AT(n##_grad), 0, true, false, false, 1}
enum { SILU, GELU, GELU_TANH, RELU, RELU2, LOGSIGMOID, SOFTPLUS, ERF, TANH, SIGMOID, EXP, LOG, SQRT,
       ABS, SIN, COS, FLOOR, SIGN };
static const unary table[] = {
  BY_X(silu), BY_X(gelu), BY_X(gelu_tanh), BY_X(relu), BY_X(relu2), BY_X(logsigmoid),
  BY_X(softplus), BY_X(erf), BY_Y(tanh), BY_Y(sigmoid),
  {NAME("exp"), AT(exp), 0, 0, true, false, false, 1},
  {NAME("log"), AT(log), 0, 0, false, true, false, 1},
  {NAME("sqrt"), AT(sqrt), 0, 0, true, true, false, 0.5},
  {NAME("abs"), AT(abs), 0, AT(sign), false, false, false, 1},
  {NAME("sin"), AT(sin), 0, AT(cos), false, false, false, 1},
  {NAME("cos"), AT(cos), 0, AT(sin), false, false, false, -1},
  {NAME("floor"), AT(floor), 0, 0, false, false, true, 0},
  {NAME("sign"), AT(sign), 0, 0, false, false, true, 0},
};

static void *kernel(int dtype, size_t offset) {
  void *f;
  memcpy(&f, (const char *)ml_k(dtype) + offset, sizeof f);
  return f;
}

static int backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  const unary *u = &table[n->i[0]];
  const ml_kernels *k = ml_k(dy->dtype);
  ml_tensor *s, *inner = NULL, *d = NULL;
  int st = ML_OK;
  if (u->none) return ml_tensor_zeros(dx, dy->dtype, dy->ndim, dy->size);
  TRY(ml_node_saved(n, 0, &s));
  if (u->grad) {
    TRY(ml_apply2(dx, kernel(dy->dtype, u->grad), dy, s));
    goto done;
  }
  if (u->inner) TRY(ml_apply1(&inner, kernel(dy->dtype, u->inner), s));
  TRY(ml_apply2(&d, u->divide ? k->div : k->mul, dy, inner ? inner : s));
  if (u->factor != 1) TRY(ml_scaled(dx, d, u->factor));
  else *dx = d, d = NULL;
done:
  ml_tensor_free(inner), ml_tensor_free(d);
  return st;
}
static int unary_forward(ml_tensor **out, int which, ml_tensor *x) {
  const unary *u = &table[which];
  ml_tensor *y = NULL;
  ml_node *n = NULL;
  int st;
  TRY(ml_need_real(u->op.name, x));
  TRY(ml_apply1(&y, kernel(x->dtype, u->f), x));
  TRY(ml_record(&n, &u->op, y, 1, &x));
  if (n) n->i[0] = which;
  if (n && !u->none) TRY(ml_keep(n, u->of_y ? y : x));
  *out = y, y = NULL;
done:
  ml_tensor_free(y);
  return st;
}

#define UNARY(name, which) \
  int ml_op_##name(ml_tensor **out, const ml_arg *a) { return unary_forward(out, which, a[0].t); }
UNARY(silu, SILU)
UNARY(relu, RELU)
UNARY(relu2, RELU2)
UNARY(logsigmoid, LOGSIGMOID)
UNARY(softplus, SOFTPLUS)
UNARY(erf, ERF)
UNARY(tanh, TANH)
UNARY(sigmoid, SIGMOID)
UNARY(exp, EXP)
UNARY(log, LOG)
UNARY(sqrt, SQRT)
UNARY(sin, SIN)
UNARY(cos, COS)
UNARY(floor, FLOOR)
UNARY(sign, SIGN)

/* approximate: "none" (erf) or "tanh", as in PyTorch */
int ml_op_gelu(ml_tensor **out, const ml_arg *a) {
  bool tanh_form = strcmp(a[1].s, "tanh") == 0;
  if (!tanh_form && strcmp(a[1].s, "none") != 0)
    return ml_fail(ML_EARG, "gelu: approximate must be \"none\" or \"tanh\", got \"%s\"", a[1].s);
  return unary_forward(out, tanh_form ? GELU_TANH : GELU, a[0].t);
}

static int integer_scale(ml_tensor **out, ml_tensor *x, int64_t by) {
  ml_tensor *s = NULL;
  int st;
  TRY(ml_tensor_scalar_i64(&s, x->dtype == ML_BOOL ? ML_I64 : x->dtype, by));
  TRY(ml_mul(out, x, s));
done:
  ml_tensor_free(s);
  return st;
}

static int neg_backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  (void)n;
  return ml_apply1(dx, ml_k(dy->dtype)->neg, dy);
}
static const ml_op neg_op = {"neg", neg_backward, NULL};

int ml_op_neg(ml_tensor **out, const ml_arg *a) {
  ml_tensor *x = a[0].t, *y = NULL;
  ml_node *n = NULL;
  int st;
  if (ml_is_integer(x->dtype)) return integer_scale(out, x, -1);
  TRY(ml_need_real("neg", x));
  TRY(ml_apply1(&y, ml_k(x->dtype)->neg, x));
  TRY(ml_record(&n, &neg_op, y, 1, &x));
  *out = y, y = NULL;
done:
  ml_tensor_free(y);
  return st;
}

int ml_op_abs(ml_tensor **out, const ml_arg *a) {
  ml_tensor *minus = NULL;
  int st;
  if (!ml_is_integer(a[0].t->dtype)) return unary_forward(out, ABS, a[0].t);
  TRY(ml_op_neg(&minus, a));
  TRY(ml_op_maximum(out, (ml_arg[]){{.t = a[0].t}, {.t = minus}}));
done:
  ml_tensor_free(minus);
  return st;
}

int ml_op_reciprocal(ml_tensor **out, const ml_arg *a) {
  ml_tensor *one = NULL;
  int st;
  TRY(ml_need_real("reciprocal", a[0].t));
  TRY(ml_tensor_scalar(&one, a[0].t->dtype, 1));
  TRY(ml_div(out, one, a[0].t));
done:
  ml_tensor_free(one);
  return st;
}
