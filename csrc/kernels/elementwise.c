/* elementwise.c -- y[i] = f(x[i]) and y[i] = f(a[i], b[i]). A stride of 1 loads vectors, 0
** broadcasts, others gather; every element goes through the same vector code. */
#include "kernels/isa.h"
#include "kernels/math.h"

#define MAP1(name, expr)                                              \
  void K(name)(real *y, const real *px, int64_t sx, int64_t n) {      \
    for (int64_t i = 0; i < n; i += 16) {                             \
      vf x = v_loads(px + i * sx, sx, n - i);                         \
      v_storen(y + i, (expr), n - i);                                 \
    }                                                                 \
  }

#define MAP2(name, expr)                                                                     \
  void K(name)(real *y, const real *pa, int64_t sa, const real *pb, int64_t sb, int64_t n) { \
    for (int64_t i = 0; i < n; i += 16) {                                                    \
      vf a = v_loads(pa + i * sa, sa, n - i), b = v_loads(pb + i * sb, sb, n - i);           \
      v_storen(y + i, (expr), n - i);                                                        \
    }                                                                                        \
  }

#define ONE v_set(1)
#define ZERO v_zero()

SIMD vf half_erf(vf x) { /* (1 + erf(x / sqrt 2)) / 2 */
  return v_fma(v_erf(v_mul(x, v_set((real)0.70710678118654752))), v_set((real)0.5),
               v_set((real)0.5));
}
/* (1 + tanh u) / 2 is the sigmoid of 2u: e^-2u for u = sqrt(2/pi) (x + 0.044715 x^3). Bounded, so
** that what is made of it is never inf times 0. */
SIMD vf gelu_exp(vf x) {
  vf c = v_fma(v_mul(x, x), v_set((real)0.044715), ONE);
  vf t = v_mul(v_mul(x, c), v_set((real)-1.5957691216057307));
  return v_exp(v_min(v_set(80), t)); /* NaN stays NaN */
}
SIMD vf soft_tail(vf x) { return v_log1p(v_exp(v_neg(v_abs(x)))); } /* log(1 + e^-|x|) */
SIMD vf relu(vf x) { return v_select(v_lt(x, ZERO), ZERO, x); }     /* NaN stays NaN */
SIMD vf sign(vf x) {
  vf s = v_select(v_lt(x, ZERO), v_set(-1), x);
  return v_select(v_lt(ZERO, x), ONE, s);
}

MAP1(exp, v_exp(x))
MAP1(log, v_log(x))
MAP1(sqrt, v_sqrt(x))
MAP1(neg, v_neg(x))
MAP1(abs, v_abs(x))
MAP1(sin, v_sin(x))
MAP1(cos, v_cos(x))
MAP1(erf, v_erf(x))
MAP1(tanh, v_tanh(x))
MAP1(sigmoid, v_sigmoid(x))
MAP1(silu, v_mul(x, v_sigmoid(x)))
MAP1(gelu, v_mul(x, half_erf(x)))
MAP1(gelu_tanh, v_div(x, v_add(ONE, gelu_exp(x))))
MAP1(relu, relu(x))
MAP1(relu2, v_mul(relu(x), relu(x)))
MAP1(logsigmoid, v_sub(v_min(x, ZERO), soft_tail(x)))
MAP1(softplus, v_add(v_max(x, ZERO), soft_tail(x)))
MAP1(reciprocal, v_div(ONE, x))
MAP1(floor, v_floor(x))
MAP1(sign, sign(x))

/* a if it is NaN, else the larger (smaller); b's NaN spreads by the comparison's order */
SIMD vf larger(vf a, vf b) { return v_select(v_eq(a, a), v_max(a, b), a); }
SIMD vf smaller(vf a, vf b) { return v_select(v_eq(a, a), v_min(a, b), a); }

MAP2(add, v_add(a, b))
MAP2(sub, v_sub(a, b))
MAP2(mul, v_mul(a, b))
MAP2(div, v_div(a, b))
MAP2(max, larger(a, b))
MAP2(min, smaller(a, b))

/* gradients: a is dy; b is x, or y for tanh and sigmoid */
SIMD vf silu_slope(vf x) { /* s (1 + x (1 - s)) */
  vf s = v_sigmoid(x);
  return v_mul(s, v_fma(x, v_sub(ONE, s), ONE));
}
SIMD vf gelu_slope(vf x) { /* Phi(x) + x phi(x) */
  vf phi = v_mul(v_exp(v_mul(v_mul(x, x), v_set((real)-0.5))), v_set((real)0.39894228040143268));
  return v_fma(x, phi, half_erf(x));
}
SIMD vf gelu_tanh_slope(vf x) { /* s + x s (1 - s) 2u', s the sigmoid; 0 or 1 beyond 32 */
  x = v_max(v_set(-32), v_min(v_set(32), x));
  vf e = gelu_exp(x), s = v_div(ONE, v_add(ONE, e));
  vf du = v_fma(v_mul(x, x), v_set((real)(1.5957691216057307 * 3 * 0.044715)),
                v_set((real)1.5957691216057307));
  return v_fma(v_mul(x, du), v_mul(v_mul(e, s), s), s);
}
MAP2(tanh_grad, v_mul(a, v_fnma(b, b, ONE)))
MAP2(sigmoid_grad, v_mul(a, v_mul(b, v_sub(ONE, b))))
MAP2(silu_grad, v_mul(a, silu_slope(b)))
MAP2(gelu_grad, v_mul(a, gelu_slope(b)))
MAP2(gelu_tanh_grad, v_mul(a, gelu_tanh_slope(b)))
MAP2(relu_grad, v_select(v_lt(ZERO, b), a, ZERO))
MAP2(relu2_grad, v_mul(a, v_add(relu(b), relu(b))))
MAP2(logsigmoid_grad, v_mul(a, v_sigmoid(v_neg(b))))
MAP2(softplus_grad, v_mul(a, v_sigmoid(b)))
MAP2(erf_grad, v_mul(a, v_mul(v_exp(v_neg(v_mul(b, b))), v_set((real)1.1283791670955126))))

