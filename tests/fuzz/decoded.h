/* decoded.h -- what the targets of tokenizers share: a check that ends the process, and the promise
** that ids stand for the bytes they were made of. */
#ifndef ML_FUZZ_DECODED_H
#define ML_FUZZ_DECODED_H

#include <string.h>

#include "text/text.h"

#define MUST(x)                                                                                    \
  do {                                                                                             \
    if (!(x)) __builtin_trap();                                                                    \
  } while (0)

/* the bytes of ids, one after the other, are the text */
static void check_decodes(ml_bpe *t, ml_bytes text, const ml_ids *ids) {
  size_t at = 0;
  for (int64_t i = 0; i < ids->n; i++) {
    ml_bytes s;
    MUST(ml_bpe_token(t, ids->ids[i], NULL, &s, NULL));
    MUST(at + s.n <= text.n && memcmp(text.p + at, s.p, s.n) == 0);
    at += s.n;
  }
  MUST(at == text.n);
}

#endif
