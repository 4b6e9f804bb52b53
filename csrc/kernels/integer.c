/* integer.c -- see integer.h. */
#include "kernels/integer.h"

#include <string.h>

static int64_t compute(int code, int64_t a, int64_t b) {
  switch (code) {
  case ML_INT_ADD: return (int64_t)((uint64_t)a + (uint64_t)b);
  case ML_INT_SUB: return (int64_t)((uint64_t)a - (uint64_t)b);
  case ML_INT_MUL: return (int64_t)((uint64_t)a * (uint64_t)b);
  case ML_INT_MAX: return a > b ? a : b;
  default: return a < b ? a : b;
  }
}

void ml_int_binary(int code, int64_t *y, const int64_t *a, int64_t sa, const int64_t *b,
                   int64_t sb, int64_t n) {
  for (int64_t i = 0; i < n; i++) y[i] = compute(code, a[i * sa], b[i * sb]);
}

void ml_int_compare(int code, uint8_t *y, const int64_t *a, int64_t sa, const int64_t *b,
                    int64_t sb, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    int64_t p = a[i * sa], q = b[i * sb];
    y[i] = code == ML_INT_EQ ? p == q : code == ML_INT_NE ? p != q : code == ML_INT_LT ? p < q
                                                                                       : p <= q;
  }
}

void ml_int_where(int64_t *y, const uint8_t *c, int64_t sc, const int64_t *a, int64_t sa,
                  const int64_t *b, int64_t sb, int64_t n) {
  for (int64_t i = 0; i < n; i++) y[i] = c[i * sc] ? a[i * sa] : b[i * sb];
}

void ml_int_row_sum(int64_t *y, const int64_t *x, int64_t r0, int64_t r1, int64_t C) {
  for (int64_t r = r0; r < r1; r++) {
    uint64_t s = 0;
    for (int64_t c = 0; c < C; c++) s += (uint64_t)x[r * C + c];
    y[r] = (int64_t)s;
  }
}

void ml_int_row_arg(int64_t *y, const int64_t *x, int64_t r0, int64_t r1, int64_t C,
                    bool largest) {
  for (int64_t r = r0; r < r1; r++) {
    const int64_t *v = x + r * C;
    int64_t best = 0;
    for (int64_t c = 1; c < C; c++)
      if (largest ? v[c] > v[best] : v[c] < v[best]) best = c;
    y[r] = best;
  }
}

void ml_int_row_cumsum(int64_t *y, const int64_t *x, int64_t r0, int64_t r1, int64_t C) {
  for (int64_t r = r0; r < r1; r++) {
    uint64_t s = 0;
    for (int64_t c = 0; c < C; c++) y[r * C + c] = (int64_t)(s += (uint64_t)x[r * C + c]);
  }
}

void ml_int_row_sort(int64_t *idx, const int64_t *x, int64_t C, bool descending, int64_t *tmp) {
  for (int64_t i = 0; i < C; i++) idx[i] = i;
  int64_t *from = idx, *to = tmp;
  for (int64_t w = 1; w < C; w *= 2) { /* bottom-up merges: stable */
    for (int64_t lo = 0; lo < C; lo += 2 * w) {
      int64_t mid = lo + w < C ? lo + w : C, hi = lo + 2 * w < C ? lo + 2 * w : C;
      for (int64_t i = lo, j = mid, k = lo; k < hi; k++) {
        bool right = j < hi && (i >= mid || (descending ? x[from[j]] > x[from[i]]
                                                        : x[from[j]] < x[from[i]]));
        to[k] = right ? from[j++] : from[i++];
      }
    }
    int64_t *t = from;
    from = to, to = t;
  }
  if (from != idx) memcpy(idx, from, (size_t)C * sizeof *idx);
}

void ml_int_gather_row(int64_t *y, const int64_t *x, const int64_t *idx, int64_t r0, int64_t r1,
                       int64_t C, int64_t S) {
  for (int64_t r = r0; r < r1; r++)
    for (int64_t c = 0; c < C; c++) y[r * C + c] = x[r * S + idx[r * C + c]];
}

void ml_int_take_rows(char *y, const char *x, const int64_t *ids, int64_t r0, int64_t r1,
                      int64_t bytes) {
  for (int64_t r = r0; r < r1; r++)
    memcpy(y + r * bytes, x + ids[r] * bytes, (size_t)bytes);
}

void ml_int_iota(int64_t *y, int64_t n) {
  for (int64_t i = 0; i < n; i++) y[i] = i;
}

void ml_int_triangle(uint8_t *y, int64_t R, int64_t C, int64_t k, bool lower) {
  k = k > C ? C : k < -R ? -R : k; /* beyond these nothing changes, and r + k fits */
  for (int64_t r = 0; r < R; r++)
    for (int64_t c = 0; c < C; c++) y[r * C + c] = lower ? c <= r + k : c >= r + k;
}

int64_t ml_int_labels(int64_t *ids, int64_t *learned, int64_t n, int64_t ignore, int64_t V,
                      int64_t *bad) {
  int64_t count = 0;
  for (int64_t i = 0; i < n; i++) {
    learned[i] = ids[i] != ignore;
    if (!learned[i]) ids[i] = 0;
    else if (ids[i] < 0 || ids[i] >= V) return *bad = i, -1;
    count += learned[i];
  }
  return count;
}

int64_t ml_int_runs(int64_t *start, const int64_t *x, int64_t R, int64_t C) {
  int64_t n = 0;
  for (int64_t i = 0; i < R * C; i++)
    if (i % C == 0 || x[i] != x[i - 1]) start[n++] = i;
  return n;
}

bool ml_int_shift_check(int64_t *idx, int64_t n, int64_t shift, int64_t limit, int64_t *bad) {
  for (int64_t i = 0; i < n; i++) {
    int64_t v = idx[i];
    if (v < -shift || v >= limit - shift) return *bad = v, false;
    idx[i] = v + shift;
  }
  return true;
}

bool ml_int_positions(int64_t *idx, int64_t n, int64_t limit, int64_t *bad) {
  for (int64_t i = 0; i < n; i++) {
    int64_t v = idx[i];
    if (v == 0 || v > limit || v < -limit) return *bad = v, false;
    idx[i] = v > 0 ? v - 1 : v + limit;
  }
  return true;
}

void ml_int_group(int64_t *order, int64_t *first, const int64_t *ids, int64_t n, int64_t V) {
  memset(first, 0, (size_t)(V + 1) * sizeof *first);
  for (int64_t i = 0; i < n; i++) first[ids[i] + 1]++;
  for (int64_t v = 0; v < V; v++) first[v + 1] += first[v];
  for (int64_t i = 0; i < n; i++) order[first[ids[i]]++] = i; /* first[v] ends where v + 1 began */
  for (int64_t v = V; v > 0; v--) first[v] = first[v - 1];
  first[0] = 0;
}
