/* corpus.h -- replays a fuzz target's committed corpus; include it behind cmocka.h. */
#ifndef ML_TEST_CORPUS_H
#define ML_TEST_CORPUS_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

typedef int input_fn(const uint8_t *p, size_t n);

/* the file, each of its beginnings, and 400 copies with one bit turned over */
static inline void mutate(input_fn *input, const uint8_t *p, size_t n) {
  uint8_t *copy = malloc(n + 1);
  for (size_t k = 0; k <= n; k++) { /* exact blocks, so that a sanitizer sees one byte too far */
    uint8_t *cut = malloc(k ? k : 1);
    memcpy(cut, p, k);
    input(cut, k);
    free(cut);
  }
  for (uint64_t i = 0; i < 400 && n; i++) {
    ml_u32x4 r = ml_random(1, 0, i, 0, 0);
    memcpy(copy, p, n);
    copy[r.v[0] % n] ^= (uint8_t)(1u << r.v[1] % 8);
    input(copy, n);
  }
  free(copy);
}

static inline void replay(const char *dir, input_fn *input) {
  DIR *d = opendir(dir);
  assert_non_null(d);
  int files = 0;
  for (struct dirent *e; (e = readdir(d));) {
    char path[512];
    ml_file f = {.fd = -1};
    if (e->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
    assert_int_equal(ml_file_map(&f, path), ML_OK);
    mutate(input, f.data, f.size);
    ml_file_unmap(&f);
    files++;
  }
  closedir(d);
  assert_true(files > 10);
}

#endif
