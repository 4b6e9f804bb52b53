/* rope.c -- rotary embedding of pairs (i, i + D/2), as in GPT-NeoX and Hugging Face:
** y1 = x1 cos - x2 sin, y2 = x2 cos + x1 sin. inverse turns the other way: the backward pass. */
#include "kernels/isa.h"

static void turn_head(real *y, const real *x, const real *c, const real *s, int64_t half,
                      bool inverse) {
  for (int64_t i = 0; i < half; i += 16) {
    int64_t n = half - i;
    vf x1 = v_loadn(x + i, n), x2 = v_loadn(x + half + i, n);
    vf cs = v_loadn(c + i, n), sn = v_loadn(s + i, n);
    if (inverse) sn = v_neg(sn);
    v_storen(y + i, v_fma(x1, cs, v_neg(v_mul(x2, sn))), n);
    v_storen(y + half + i, v_fma(x2, cs, v_mul(x1, sn)), n);
  }
}

void K(rope)(real *y, int64_t ldy, const real *x, int64_t ldx, const real *cos_table,
             const real *sin_table, const int32_t *pos, int64_t r0, int64_t r1, int64_t heads,
             int64_t D, bool inverse) {
  for (int64_t r = r0; r < r1; r++) {
    const real *c = cos_table + pos[r] * (D / 2), *s = sin_table + pos[r] * (D / 2);
    for (int64_t h = 0; h < heads; h++)
      turn_head(y + r * ldy + h * D, x + r * ldx + h * D, c, s, D / 2, inverse);
  }
}
