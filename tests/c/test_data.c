/* test_data.c -- token files and lines under hostile bytes: the corpus of the fuzz targets, every
** file cut at every length and with bits turned over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "corpus.h"

#define LLVMFuzzerTestOneInput shard_input
#include "../fuzz/shard_fuzz.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput lines_input
#include "../fuzz/lines_fuzz.c"
#undef LLVMFuzzerTestOneInput

static void shard_corpus(void **state) {
  (void)state;
  replay("tests/fuzz/corpus/shard", shard_input);
}

static void lines_corpus(void **state) {
  (void)state;
  replay("tests/fuzz/corpus/lines", lines_input);
}

/* the corpus is what it says: so many of its files open */
static void right_files_open(void **state) {
  (void)state;
  static const char *const good[] = {"one", "wide", "masked", "named", "nothing"};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    char path[64];
    ml_shard *s = NULL;
    snprintf(path, sizeof path, "tests/fuzz/corpus/shard/%s", good[i]);
    assert_int_equal(ml_shard_open(&s, path, false), ML_OK);
    ml_shard_free(s);
    assert_int_equal(ml_shard_open(&s, path, true), ML_EFORMAT); /* it has no hash */
  }
}

static void allocations_may_fail(void **state) {
  (void)state;
  ml_mem_stats before, after;
  bool done = false;
  ml_mem_get(&before);
  for (int64_t nth = 1; !done; nth++) {
    ml_lines *l = NULL;
    const char *p = NULL;
    size_t n;
    ml_mem_fail_at(nth);
    int st = ml_lines_open(&l, "tests/fuzz/corpus/lines/members", 100);
    while (st == ML_OK && (st = ml_lines_next(l, &p, &n)) == ML_OK && p) {}
    ml_mem_fail_at(0);
    assert_true(st == ML_OK || st == ML_ENOMEM);
    done = st == ML_OK;
    ml_lines_close(l);
  }
  ml_mem_get(&after);
  assert_int_equal(after.live_blocks, before.live_blocks);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(shard_corpus),
    cmocka_unit_test(lines_corpus),
    cmocka_unit_test(right_files_open),
    cmocka_unit_test(allocations_may_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
