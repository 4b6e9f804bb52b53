/* gather.c -- rows and elements by index. Adjoint sums run in ascending order of position. */
#include "kernels/isa.h"

void K(take_rows)(real *y, const real *w, const int64_t *ids, int64_t r0, int64_t r1, int64_t C) {
  for (int64_t r = r0; r < r1; r++)
    memcpy(y + r * C, w + ids[r] * C, (size_t)C * sizeof *y);
}

void K(add_rows)(real *dw, const real *dy, const int64_t *order, int64_t j0, int64_t j1,
                 int64_t C) {
  for (int64_t c = 0; c < C; c += 16) {
    vf s = v_loadn(dw + c, C - c);
    for (int64_t j = j0; j < j1; j++) s = v_add(s, v_loadn(dy + order[j] * C + c, C - c));
    v_storen(dw + c, s, C - c);
  }
}

void K(gather_row)(real *y, const real *x, const int64_t *idx, int64_t r0, int64_t r1, int64_t C,
                   int64_t S) {
  for (int64_t r = r0; r < r1; r++)
    for (int64_t c = 0; c < C; c++) y[r * C + c] = x[r * S + idx[r * C + c]];
}

void K(scatter_add_row)(real *y, const real *x, const int64_t *idx, int64_t r0, int64_t r1,
                        int64_t C, int64_t S) {
  for (int64_t r = r0; r < r1; r++)
    for (int64_t c = 0; c < C; c++) y[r * S + idx[r * C + c]] += x[r * C + c];
}

void K(pick_row)(real *y, const real *x, int64_t ldx, const int64_t *ids, int64_t first,
                 int64_t r0, int64_t r1, int64_t n) {
  for (int64_t r = r0; r < r1; r++)
    if (ids[r] >= first && ids[r] - first < n) y[r] = x[r * ldx + ids[r] - first];
}
