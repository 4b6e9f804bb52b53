/* test_text.c -- BPE: the fuzz corpus replayed, and memory that runs out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "corpus.h"

#define LLVMFuzzerTestOneInput bpe_input
#include "../fuzz/bpe_fuzz.c"
#undef LLVMFuzzerTestOneInput

static void corpus_comes_back(void **state) { replay("tests/fuzz/corpus/bpe", bpe_input); }

/* one training and one encoding; a status */
static int once(ml_bytes text) {
  ml_trainer *trainer = NULL;
  ml_merge *merges = NULL;
  int64_t count;
  uint8_t alphabet[256];
  for (int i = 0; i < 256; i++) alphabet[i] = (uint8_t)i;
  ml_bytes pattern = {(const uint8_t *)PATTERN, strlen(PATTERN)};
  int st = ml_trainer_new(&trainer, pattern, true, false);
  if (st == ML_OK) st = ml_trainer_add(trainer, &text, 1);
  if (st == ML_OK) st = ml_trainer_run(trainer, alphabet, 0, 262, 2, &merges, &count);
  if (st == ML_OK) {
    static vocab v;
    memset(&v, 0, sizeof v);
    make_vocab(&v, NULL, 0);
    ml_bytes mark = {(const uint8_t *)"\xe2\x96\x81", 3}, space = {(const uint8_t *)" ", 1};
    ml_step rewrite[] = {{.kind = ML_STEP_FORM, .how = ML_NFKC},
                         {.kind = ML_STEP_PREPEND, .how = ML_ALWAYS, .with = mark},
                         {.kind = ML_STEP_REPLACE, .pattern = space, .with = mark}};
    ml_step cut = {.kind = ML_STEP_CUT, .linear = true, .pattern = pattern};
    ml_bpe_spec spec = {.tokens = v.token, .kinds = v.kind, .flags = v.flags, .count = v.n,
                        .unknown = -1, .rewrite = rewrite, .rewrites = 3, .cut = &cut, .cuts = 1};
    ml_bpe *t = NULL;
    ml_ids ids = {0};
    st = ml_bpe_new(&t, &spec);
    if (st == ML_OK) st = ml_bpe_encode(t, 0, text, (ml_encode_options){true, true}, &ids);
    ml_free(ids.ids), ml_free(ids.spans);
    ml_bpe_free(t);
  }
  ml_free(merges);
  ml_trainer_free(trainer);
  return st;
}

/* every allocation fails once: the message is left, nothing else is */
static void allocations_may_fail(void **state) {
  const char *s = "the moon the moon rose over a very long word: "
                  "abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabc "
                  "e\xcc\x81 <|e|>";
  ml_bytes text = {(const uint8_t *)s, strlen(s)};
  ml_mem_stats before, after;
  assert_int_equal(once(text), ML_OK); /* what is made once for ever is there now */
  ml_mem_get(&before);
  int st = ML_ENOMEM;
  int64_t nth = 1;
  for (; st != ML_OK && nth < 2000; nth++) {
    ml_mem_fail_at(nth);
    st = once(text);
    ml_mem_fail_at(0);
    assert_true(st == ML_OK || st == ML_ENOMEM);
    ml_mem_get(&after);
    assert_int_equal(after.live_blocks, before.live_blocks);
  }
  assert_int_equal(st, ML_OK);
  assert_true(nth > 40);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(corpus_comes_back), cmocka_unit_test(allocations_may_fail)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
