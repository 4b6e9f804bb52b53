/* detmath.c -- exp, log, pow, sin, cos in double from + - * / and bit operations only: libm
** differs between versions and architectures, these do not. Within 2 ulp; not for hot loops. */
#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

static const double LN2_HI = 6.93147180369123816490e-01, LN2_LO = 1.90821492927058770002e-10;

static double pow2(int n) { /* n in [-1022, 1023] */
  uint64_t u = (uint64_t)(n + 1023) << 52;
  double d;
  memcpy(&d, &u, 8);
  return d;
}

/* r in [-ln2/2, ln2/2] (+ a tail): Taylor to r^13, far below an ulp */
static double exp_small(double r) {
  double p = 1;
  for (int k = 13; k >= 1; k--) p = 1 + p * r / k;
  return p;
}

/* e^(x + tail) */
static double exp_pair(double x, double tail) {
  if (x != x) return x;
  if (x > 709.79) return INFINITY;
  if (x < -745.2) return 0;
  double n = rint(x / 0.69314718055994531);
  double r = (x - n * LN2_HI) - (n * LN2_LO - tail);
  int half = (int)n / 2; /* in two steps: the result may be subnormal or near the top */
  return exp_small(r) * pow2(half) * pow2((int)n - half);
}

double ml_exp(double x) { return exp_pair(x, 0); }

/* Dekker and Knuth: exact products and sums as pairs */
typedef struct { double hi, lo; } pair;
static pair sum(double a, double b) {
  double s = a + b, t = s - a;
  return (pair){s, (a - (s - t)) + (b - t)};
}
static pair product(double a, double b) {
  const double split = 134217729.0;
  double p = a * b, ca = split * a, cb = split * b;
  double ah = ca - (ca - a), al = a - ah, bh = cb - (cb - b), bl = b - bh;
  return (pair){p, ((ah * bh - p) + ah * bl + al * bh) + al * bl};
}

/* log x as a pair: 2 atanh(s), s = (m-1)/(m+1), the leading terms with their errors kept */
static pair log_pair(double x) {
  int k = 0;
  double m = frexp(x, &k); /* exact */
  if (m < 0.70710678118654752) m *= 2, k--;
  double num = m - 1, den = m + 1, s = num / den;
  pair back = product(s, den);
  double slo = (((num - back.hi) - back.lo) - s * ((m - den) + 1)) / den;
  double z = s * s, p = 0;
  for (int j = 27; j >= 3; j -= 2) p = p * z + 2.0 / j;
  double tail = s * z * p + 2 * slo + k * LN2_LO;
  pair a = sum(k * LN2_HI, 2 * s);
  return sum(a.hi, a.lo + tail);
}

double ml_log(double x) {
  if (x != x || x == INFINITY) return x;
  if (x <= 0) return x == 0 ? -INFINITY : NAN;
  pair l = log_pair(x);
  return l.hi + l.lo;
}

double ml_pow(double x, double y) {
  if (y == 0 || x == 1) return 1;
  pair l = log_pair(x);
  pair e = product(l.hi, y);
  if (!isfinite(e.hi) || fabs(e.hi) > 800) return e.hi > 0 ? INFINITY : 0;
  return exp_pair(e.hi, e.lo + l.lo * y);
}

/* |r| <= pi/4, with its tail */
static double sin_small(double r, double t) {
  double z = r * r, p = 0;
  static const double c[] = {-1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880, -1.0 / 39916800,
                             1.0 / 6227020800.0, -1.0 / 1307674368000.0};
  for (int i = 6; i >= 0; i--) p = p * z + c[i];
  return r + (r * z * p + t * (1 - 0.5 * z));
}
static double cos_small(double r, double t) {
  double z = r * r, p = 0;
  static const double c[] = {1.0 / 24, -1.0 / 720, 1.0 / 40320, -1.0 / 3628800, 1.0 / 479001600,
                             -1.0 / 87178291200.0, 1.0 / 20922789888000.0};
  for (int i = 6; i >= 0; i--) p = p * z + c[i];
  pair h = sum(1, -0.5 * z);
  return h.hi + (h.lo + z * z * p - r * t);
}

/* pi/2 in three doubles; their products with n as exact pairs, so that nothing is lost near a
** zero of sine however large n is */
static double quarter_sin(double x, int shift) {
  if (!isfinite(x)) return NAN;
  double n = rint(x / 1.57079632679489662);
  pair p = product(n, 1.57079632679489655800e+00), q1 = product(n, 6.12323399573676603587e-17);
  pair r = sum(x - p.hi, -p.lo); /* x - p.hi is exact: they are close */
  pair a = sum(r.hi, -q1.hi);
  pair b = sum(a.hi, a.lo + (r.lo - q1.lo - n * -1.49738490485919e-33));
  int q = (int)((int64_t)n + shift) & 3;
  double y = q & 1 ? cos_small(b.hi, b.lo) : sin_small(b.hi, b.lo);
  return q & 2 ? -y : y;
}

double ml_sin(double x) { return quarter_sin(x, 0); }
double ml_cos(double x) { return quarter_sin(x, 1); }
