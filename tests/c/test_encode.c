/* test_encode.c -- the corpus of encode_fuzz replayed: texts for tokenizers of every kind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "corpus.h"

#define LLVMFuzzerTestOneInput encode_input
#include "../fuzz/encode_fuzz.c"
#undef LLVMFuzzerTestOneInput

static void corpus_is_encoded(void **state) { replay("tests/fuzz/corpus/encode", encode_input); }

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(corpus_is_encoded)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
