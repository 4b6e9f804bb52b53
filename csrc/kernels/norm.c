/* norm.c -- RMSNorm y = x / rms(x) * w and LayerNorm y = (x - mean) / std * w + b, along rows.
** Backward recomputes the statistics: one more pass over x, nothing kept alive. */
#include "kernels/isa.h"

typedef struct { real mean, rstd; } stats;

static real root(real x) { /* IEEE square root: correctly rounded everywhere */
#if defined(ML_USE_F64)
  return sqrt(x);
#else
  return sqrtf(x);
#endif
}

static stats rms_stats(const real *x, int64_t C, double eps) {
  real ss;
  K(row_sumsq)(&ss, x, C, 0, 1, C);
  return (stats){0, 1 / root(ss / (real)C + (real)eps)}; /* eps inside the root, as in Llama */
}

/* the variance of what is left after the mean is gone: no cancellation */
static stats layer_stats(const real *x, int64_t C, double eps) {
  real sum;
  K(row_sum)(&sum, x, C, 0, 1, C);
  vf m = v_set(sum / (real)C), s = v_zero();
  for (int64_t i = 0; i < C; i += 16) {
    vf d = v_sub(v_loadn_or(x + i, C - i, sum / (real)C), m);
    s = v_fma(d, d, s);
  }
  return (stats){sum / (real)C, 1 / root(v_sum(s) / (real)C + (real)eps)};
}

SIMD vf normal(const real *x, int64_t left, stats s) {
  return v_mul(v_sub(v_loadn(x, left), v_set(s.mean)), v_set(s.rstd));
}

void K(rms_norm)(real *y, const real *x, int64_t ldx, const real *w, int64_t r0, int64_t r1,
                 int64_t C, double eps) {
  for (int64_t r = r0; r < r1; r++) {
    const real *xr = x + r * ldx;
    stats s = rms_stats(xr, C, eps);
    for (int64_t i = 0; i < C; i += 16) {
      vf v = v_mul(v_loadn(xr + i, C - i), v_set(s.rstd));
      if (w) v = v_mul(v, v_loadn(w + i, C - i));
      v_storen(y + r * C + i, v, C - i);
    }
  }
}

void K(layer_norm)(real *y, const real *x, int64_t ldx, const real *w, const real *b, int64_t r0,
                   int64_t r1, int64_t C, double eps) {
  for (int64_t r = r0; r < r1; r++) {
    const real *xr = x + r * ldx;
    stats s = layer_stats(xr, C, eps);
    for (int64_t i = 0; i < C; i += 16) {
      vf v = normal(xr + i, C - i, s);
      if (w) v = v_mul(v, v_loadn(w + i, C - i));
      if (b) v = v_add(v, v_loadn(b + i, C - i));
      v_storen(y + r * C + i, v, C - i);
    }
  }
}

SIMD vf weighted(const real *dy, const real *w, int64_t left) {
  vf g = v_loadn(dy, left);
  return w ? v_mul(g, v_loadn(w, left)) : g;
}

/* with n = (x - mean) rstd and g = dy w: dx = rstd (g - mean(g) - n mean(g n)); RMSNorm has no
** mean to take out */
static void norm_grad(real *dx, const real *dy, const real *x, const real *w, int64_t C, stats s,
                      bool centred, bool accumulate) {
  vf sg = v_zero(), sgn = v_zero();
  for (int64_t i = 0; i < C; i += 16) {
    vf g = weighted(dy + i, w ? w + i : NULL, C - i);
    sg = v_add(sg, g);
    sgn = v_fma(g, normal(x + i, C - i, s), sgn);
  }
  vf mg = v_set(centred ? v_sum(sg) / (real)C : 0), mgn = v_set(v_sum(sgn) / (real)C);
  for (int64_t i = 0; i < C; i += 16) {
    vf g = weighted(dy + i, w ? w + i : NULL, C - i);
    vf d = v_fnma(normal(x + i, C - i, s), mgn, v_sub(g, mg));
    d = v_mul(d, v_set(s.rstd));
    if (accumulate) d = v_add(v_loadn(dx + i, C - i), d);
    v_storen(dx + i, d, C - i);
  }
}

void K(rms_norm_grad)(real *dx, const real *dy, const real *x, int64_t ldx, const real *w,
                      int64_t r0, int64_t r1, int64_t C, double eps, bool accumulate) {
  for (int64_t r = r0; r < r1; r++)
    norm_grad(dx + r * C, dy + r * C, x + r * ldx, w, C, rms_stats(x + r * ldx, C, eps), false,
              accumulate);
}

void K(layer_norm_grad)(real *dx, const real *dy, const real *x, int64_t ldx, const real *w,
                        int64_t r0, int64_t r1, int64_t C, double eps, bool accumulate) {
  for (int64_t r = r0; r < r1; r++)
    norm_grad(dx + r * C, dy + r * C, x + r * ldx, w, C, layer_stats(x + r * ldx, C, eps), true,
              accumulate);
}

/* dw[c] = sum over the rows, ascending, of dy n */
static void gain_grad(real *dw, const real *dy, const real *x, int64_t ldx, int64_t r0, int64_t r1,
                      int64_t C, double eps, stats (*of)(const real *, int64_t, double)) {
  stats s[ML_DET_ROWS];
  for (int64_t r = r0; r < r1; r++) s[r - r0] = of(x + r * ldx, C, eps);
  for (int64_t c = 0; c < C; c += 16) {
    vf sum = v_zero();
    for (int64_t r = r0; r < r1; r++)
      sum = v_fma(v_loadn(dy + r * C + c, C - c), normal(x + r * ldx + c, C - c, s[r - r0]), sum);
    v_storen(dw + c, sum, C - c);
  }
}

void K(rms_norm_dw)(real *dw, const real *dy, const real *x, int64_t ldx, int64_t r0, int64_t r1,
                    int64_t C, double eps) {
  gain_grad(dw, dy, x, ldx, r0, r1, C, eps, rms_stats);
}

void K(layer_norm_dw)(real *dw, const real *dy, const real *x, int64_t ldx, int64_t r0, int64_t r1,
                      int64_t C, double eps) {
  gain_grad(dw, dy, x, ldx, r0, r1, C, eps, layer_stats);
}
