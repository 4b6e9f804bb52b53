/* reduce.c -- one number a row (16 lanes, then the tree), column partials, flat partials, order. */
#include "kernels/isa.h"

#define ROWS(expr)                                            \
  for (int64_t r = r0; r < r1; r++) {                         \
    const real *x = px + r * ldx;                             \
    y[r] = (expr);                                            \
  }

/* lane l takes l, l+16, ...; lanes past the end add +0, which changes no sum but -0 */
static real sum_of(const real *x, int64_t n) {
  vf s = v_zero();
  for (int64_t i = 0; i < n; i += 16) s = v_add(s, v_loadn(x + i, n - i));
  return v_sum(s);
}
static real sumsq_of(const real *x, int64_t n) {
  vf s = v_zero();
  for (int64_t i = 0; i < n; i += 16) {
    vf v = v_loadn(x + i, n - i);
    s = v_fma(v, v, s);
  }
  return v_sum(s);
}
static real dot_of(const real *a, const real *b, int64_t n) {
  vf s = v_zero();
  for (int64_t i = 0; i < n; i += 16)
    s = v_fma(v_loadn(a + i, n - i), v_loadn(b + i, n - i), s);
  return v_sum(s);
}

/* the largest (smallest) value, NaN if there is one; n >= 1. x[0] fills the tail: it cannot win
** where it would not have won before */
SIMD real extreme_of(const real *x, int64_t n, bool largest) {
  vf m = v_set(-INFINITY), nan = v_zero();
  for (int64_t i = 0; i < n; i += 16) {
    vf v = v_loadn_or(x + i, n - i, x[0]);
    nan = v_select(v_eq(v, v), nan, v);
    m = v_max(largest ? v : v_neg(v), m);
  }
  real top = v_hmax(m), sum = v_sum(nan);
  return sum != sum ? sum : largest ? top : -top;
}

/* first position of the largest (smallest); a NaN beats everything. Blocks are compared by
** vectors, then the winning block is searched. */
SIMD int64_t arg_of(const real *x, int64_t n, bool largest) {
  enum { BLOCK = 512 };
  int64_t at = 0;
  real best = x[0];
  for (int64_t b = 0; b < n && best == best; b += BLOCK) {
    real m = extreme_of(x + b, n - b < BLOCK ? n - b : BLOCK, largest);
    if (m != m || (largest ? m > best : m < best)) best = m, at = b;
  }
  while (x[at] != best && x[at] == x[at]) at++;
  return at;
}

void K(row_sum)(real *y, const real *px, int64_t ldx, int64_t r0, int64_t r1, int64_t C) {
  ROWS(sum_of(x, C))
}
void K(row_sumsq)(real *y, const real *px, int64_t ldx, int64_t r0, int64_t r1, int64_t C) {
  ROWS(sumsq_of(x, C))
}
void K(row_dot)(real *y, const real *a, int64_t lda, const real *b, int64_t ldb, int64_t r0,
                int64_t r1, int64_t C) {
  for (int64_t r = r0; r < r1; r++) y[r] = dot_of(a + r * lda, b + r * ldb, C);
}
void K(row_max)(real *y, const real *px, int64_t ldx, int64_t r0, int64_t r1, int64_t C) {
  ROWS(x[arg_of(x, C, true)])
}
void K(row_min)(real *y, const real *px, int64_t ldx, int64_t r0, int64_t r1, int64_t C) {
  ROWS(x[arg_of(x, C, false)])
}
void K(row_argmax)(int64_t *y, const real *px, int64_t ldx, int64_t r0, int64_t r1, int64_t C) {
  ROWS(arg_of(x, C, true))
}
void K(row_argmin)(int64_t *y, const real *px, int64_t ldx, int64_t r0, int64_t r1, int64_t C) {
  ROWS(arg_of(x, C, false))
}

void K(row_cumsum)(real *y, const real *x, int64_t r0, int64_t r1, int64_t C, bool reverse) {
  for (int64_t r = r0; r < r1; r++) {
    real s = 0;
    for (int64_t j = 0; j < C; j++) {
      int64_t c = r * C + (reverse ? C - 1 - j : j);
      y[c] = s += x[c];
    }
  }
}

/* does position a come before b? NaN last in either direction */
static bool before(const real *x, int64_t a, int64_t b, bool descending) {
  bool nan_a = x[a] != x[a], nan_b = x[b] != x[b];
  if (nan_a || nan_b) return !nan_a && nan_b;
  return descending ? x[a] > x[b] : x[a] < x[b];
}

/* bottom-up merge sort of positions: stable, no recursion, n log n at worst */
void K(row_sort)(int64_t *idx, const real *x, int64_t C, bool descending, int64_t *tmp) {
  for (int64_t i = 0; i < C; i++) idx[i] = i;
  int64_t *from = idx, *to = tmp;
  for (int64_t w = 1; w < C; w *= 2) {
    for (int64_t lo = 0; lo < C; lo += 2 * w) {
      int64_t mid = lo + w < C ? lo + w : C, hi = lo + 2 * w < C ? lo + 2 * w : C;
      for (int64_t i = lo, j = mid, k = lo; k < hi; k++)
        to[k] = j >= hi || (i < mid && !before(x, from[j], from[i], descending)) ? from[i++]
                                                                                 : from[j++];
    }
    int64_t *t = from;
    from = to, to = t;
  }
  if (from != idx) memcpy(idx, from, (size_t)C * sizeof *idx);
}

void K(col_sum)(real *y, const real *x, int64_t ldx, int64_t r0, int64_t r1, int64_t C) {
  for (int64_t c = 0; c < C; c += 16) {
    vf s = v_zero();
    for (int64_t r = r0; r < r1; r++) s = v_add(s, v_loadn(x + r * ldx + c, C - c));
    v_storen(y + c, s, C - c);
  }
}

void K(col_dot)(real *y, const real *a, int64_t lda, const real *b, int64_t ldb, int64_t r0,
                int64_t r1, int64_t C) {
  for (int64_t c = 0; c < C; c += 16) {
    vf s = v_zero();
    for (int64_t r = r0; r < r1; r++)
      s = v_fma(v_loadn(a + r * lda + c, C - c), v_loadn(b + r * ldb + c, C - c), s);
    v_storen(y + c, s, C - c);
  }
}

void K(col_finish)(real *y, const real *partials, int64_t P, int64_t C, bool accumulate) {
  for (int64_t c = 0; c < C; c += 16) {
    vf s = v_zero();
    for (int64_t p = 0; p < P; p++) s = v_add(s, v_loadn(partials + p * C + c, C - c));
    if (accumulate) s = v_add(v_loadn(y + c, C - c), s);
    v_storen(y + c, s, C - c);
  }
}

#define BLOCKS(expr)                                                            \
  for (int64_t b = b0; b < b1; b++) {                                           \
    int64_t at = b * ML_DET_FLAT, len = n - at < ML_DET_FLAT ? n - at : ML_DET_FLAT; \
    partial[b] = (expr);                                                        \
  }

void K(flat_sumsq)(real *partial, const real *x, int64_t n, int64_t b0, int64_t b1) {
  BLOCKS(sumsq_of(x + at, len))
}
void K(flat_sum)(real *partial, const real *x, int64_t n, int64_t b0, int64_t b1) {
  BLOCKS(sum_of(x + at, len))
}
