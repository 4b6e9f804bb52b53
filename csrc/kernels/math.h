/* math.h -- exp, log, tanh, sigmoid, erf, sin, cos on one vector: own polynomials with explicit
** FMA, the same bits on every ISA. Coefficients are minimax fits, each rounded to float32
** (tests/golden/math_fit.py). The f64 instance is outside the bit promise and calls libm. */
#ifndef ML_MATH_H
#define ML_MATH_H
#include "kernels/simd.h"

#if defined(ML_USE_F64)

static inline real sigmoid64(real x) {
  real e = exp(-fabs(x));
  return x >= 0 ? 1 / (1 + e) : e / (1 + e);
}
SIMD vf v_exp(vf x) { return V16(vf, exp(x.v[i])); }
#define v_exp_low v_exp
SIMD vf v_log(vf x) { return V16(vf, log(x.v[i])); }
SIMD vf v_log1p(vf x) { return V16(vf, log1p(x.v[i])); }
SIMD vf v_tanh(vf x) { return V16(vf, tanh(x.v[i])); }
SIMD vf v_sigmoid(vf x) { return V16(vf, sigmoid64(x.v[i])); }
SIMD vf v_erf(vf x) { return V16(vf, erf(x.v[i])); }
SIMD vf v_sin(vf x) { return V16(vf, sin(x.v[i])); }
SIMD vf v_cos(vf x) { return V16(vf, cos(x.v[i])); }

#else

/* c[0] + c[1] x + ..., by Horner */
#define v_poly(x, ...)                                              \
  ({                                                                \
    static const float c_[] = {__VA_ARGS__};                        \
    vf p_ = v_set(c_[sizeof c_ / sizeof *c_ - 1]);                  \
    for (int k_ = (int)(sizeof c_ / sizeof *c_) - 2; k_ >= 0; k_--) \
      p_ = v_fma(p_, x, v_set(c_[k_]));                             \
    p_;                                                             \
  })

/* 2^n as a float, n in [-126, 127] */
SIMD vf v_pow2(vi n) { return v_frombits(vi_shl(vi_add(n, vi_set(127)), 23)); }

/* |error| <= 1.01 ulp; +0 below -87.3; inf above 88.72 (2^n goes in by halves to get there) */
SIMD vf v_exp(vf x) {
  vf t = v_max(v_set(-88.0f), v_min(v_set(89.0f), x)); /* this order lets NaN through */
  vi n = v_toint(v_mul(t, v_set(1.4426950409f)));
  vf f = v_fromint(n);
  vf r = v_fnma(f, v_set(6.931152343750e-1f), t);
  r = v_fnma(f, v_set(3.194618329871e-5f), r);
  vf p = v_poly(r, 5.000000000e-1f, 1.666666567e-1f, 4.166645557e-2f, 8.333569393e-3f,
                1.393593382e-3f, 1.974269544e-4f);
  vf y = v_add(v_fma(p, v_mul(r, r), r), v_set(1));
  vi half = vi_shr(n, 1);
  y = v_mul(v_mul(y, v_pow2(half)), v_pow2(vi_sub(n, half)));
  return v_select(v_lt(x, v_set(-87.3f)), v_zero(), y);
}

/* v_exp's bits for x <= 88, at two thirds of its price: no upper clamp, and 2^n in one piece */
SIMD vf v_exp_low(vf x) {
  /* 1.5 * 2^23 rounds to an integer, ties to even as v_toint does, and leaves it in the low bits */
  vf w = v_add(v_mul(x, v_set(1.4426950409f)), v_set(0x1.8p23f));
  vf f = v_sub(w, v_set(0x1.8p23f));
  vf r = v_fnma(f, v_set(6.931152343750e-1f), x);
  r = v_fnma(f, v_set(3.194618329871e-5f), r);
  vf p = v_poly(r, 5.000000000e-1f, 1.666666567e-1f, 4.166645557e-2f, 8.333569393e-3f,
                1.393593382e-3f, 1.974269544e-4f);
  vf y = v_add(v_fma(p, v_mul(r, r), r), v_set(1));
  y = v_mul(y, v_pow2(v_bits(w)));
  return v_select(v_lt(x, v_set(-87.3f)), v_zero(), y);
}

/* log of a positive normal number: x = 2^k m, m in [sqrt(1/2), sqrt(2)), f = m - 1, s = f/(2+f),
** log m = f - (f^2/2 - s (f^2/2 + R(s^2))). |error| <= 1 ulp. Others: see v_log. */
SIMD vf v_log(vf x) {
  vm tiny = v_lt(x, v_set(0x1p-126f));
  vf a = v_select(tiny, v_mul(x, v_set(0x1p23f)), x);
  vi bits = v_bits(a);
  vi shifted = vi_sub(bits, vi_set(0x3f3504f3)); /* sqrt(1/2) */
  vf k = v_fromint(vi_shr(shifted, 23));
  k = v_select(tiny, v_sub(k, v_set(23)), k);
  vi m = vi_add(vi_and(shifted, vi_set(0x007fffff)), vi_set(0x3f3504f3));
  vf f = v_sub(v_frombits(m), v_set(1));
  vf s = v_div(f, v_add(f, v_set(2)));
  vf z = v_mul(s, s);
  vf R = v_mul(z, v_poly(z, 6.666666269e-1f, 4.000096619e-1f, 2.849955261e-1f, 2.425746024e-1f));
  vf h = v_mul(v_mul(f, f), v_set(0.5f));
  vf lo = v_fma(s, v_add(h, R), v_mul(k, v_set(3.194618329871e-5f)));
  vf y = v_fma(k, v_set(6.931152343750e-1f), v_sub(f, v_sub(h, lo)));
  y = v_select(v_eq(x, v_zero()), v_set(-INFINITY), y);
  y = v_select(v_eq(x, v_set(INFINITY)), x, y);
  vm fine = v_le(v_zero(), x); /* false for NaN and negative numbers */
  return v_select(fine, y, v_set(NAN));
}

