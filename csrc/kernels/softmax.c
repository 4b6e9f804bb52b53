/* softmax.c -- rows: the largest element, exp(x - max) summed in 16 lanes, one divide a row.
** row_lse is the head's, the sampler's and cross_entropy's one definition of log-sum-exp. */
#include "kernels/isa.h"
#include "kernels/math.h"

#define LOWEST ((real)-1e4) /* what a probability of 0 is multiplied with: no infinity */

static real max_of(const real *x, int64_t n) {
  vf m = v_set(-INFINITY);
  for (int64_t i = 0; i < n; i += 16) m = v_max(v_loadn_or(x + i, n - i, -INFINITY), m);
  return v_hmax(m);
}

/* sum of exp(x - m) over a row, and the terms in y if it is not NULL */
static real exp_sum(real *y, const real *x, int64_t n, real m) {
  vf s = v_zero();
  for (int64_t i = 0; i < n; i += 16) {
    vf e = v_exp_low(v_sub(v_loadn_or(x + i, n - i, -INFINITY), v_set(m)));
    if (y) v_storen(y + i, e, n - i);
    s = v_add(s, e);
  }
  return v_sum(s);
}

static real log_of(real x) {
  real t[16];
  v_store(t, v_log(v_set(x)));
  return t[0];
}

static real exp_of(real x) {
  real t[16];
  v_store(t, v_exp(v_set(x)));
  return t[0];
}

void K(softmax)(real *y, const real *x, int64_t r0, int64_t r1, int64_t C) {
  for (int64_t r = r0; r < r1; r++) {
    real *yr = y + r * C;
    real s = exp_sum(yr, x + r * C, C, max_of(x + r * C, C));
    K(scale)(yr, yr, 1, C, (double)(1 / s));
  }
}

/* dx = y (dy - sum(dy y)) */
void K(softmax_grad)(real *dx, const real *dy, const real *y, int64_t r0, int64_t r1, int64_t C) {
  for (int64_t r = r0; r < r1; r++) {
    const real *a = dy + r * C, *b = y + r * C;
    real d;
    K(row_dot)(&d, a, C, b, C, 0, 1, C);
    for (int64_t i = 0; i < C; i += 16)
      v_storen(dx + r * C + i,
               v_mul(v_loadn(b + i, C - i), v_sub(v_loadn(a + i, C - i), v_set(d))), C - i);
  }
}

void K(log_softmax)(real *y, const real *x, int64_t r0, int64_t r1, int64_t C) {
  for (int64_t r = r0; r < r1; r++) {
    const real *xr = x + r * C;
    real m = max_of(xr, C), l = log_of(exp_sum(NULL, xr, C, m));
    for (int64_t i = 0; i < C; i += 16)
      v_storen(y + r * C + i, v_sub(v_sub(v_loadn(xr + i, C - i), v_set(m)), v_set(l)), C - i);
  }
}

/* dx = dy - exp(y) sum(dy) */
void K(log_softmax_grad)(real *dx, const real *dy, const real *y, int64_t r0, int64_t r1,
                         int64_t C) {
  for (int64_t r = r0; r < r1; r++) {
    const real *a = dy + r * C, *b = y + r * C;
    real s;
    K(row_sum)(&s, a, C, 0, 1, C);
    for (int64_t i = 0; i < C; i += 16)
      v_storen(dx + r * C + i,
               v_fnma(v_exp(v_loadn(b + i, C - i)), v_set(s), v_loadn(a + i, C - i)), C - i);
  }
}

/* the same sum, and *dot, that of exp(x - m) (x - m); an id that cannot be adds nothing */
static real exp_dot(real *dot, const real *x, int64_t n, real m) {
  vf s = v_zero(), d = v_zero();
  for (int64_t i = 0; i < n; i += 16) {
    vf t = v_sub(v_loadn_or(x + i, n - i, -INFINITY), v_set(m)), e = v_exp_low(t);
    s = v_add(s, e);
    d = v_fma(e, v_max(t, v_set(LOWEST)), d);
  }
  *dot = v_sum(d);
  return v_sum(s);
}

/* a block's (m, s, d) joins dot, the sum of exp(z - max) (z - max), before its pair is joined */
static real dot_add(real dot, real max, real sum, real m, real s, real d) {
  if (max == -INFINITY) return d; /* the first */
  if (m > max) return (dot + sum * (max - m)) * exp_of(max - m) + d;
  return dot + (d + s * (m - max)) * exp_of(m - max);
}