/* one element at a time, in double: pow has too many special cases for a polynomial */
static double power(double x, double y) {
  if (y == 0 || x == 1) return 1;
  if (isnan(x) || isnan(y)) return NAN;
  if (y == 1) return x;
  if (y == 2) return x * x;
  if (y == 0.5 && x >= 0) return sqrt(x);
  double a = fabs(x), whole = floor(y);
  bool odd = whole == y && fabs(y) < 0x1p53 && fmod(fabs(y), 2) == 1;
  double m;
  if (isinf(y)) return a == 1 ? 1 : (a > 1) == (y > 0) ? INFINITY : 0;
  if (a == 0) m = y > 0 ? 0 : INFINITY;
  else if (isinf(a)) m = y > 0 ? INFINITY : 0;
  else if (x < 0 && whole != y) return NAN;
  else m = ml_pow(a, y);
  return odd && signbit(x) ? -m : m;
}

void K(pow)(real *y, const real *a, int64_t sa, const real *b, int64_t sb, int64_t n) {
  for (int64_t i = 0; i < n; i++) y[i] = (real)power((double)a[i * sa], (double)b[i * sb]);
}

#define CMP(name, expr)                                                                   \
  void K(name)(uint8_t *y, const real *a, int64_t sa, const real *b, int64_t sb, int64_t n) { \
    for (int64_t i = 0; i < n; i++) y[i] = a[i * sa] expr b[i * sb];                      \
  }
CMP(eq, ==)
CMP(ne, !=)
CMP(lt, <)
CMP(le, <=)

void K(isnan)(uint8_t *y, const real *x, int64_t sx, int64_t n) {
  for (int64_t i = 0; i < n; i++) y[i] = x[i * sx] != x[i * sx];
}

void K(where)(real *y, const uint8_t *c, int64_t sc, const real *a, int64_t sa, const real *b,
              int64_t sb, int64_t n) {
  for (int64_t i = 0; i < n; i++) y[i] = c[i * sc] ? a[i * sa] : b[i * sb];
}

void K(clamp)(real *y, const real *x, int64_t sx, int64_t n, double lo, double hi) {
  vf l = v_set((real)lo), h = v_set((real)hi);
  for (int64_t i = 0; i < n; i += 16) {
    vf v = v_loads(x + i * sx, sx, n - i);
    v_storen(y + i, v_min(h, v_max(l, v)), n - i); /* this order lets NaN through */
  }
}

void K(axpy)(real *y, const real *x, int64_t sx, int64_t n, double a) {
  vf k = v_set((real)a);
  for (int64_t i = 0; i < n; i += 16)
    v_storen(y + i, v_fma(k, v_loads(x + i * sx, sx, n - i), v_loadn(y + i, n - i)), n - i);
}

void K(scale)(real *y, const real *x, int64_t sx, int64_t n, double a) {
  vf k = v_set((real)a);
  for (int64_t i = 0; i < n; i += 16)
    v_storen(y + i, v_mul(k, v_loads(x + i * sx, sx, n - i)), n - i);
}

void K(fill)(real *y, int64_t n, double a) {
  for (int64_t i = 0; i < n; i++) y[i] = (real)a;
}

void K(copy)(real *y, int64_t sy, const real *x, int64_t sx, int64_t n) {
  if (sy == 1 && sx == 1) memmove(y, x, (size_t)n * sizeof *y);
  else
    for (int64_t i = 0; i < n; i++) y[i * sy] = x[i * sx];
}

void K(swiglu)(real *y, const real *g, const real *u, int64_t n) {
  for (int64_t i = 0; i < n; i += 16) {
    vf x = v_loadn(g + i, n - i);
    v_storen(y + i, v_mul(v_mul(x, v_sigmoid(x)), v_loadn(u + i, n - i)), n - i);
  }
}

void K(swiglu_grad)(real *dg, real *du, real *y, const real *dy, const real *g, const real *u,
                    int64_t n) {
  for (int64_t i = 0; i < n; i += 16) {
    vf x = v_loadn(g + i, n - i), d = v_loadn(dy + i, n - i), up = v_loadn(u + i, n - i);
    vf s = v_sigmoid(x), silu = v_mul(x, s);
    vf slope = v_mul(s, v_fma(x, v_sub(ONE, s), ONE));
    v_storen(y + i, v_mul(silu, up), n - i);
    v_storen(du + i, v_mul(d, silu), n - i);
    v_storen(dg + i, v_mul(v_mul(d, up), slope), n - i);
  }
}

void K(softcap)(real *y, const real *x, int64_t n, double cap) {
  vf c = v_set((real)cap);
  for (int64_t i = 0; i < n; i += 16)
    v_storen(y + i, v_mul(c, v_tanh(v_div(v_loadn(x + i, n - i), c))), n - i);
}

void K(softcap_grad)(real *dx, const real *dy, const real *y, int64_t n, double cap) {
  vf c = v_set((real)cap);
  for (int64_t i = 0; i < n; i += 16) {
    vf t = v_div(v_loadn(y + i, n - i), c);
    v_storen(dx + i, v_mul(v_loadn(dy + i, n - i), v_fnma(t, t, ONE)), n - i);
  }
}