/* log(1 + x), x >= 0: the rounding of 1 + x is put back */
SIMD vf v_log1p(vf x) {
  vf u = v_add(x, v_set(1));
  return v_add(v_log(u), v_div(v_sub(x, v_sub(u, v_set(1))), u));
}

SIMD vf v_copysign(vf magnitude, vf sign) {
  vi s = vi_and(v_bits(sign), vi_set(INT32_MIN));
  return v_frombits(vi_or(v_bits(magnitude), s));
}

SIMD vf v_tanh(vf x) {
  vf t = v_abs(x), z = v_mul(x, x);
  vf p = v_poly(z, -3.333333135e-1f, 1.333322227e-1f, -5.394846201e-2f, 2.170874923e-2f,
                -8.195086382e-3f, 2.157635754e-3f);
  vf small = v_fma(v_mul(x, z), p, x);
  vf e = v_exp(v_add(t, t));
  vf large = v_sub(v_set(1), v_div(v_set(2), v_add(e, v_set(1))));
  return v_copysign(v_select(v_lt(t, v_set(0.625f)), small, large), x); /* -0 too */
}

/* by exp(-|x|) on both sides: never inf / inf */
SIMD vf v_sigmoid(vf x) {
  vf e = v_exp_low(v_neg(v_abs(x)));
  vf top = v_select(v_lt(x, v_zero()), e, v_set(1));
  return v_div(top, v_add(e, v_set(1)));
}

/* below 0.93 x + x P(x^2); above, 1 - exp(-G(|x|)) with G = -log(erfc) */
SIMD vf v_erf(vf x) {
  vf t = v_min(v_set(4), v_abs(x)), z = v_mul(x, x); /* NaN stays NaN */
  vf p = v_poly(z, 1.283791661e-1f, -3.761262894e-1f, 1.128362417e-1f, -2.685558796e-2f,
                5.191947799e-3f, -8.043839480e-4f, 7.969663420e-5f);
  vf small = v_fma(x, p, x);
  vf g = v_poly(t, -1.533821924e-4f, 1.129397035e+0f, 6.336274743e-1f, 1.079053432e-1f,
                -2.481235750e-2f, 4.013090860e-3f, -3.846620384e-4f, 1.230328689e-5f,
                6.651951594e-7f);
  vf large = v_sub(v_set(1), v_exp(v_neg(g)));
  return v_select(v_lt(t, v_set(0.93f)), small, v_copysign(large, x));
}

/* sin of x + shift quarter turns. pi/2 in three floats, each rounded down: with FMA the first
** difference is exact, near a zero of sine nothing is lost (2 ulp for |x| <= 1e5) and -0 stays -0.
** Bounded beyond, where a float's spacing is no longer small against a turn; turns are kept
** inside an int32, past which ISAs convert differently. */
SIMD vf v_quarter_sin(vf x, int shift) {
  vf turns = v_mul(x, v_set(6.3661977237e-1f));
  vi n = v_toint(v_max(v_set(-0x1p30f), v_min(v_set(0x1p30f), turns)));
  vf f = v_fromint(n);
  vf r = v_fnma(f, v_set(1.570796251297e+00f), x);
  r = v_fnma(f, v_set(7.549789415862e-08f), r);
  r = v_fnma(f, v_set(5.390302529958e-15f), r);
  r = v_max(v_set(-1), v_min(v_set(1), r));
  vf z = v_mul(r, r);
  vf s = v_fma(v_mul(r, z), v_poly(z, -1.666666716e-1f, 8.333379403e-3f, -1.985298295e-4f,
                                   2.830803624e-6f), r);
  s = v_copysign(s, r); /* the same sign already, but for -0 */
  vf c = v_poly(z, 4.166666791e-2f, -1.388898003e-3f, 2.482191849e-5f, -2.886054915e-7f);
  c = v_fma(v_mul(z, z), c, v_fma(z, v_set(-0.5f), v_set(1)));
  vi q = vi_add(n, vi_set(shift));
  vf odd = v_fromint(vi_and(q, vi_set(1)));
  vf y = v_select(v_eq(odd, v_zero()), s, c);
  vi sign = vi_shl(vi_and(q, vi_set(2)), 30); /* the upper half turn is negative */
  y = v_frombits(vi_xor(v_bits(y), sign));
  return v_select(v_lt(v_abs(x), v_set(INFINITY)), y, v_set(NAN));
}
SIMD vf v_sin(vf x) { return v_quarter_sin(x, 0); }
SIMD vf v_cos(vf x) { return v_quarter_sin(x, 1); }

#endif
#endif
