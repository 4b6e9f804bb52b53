/* lines_fuzz.c -- any bytes, plain or as gzip: a clean failure, or lines within the limit that
** together are the text. */
#include "data/data.h"

enum { LIMIT = 5000 };

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  ml_lines *l = NULL;
  volatile char sum = 0;
  size_t total = 0, len = 0;
  int64_t lines = 0;
  const char *line;
  if (ml_lines_of(&l, "input", p, n, LIMIT) != ML_OK) return 0;
  bool gzip = n >= 2 && p[0] == 0x1f && p[1] == 0x8b;
  for (int st; (st = ml_lines_next(l, &line, &len)) == ML_OK && line; lines++) {
    if (len > LIMIT || ml_lines_number(l) != lines + 1) __builtin_trap();
    for (size_t i = 0; i < len; i++) sum += line[i];
    if (lines == 100 && (st = ml_lines_rest(l, &line, &len)) != ML_OK) break;
    total += len;
  }
  if (!gzip && total > n) __builtin_trap();
  ml_lines_close(l);
  return 0;
}
