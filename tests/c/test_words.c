/* test_words.c -- words and counts of texts: the fuzz corpus replayed, and memory that runs out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "corpus.h"

#define LLVMFuzzerTestOneInput words_input
#include "../fuzz/words_fuzz.c"
#undef LLVMFuzzerTestOneInput

static void corpus_is_counted(void **state) { replay("tests/fuzz/corpus/words", words_input); }

/* every allocation of a call fails once: the message is left, nothing else is */
static void allocations_may_fail(void **state) {
  const uint8_t text[] = "One two three.\n\nOne two three.\nFour five six, seven.\n";
  ml_mem_stats before, after;
  ml_mem_get(&before);
  for (int call = 0; call < 4; call++) {
    int st = ML_ENOMEM;
    for (int64_t nth = 1; st != ML_OK && nth < 50; nth++) {
      ml_quality q;
      ml_repetition r;
      ml_layout l;
      uint64_t *v = NULL;
      int64_t count;
      ml_mem_fail_at(nth);
      if (call == 0) st = ml_quality_of(&q, text, sizeof text - 1, NULL, 0);
      if (call == 1) st = ml_repetition_of(&r, text, sizeof text - 1);
      if (call == 2) st = ml_layout_of(&l, text, sizeof text - 1, 30);
      if (call == 3) st = ml_shingles(&v, &count, text, sizeof text - 1, 2);
      ml_mem_fail_at(0);
      assert_true(st == ML_OK || st == ML_ENOMEM);
      ml_free(v);
    }
    assert_int_equal(st, ML_OK);
  }
  ml_mem_get(&after);
  assert_int_equal(before.live_blocks, after.live_blocks);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(corpus_is_counted),
                                     cmocka_unit_test(allocations_may_fail)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
