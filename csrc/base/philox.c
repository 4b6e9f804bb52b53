/* philox.c -- Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC 2011). */
#include "base/base.h"

ml_u32x4 ml_philox(ml_u32x4 c, uint32_t k0, uint32_t k1) {
  for (int round = 0; round < 10; round++) {
    uint64_t a = (uint64_t)0xD2511F53u * c.v[0], b = (uint64_t)0xCD9E8D57u * c.v[2];
    c = (ml_u32x4){{(uint32_t)(b >> 32) ^ c.v[1] ^ k0, (uint32_t)b,
                    (uint32_t)(a >> 32) ^ c.v[3] ^ k1, (uint32_t)a}};
    k0 += 0x9E3779B9u; /* the golden ratio and sqrt(3) - 1: Weyl sequences */
    k1 += 0xBB67AE85u;
  }
  return c;
}

ml_u32x4 ml_random(uint64_t seed, uint32_t stream, uint64_t index, uint32_t step, uint32_t site) {
  ml_u32x4 c = {{(uint32_t)index, (uint32_t)(index >> 32), step, site}};
  return ml_philox(c, (uint32_t)seed, stream ^ (uint32_t)(seed >> 32));
}
