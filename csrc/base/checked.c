/* checked.c -- products and sums of sizes that came from outside. */
#include "base/base.h"

bool ml_mul_ok(int64_t a, int64_t b, int64_t *out) {
  return a >= 0 && b >= 0 && !__builtin_mul_overflow(a, b, out);
}

bool ml_add_ok(int64_t a, int64_t b, int64_t *out) {
  return a >= 0 && b >= 0 && !__builtin_add_overflow(a, b, out);
}
