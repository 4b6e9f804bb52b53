/* dispatch.c -- which table serves f32: the widest ISA of this machine, or the one asked for. */
#include "kernels/kernels.h"

#include <stdio.h>
#include <string.h>

extern const ml_kernels ml_k_table_scalar, ml_k_table_f64;
#if defined(__x86_64__)
extern const ml_kernels ml_k_table_avx2, ml_k_table_avx512;
#elif defined(__aarch64__)
extern const ml_kernels ml_k_table_neon;
#endif

static const ml_kernels *const table[ML_ISA_COUNT] = {
  [ML_ISA_SCALAR] = &ml_k_table_scalar,
#if defined(__x86_64__)
  [ML_ISA_AVX2] = &ml_k_table_avx2,
  [ML_ISA_AVX512] = &ml_k_table_avx512,
#elif defined(__aarch64__)
  [ML_ISA_NEON] = &ml_k_table_neon,
#endif
};

const ml_kernels *ml_k_of[2] = {&ml_k_table_scalar, &ml_k_table_f64};
static int chosen = ML_ISA_SCALAR;

int ml_isa(void) { return chosen; }

int ml_isa_set(int isa) {
  if (isa >= 0 && isa < ML_ISA_COUNT && table[isa] && ml_cpu_has(isa)) {
    chosen = isa;
    ml_k_of[ML_F32] = table[isa];
    return ML_OK;
  }
  char have[64] = "";
  for (int i = 0; i < ML_ISA_COUNT; i++)
    if (table[i] && ml_cpu_has(i)) {
      size_t n = strlen(have);
      snprintf(have + n, sizeof have - n, "%s%s", n ? ", " : "", ml_isa_name(i));
    }
  return ml_fail(ML_EARG, "isa: %s is not available on this machine, it has %s", ml_isa_name(isa),
                 have);
}

__attribute__((constructor)) static void choose_widest(void) {
  static const int order[] = {ML_ISA_AVX512, ML_ISA_AVX2, ML_ISA_NEON, ML_ISA_SCALAR};
  for (int i = 0; i < 4; i++)
    if (ml_cpu_has(order[i]) && table[order[i]]) {
      ml_isa_set(order[i]);
      return;
    }
}

int64_t ml_dtype_size(int dtype) {
  static const int64_t size[ML_DTYPES] = {4, 8, 8, 4, 1, 1, 2, 2};
  return size[dtype];
}

const char *ml_dtype_name(int dtype) {
  static const char *const name[ML_DTYPES] = {"f32", "f64", "i64", "i32", "u8", "bool", "bf16",
                                              "f16"};
  return dtype >= 0 && dtype < ML_DTYPES ? name[dtype] : "unknown";
}
