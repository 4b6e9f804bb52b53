/* test_data.c -- token files and lines under hostile bytes: the corpus of the fuzz targets, every
** file cut at every length and with bits turned over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "corpus.h"
#include "data/spill.h"

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

/* more pairs than stay in memory, half of them under a key of their own */
static int group_many(int64_t *groups) {
  ml_groups *g = NULL;
  int st = ml_groups_new(&g, "/tmp");
  for (uint64_t i = 0; i < 40000 && st == ML_OK; i++)
    st = ml_groups_add(g, (i % 30000) * 0x9E3779B97F4A7C15u, (int64_t)i);
  uint64_t key;
  const int64_t *values;
  int64_t n = 1;
  while (st == ML_OK && n > 0 && (st = ml_groups_next(g, &key, &values, &n)) == ML_OK && n > 0) {
    assert_int_equal(n, 2);
    assert_int_equal(values[0] + 30000, values[1]);
    ++*groups;
  }
  ml_groups_free(g);
  return st;
}

static void groups_want_memory(void **state) {
  (void)state;
  ml_mem_stats before, after;
  ml_mem_get(&before);
  int st = ML_ENOMEM;
  for (int64_t nth = 1; st != ML_OK; nth++) {
    int64_t groups = 0;
    ml_mem_fail_at(nth);
    st = group_many(&groups);
    ml_mem_fail_at(0);
    assert_true(st == ML_ENOMEM || groups == 10000);
  }
  ml_mem_get(&after);
  assert_int_equal(after.live_blocks, before.live_blocks);
}

static void spill_gives_back(void **state) {
  (void)state;
  ml_spill *s = NULL;
  int64_t at;
  static uint8_t big[300000], got[300000];
  memset(big, 7, sizeof big);
  assert_int_equal(ml_spill_new(&s, "/no/such/place"), ML_EIO);
  assert_int_equal(ml_spill_new(&s, "/tmp"), ML_OK);
  assert_int_equal(ml_spill_put(s, "abc", 3, &at), ML_OK);
  assert_int_equal(ml_spill_put(s, big, sizeof big, &at), ML_OK); /* beyond the buffer */
  assert_int_equal(at, 3);
  assert_int_equal(ml_spill_put(s, "xyz", 3, &at), ML_OK);
  assert_int_equal(ml_spill_size(s), (int64_t)sizeof big + 6);
  assert_int_equal(ml_spill_get(s, 3, got, sizeof got), ML_OK);
  assert_memory_equal(got, big, sizeof big);
  assert_int_equal(ml_spill_get(s, (int64_t)sizeof big + 2, got, 4), ML_OK);
  assert_memory_equal(got, "\7xyz", 4);
  assert_int_equal(ml_spill_get(s, (int64_t)sizeof big + 3, got, 4), ML_ERANGE);
  assert_int_equal(ml_spill_get(s, -1, got, 1), ML_ERANGE);
  ml_spill_free(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(shard_corpus),
    cmocka_unit_test(lines_corpus),
    cmocka_unit_test(right_files_open),
    cmocka_unit_test(allocations_may_fail),
    cmocka_unit_test(groups_want_memory),
    cmocka_unit_test(spill_gives_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
