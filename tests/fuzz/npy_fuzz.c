/* npy_fuzz.c -- any bytes: a clean failure, or one tensor that lies inside the file. */
#include "ckpt/ckpt.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  ml_bundle *b = NULL;
  if (ml_bundle_new(&b) != ML_OK) return 0;
  ml_reader r = ml_reader_of(p, n);
  if (ml_npy_read(b, &r) == ML_OK) {
    ml_tensor *t = b->item[0].tensor;
    if (b->count != 1 || ml_numel(t) * ml_dtype_size(t->dtype) > (int64_t)n) __builtin_trap();
  }
  ml_bundle_free(b);
  return 0;
}
