/* lines_fuzz.c -- any bytes, plain or as gzip: a clean failure, or lines within the limit that
** together are the text. */
#include "data/data.h"

enum { LIMIT = 5000 };

/* every line passed over: none may be missed, and nothing counted twice */
static void skip_all(const uint8_t *p, size_t n, int64_t lines, size_t total) {
  ml_lines *l = NULL;
  char head[16];
  int64_t count = 0, bytes = 0, all = 0;
  if (ml_lines_of(&l, "input", p, n, LIMIT) != ML_OK) return;
  for (int i = 0; i <= 100; i++, count++, all += bytes) {
    size_t room = sizeof head;
    if (ml_lines_skip(l, head, &room, &bytes) != ML_OK) break;
    if ((int64_t)room > (int64_t)sizeof head || bytes < 0) __builtin_trap();
  }
  if (lines <= 100 && count < lines) __builtin_trap();
  if (lines <= 100 && all < (int64_t)total) __builtin_trap();
  ml_lines_close(l);
}

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
  skip_all(p, n, lines, total);
  return 0;
}
