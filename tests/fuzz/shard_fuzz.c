/* shard_fuzz.c -- any bytes: a clean failure, or a shard all of whose documents and rows can be
** read. The hash is not asked for: nothing but a real file would ever pass it. */
#include "data/data.h"

#include <stdlib.h>
#include <string.h>

static void read_rows(ml_shard *s, int64_t length, bool whole) {
  ml_rows *r = NULL;
  if (ml_rows_new(&r, s, length, whole) != ML_OK) return;
  int64_t n = ml_rows_count(r);
  for (int64_t i = 0; i < n && i < 1000; i++) {
    ml_tensor *ids = NULL, *mask = NULL, *doc = NULL;
    int st = ml_rows_fill(r, &i, 1, &ids, &mask, &doc);
    if (st != ML_OK && st != ML_ENOMEM) __builtin_trap();
    ml_tensor_free(ids), ml_tensor_free(mask), ml_tensor_free(doc);
  }
  ml_rows_free(r);
}

static void read_documents(ml_shard *s) {
  volatile char sum = 0;
  for (int64_t d = 0; d < ml_shard_documents(s); d++) {
    int64_t from = ml_shard_begin(s, d), n = ml_shard_begin(s, d + 1) - from;
    size_t bytes;
    const char *name = ml_shard_name(s, d, &bytes);
    for (size_t i = 0; i < bytes; i++) sum += name[i];
    int64_t *ids = malloc((size_t)(n + 1) * 8);
    float *mask = malloc((size_t)(n + 1) * 4);
    ml_shard_ids(s, from, n, ids);
    ml_shard_mask(s, from, n, mask);
    free(ids), free(mask);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  ml_shard *s = NULL;
  if (ml_shard_of(&s, (uint8_t *)p, n, false, false) != ML_OK) return 0;
  read_documents(s);
  read_rows(s, 5, false);
  read_rows(s, 5, true);
  ml_shard_free(s);
  return 0;
}