/* a block of n ids joins the running pair: the larger maximum wins, the other sum shrinks. dot may
** be NULL */
static void lse_add(real *max, real *sum, real *dot, const real *z, int64_t n) {
  real m = max_of(z, n), d;
  if (m == -INFINITY) { /* every id of the block is forbidden: adds 0, or NaN if one is NaN */
    *sum += exp_sum(NULL, z, n, 0);
    return;
  }
  real s = dot ? exp_dot(&d, z, n, m) : exp_sum(NULL, z, n, m);
  if (dot) *dot = dot_add(*dot, *max, *sum, m, s, d);
  if (m > *max) *sum = *sum * exp_of(*max - m) + s, *max = m;
  else *sum = *sum + s * exp_of(m - *max);
}

void K(row_lse_add)(real *max, real *sum, const real *z, int64_t ldz, int64_t r0, int64_t r1,
                    int64_t n, bool first) {
  for (int64_t r = r0; r < r1; r++) {
    if (first) max[r] = -INFINITY, sum[r] = 0;
    lse_add(max + r, sum + r, NULL, z + r * ldz, n);
  }
}

void K(row_entropy_add)(real *max, real *sum, real *dot, const real *z, int64_t ldz, int64_t r0,
                        int64_t r1, int64_t n, bool first) {
  for (int64_t r = r0; r < r1; r++) {
    if (first) max[r] = -INFINITY, sum[r] = 0, dot[r] = 0;
    lse_add(max + r, sum + r, dot + r, z + r * ldz, n);
  }
}

void K(row_entropy_end)(real *y, const real *sum, const real *dot, int64_t r0, int64_t r1) {
  for (int64_t r = r0; r < r1; r += 16) {
    vf s = v_loadn(sum + r, r1 - r);
    v_storen(y + r, v_sub(v_log(s), v_div(v_loadn(dot + r, r1 - r), s)), r1 - r);
  }
}

void K(row_lse_end)(real *lse, const real *sum, int64_t r0, int64_t r1) {
  for (int64_t r = r0; r < r1; r += 16)
    v_storen(lse + r, v_add(v_loadn(lse + r, r1 - r), v_log(v_loadn(sum + r, r1 - r))), r1 - r);
}

void K(row_lse)(real *lse, const real *z, int64_t ldz, int64_t r0, int64_t r1, int64_t V) {
  for (int64_t r = r0; r < r1; r++) {
    real sum = 0;
    lse[r] = -INFINITY;
    for (int64_t b = 0; b < V; b += ML_DET_HEAD_VOCAB)
      lse_add(lse + r, &sum, NULL, z + r * ldz + b,
              V - b < ML_DET_HEAD_VOCAB ? V - b : ML_DET_HEAD_VOCAB);
    K(row_lse_end)(lse + r, &sum, 0, 1);
  }
}

void K(ce_grad)(real *z, int64_t ldz, const real *lse, const int64_t *ids, int64_t first,
                const real *g, int64_t r0, int64_t r1, int64_t V) {
  for (int64_t r = r0; r < r1; r++) {
    real *zr = z + r * ldz;
    if (g[r] == 0) { /* not learned: exactly nothing, whatever its logits */
      memset(zr, 0, (size_t)V * sizeof *zr);
      continue;
    }
    vf l = v_set(lse[r]), k = v_set(g[r]);
    for (int64_t i = 0; i < V; i += 16)
      v_storen(zr + i, v_mul(v_exp_low(v_sub(v_loadn(zr + i, V - i), l)), k), V - i);
    int64_t id = ids[r] - first;
    if (id >= 0 && id < V) zr[id] -= g[r];
  }
}

void K(entropy_grad)(real *z, int64_t ldz, const real *lse, const real *entropy,
                     const int64_t *ids, int64_t first, const real *g, const real *ge, int64_t r0,
                     int64_t r1, int64_t V) {
  for (int64_t r = r0; r < r1; r++) {
    real *zr = z + r * ldz;
    if (g[r] == 0 && ge[r] == 0) {
      memset(zr, 0, (size_t)V * sizeof *zr);
      continue;
    }
    vf l = v_set(lse[r]), h = v_set(entropy[r]), k = v_set(g[r]), ke = v_set(ge[r]);
    for (int64_t i = 0; i < V; i += 16) {
      vf logp = v_sub(v_loadn(zr + i, V - i), l);
      vf slope = v_fnma(ke, v_add(v_max(logp, v_set(LOWEST)), h), k);
      v_storen(zr + i, v_mul(v_exp_low(logp), slope), V - i);
    }
    int64_t id = ids[r] - first;
    if (id >= 0 && id < V) zr[id] -= g[r];
  }
}
