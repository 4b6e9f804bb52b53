/* half.c -- rows between float and bf16, which is storage: every kernel computes in float. */
#include "kernels/isa.h"

void K(widen)(real *y, const uint16_t *x, int64_t n) {
  for (int64_t i = 0; i < n; i += 16) v_storen(y + i, v_loadhn(x + i, n - i), n - i);
}

void K(narrow)(uint16_t *y, const real *x, int64_t n) {
  for (int64_t i = 0; i < n; i += 16) v_storehn(y + i, v_loadn(x + i, n - i), n - i);
}
