/* safetensors_fuzz.c -- any bytes: a clean failure, or tensors that lie inside the file. */
#include "ckpt/ckpt.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  ml_bundle *b = NULL;
  if (ml_bundle_new(&b) != ML_OK) return 0;
  ml_reader r = ml_reader_of(p, n);
  int st = ml_safetensors_read(b, &r);
  int64_t bytes = 0;
  for (int64_t i = 0; st == ML_OK && i < b->count; i++)
    bytes += ml_numel(b->item[i].tensor) * ml_dtype_size(b->item[i].tensor->dtype);
  if (st == ML_OK && bytes > (int64_t)n) __builtin_trap();
  ml_bundle_free(b);
  return 0;
}
