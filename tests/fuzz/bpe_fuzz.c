/* bpe_fuzz.c -- any bytes as a text to learn from and to encode: what is decoded is what was
** encoded, short pieces and long ones, alone and in a batch; and any bytes as merges and as a
** pattern. */
#include <stdlib.h>
#include <string.h>

#include "decoded.h"

static const char *const PATTERN =
    "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+|\\s+";

typedef struct {
  uint8_t text[257][64], kind[400], flags[400];
  ml_bytes token[400];
  int64_t n;
} vocab;

/* 256 bytes, what merges make of them, and one special token at the end */
static void make_vocab(vocab *v, const ml_merge *merges, int64_t count) {
  v->n = 256;
  for (int b = 0; b < 256; b++) {
    v->text[b][0] = (uint8_t)b;
    v->token[b] = (ml_bytes){v->text[b], 1};
  }
  for (int64_t i = 0; i < count; i++) {
    ml_bytes x = v->token[merges[i].a], y = v->token[merges[i].b];
    if (merges[i].id < v->n) continue; /* two merges may make one token */
    uint8_t *text = malloc(x.n + y.n);
    memcpy(text, x.p, x.n), memcpy(text + x.n, y.p, y.n);
    MUST(merges[i].id == v->n);
    v->token[v->n++] = (ml_bytes){text, x.n + y.n};
  }
  v->kind[v->n] = ML_TOKEN_SPECIAL, v->flags[v->n] = ML_ADDED | ML_ADDED_SPECIAL;
  v->token[v->n++] = (ml_bytes){(const uint8_t *)"<|e|>", 5};
}

static void encode(ml_bpe *t, ml_bytes text) {
  ml_ids once = {0}, twice = {0}, batch[2] = {{0}};
  ml_bytes both[2] = {text, text};
  ml_encode_options plain = {false, false}, special = {true, false};
  MUST(ml_bpe_encode(t, 0, text, plain, &once) == ML_OK);
  MUST(ml_bpe_encode(t, 0, text, special, &twice) == ML_OK);
  MUST(ml_bpe_encode_all(t, both, 2, plain, batch) == ML_OK);
  check_decodes(t, text, &once);
  check_decodes(t, text, &twice);
  MUST(batch[0].n == once.n && batch[1].n == once.n);
  if (once.n > 0) MUST(memcmp(batch[1].ids, once.ids, (size_t)once.n * sizeof *once.ids) == 0);
  ml_free(once.ids), ml_free(twice.ids), ml_free(batch[0].ids), ml_free(batch[1].ids);
}

static void learn(ml_bytes text) {
  ml_trainer *trainer = NULL;
  ml_merge *merges = NULL;
  ml_bpe *t = NULL;
  int64_t count;
  uint8_t alphabet[256];
  static vocab v;
  ml_bytes pattern = {(const uint8_t *)PATTERN, strlen(PATTERN)};
  memset(&v, 0, sizeof v);
  for (int i = 0; i < 256; i++) alphabet[i] = (uint8_t)i;
  MUST(ml_trainer_new(&trainer, pattern, true, false) == ML_OK);
  MUST(ml_trainer_add(trainer, &text, 1) == ML_OK);
  MUST(ml_trainer_run(trainer, alphabet, 0, 300, 2, &merges, &count) == ML_OK);
  make_vocab(&v, merges, count);
  int32_t *pairs = malloc((size_t)(2 * count + 1) * sizeof *pairs);
  for (int64_t i = 0; i < count; i++) pairs[2 * i] = merges[i].a, pairs[2 * i + 1] = merges[i].b;
  ml_step cut = {.kind = ML_STEP_CUT, .linear = true, .pattern = pattern};
  ml_bpe_spec spec = {.tokens = v.token,
                      .kinds = v.kind,
                      .flags = v.flags,
                      .count = v.n,
                      .merges = pairs,
                      .merge_count = count,
                      .unknown = -1,
                      .cut = &cut,
                      .cuts = 1};
  MUST(ml_bpe_new(&t, &spec) == ML_OK);
  encode(t, text);
  /* the same bytes as merges, and as a pattern: refused or not, nothing worse */
  spec.merge_count = (int64_t)(text.n / 8 < 16 ? text.n / 8 : 16);
  int32_t *wild = malloc((size_t)(2 * spec.merge_count + 1) * sizeof *wild);
  memcpy(wild, text.p, (size_t)spec.merge_count * 8);
  spec.merges = wild;
  ml_bpe *other = NULL;
  if (ml_bpe_new(&other, &spec) == ML_OK) encode(other, text), ml_bpe_free(other);
  ml_regex *regex = NULL;
  if (text.n < 40 && ml_regex_new(&regex, text, false) == ML_OK) ml_regex_free(regex);
  for (int64_t i = 256; i < v.n - 1; i++) free((void *)(uintptr_t)v.token[i].p);
  free(wild), free(pairs);
  ml_free(merges);
  ml_bpe_free(t);
  ml_trainer_free(trainer);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  if (n <= 4096) learn((ml_bytes){p, n});
  return 0;
}
