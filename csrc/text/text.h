/* text.h -- byte-pair encoding (Sennrich et al. 2016) of texts. On its way a text meets tokens of
** its own (added.c), is rewritten and cut into pieces (steps.c, normal.c, regex.c), and each
** piece's pairs of tokens are merged by rank (merge.c). A token is a byte string and an id. */
#ifndef ML_TEXT_H
#define ML_TEXT_H

#include "base/base.h"

typedef struct {
  const uint8_t *p;
  size_t n;
} ml_bytes;

/* room for `need` elements of `size` bytes in a block that grows by half: status */
int ml_room(void **p, int64_t *have, int64_t need, int64_t size);

/* ---- utf8.c ---- */
size_t ml_utf8_size(const uint8_t *p, size_t left);  /* of the character at p; 0: there is none */
int32_t ml_utf8_code(const uint8_t *p, size_t size); /* of a character of that size */
size_t ml_utf8_put(int32_t code, uint8_t to[4]);
size_t ml_utf8_run(ml_bytes s, size_t at, bool *valid); /* the end of the bytes that are, or not */
size_t ml_utf8_last(ml_bytes s);  /* size of the character that ends s; 0: there is none */
bool ml_utf8_space(int32_t code); /* Unicode's White_Space */
bool ml_utf8_word(int32_t code);  /* \w of Unicode's regular expressions */

/* ---- strings.c: distinct byte strings, numbered from 0 in the order they came ---- */
typedef struct {
  int64_t count, slots, bytes, room_bytes, room;
  int64_t *slot, *start; /* slot: number + 1, or 0; start: of each in text, count + 1 of them */
  uint64_t *hash;
  uint8_t *text;
} ml_strings;
uint64_t ml_strings_hash(ml_bytes s);
int ml_strings_add(ml_strings *t, ml_bytes s, int64_t *number); /* finds it, or adds it */
int64_t ml_strings_find(const ml_strings *t, ml_bytes s);       /* -1: not there */
ml_bytes ml_strings_at(const ml_strings *t, int64_t number);
void ml_strings_free(ml_strings *t);

/* a map from numbers below 2^63 to numbers from 0, in the order they came */
typedef struct {
  int64_t count, slots, room;
  int64_t *slot;
  uint64_t *key;
} ml_pairs;
static inline uint64_t ml_pair(int32_t a, int32_t b) {
  return (uint64_t)(uint32_t)a << 32 | (uint32_t)b;
}
int ml_pairs_add(ml_pairs *t, uint64_t pair, int64_t *number);
int64_t ml_pairs_find(const ml_pairs *t, uint64_t pair); /* -1: not there */
void ml_pairs_free(ml_pairs *t);

/* ---- regex.c: PCRE2. worker: of ml_parallel, or 0; each has its own room for matching ---- */
typedef struct ml_regex ml_regex;
/* linear: known to take time as its text is long. ML_EFORMAT: no regular expression */
int ml_regex_new(ml_regex **out, ml_bytes pattern, bool linear);
void ml_regex_free(ml_regex *t); /* accepts NULL */
/* before the matches in a text of n bytes: how often they may turn back follows from n */
int ml_regex_begin(ml_regex *t, int worker, size_t n);
/* The next match in s, which is UTF-8, from `at` on; *end < *start: there is none. */
int ml_regex_next(ml_regex *t, int worker, ml_bytes s, size_t at, size_t *start, size_t *end);

/* ---- pieces: parts of a text, as it came or rewritten ---- */
typedef struct {
  size_t start, end;
} ml_origin;
typedef struct {
  const uint8_t *p;
  size_t n, at;          /* at is 0 where the text begins */
  const ml_origin *from; /* of each byte in the text as it came; NULL: byte i is at + i */
  bool valid;            /* known to be UTF-8 */
} ml_piece;
ml_piece ml_piece_part(const ml_piece *s, size_t start, size_t end);
ml_origin ml_piece_origin(const ml_piece *s, size_t start, size_t end);
typedef int ml_piece_fn(void *ctx, const ml_piece *piece); /* a status; not ML_OK stops */

/* text that grows, with the origin of every byte if that is asked for */
typedef struct {
  uint8_t *p;
  int64_t n, room;
  ml_origin *from;
  int64_t from_room;
} ml_rewrite;
int ml_rewrite_put(ml_rewrite *t, ml_bytes s, ml_origin all, bool track); /* all bytes' origin */
int ml_rewrite_copy(ml_rewrite *t, const ml_piece *s, bool track);
ml_piece ml_rewrite_piece(const ml_rewrite *t, const ml_piece *of, bool track);
void ml_rewrite_free(ml_rewrite *t);

/* ---- normal.c: normalization forms (Unicode 15 annex 15) ---- */
enum { ML_NFC, ML_NFD, ML_NFKC, ML_NFKD };
/* Unchanged text is not written: *changed says so. What is not UTF-8 stays as it is. */
int ml_normalize(int form, const ml_piece *s, bool track, ml_rewrite *out, bool *changed);

/* ---- steps.c: what is done to a text, one step after the other ---- */
enum { ML_STEP_FORM, ML_STEP_PREPEND, ML_STEP_REPLACE, ML_STEP_CUT };
enum { ML_ALWAYS, ML_UNLESS_THERE, ML_IF_FIRST }; /* the last: of the text, unless there */
enum { ML_CUT_ISOLATED, ML_CUT_REMOVED, ML_CUT_PREVIOUS, ML_CUT_NEXT, ML_CUT_CONTIGUOUS };
typedef struct {
  int kind, how;          /* how: a form, when to prepend, what becomes of matches */
  bool invert;            /* CUT: what lies between the matches are the matches */
  bool linear;            /* of the pattern, see ml_regex_new */
  ml_bytes pattern, with; /* REPLACE, CUT: regular expression; REPLACE, PREPEND: what is put */
} ml_step;
typedef struct ml_steps ml_steps;
int ml_steps_new(ml_steps **out, const ml_step *steps, int64_t n); /* copies */
void ml_steps_free(ml_steps *t);                                   /* accepts NULL */
int64_t ml_steps_count(const ml_steps *t);
int ml_steps_run(ml_steps *t, int worker, const ml_piece *s, bool track, ml_piece_fn *fn,
                 void *ctx);
/* Where a text may be cut, at `want` or after, so that the parts have the pieces of the whole: for
** the patterns of moonlit.text.patterns only. text.n where there is no such place. */
size_t ml_text_cut(ml_bytes text, size_t want);

/* ---- added.c: tokens found before anything is cut: leftmost, of those the longest ---- */
enum {
  ML_ADDED_SPECIAL = 1,
  ML_ADDED_WORD = 2,
  ML_ADDED_LEFT = 4,
  ML_ADDED_RIGHT = 8,
  ML_ADDED = 16 /* of a vocabulary: the token is one of these at all */
};
typedef struct {
  ml_pairs edges; /* node << 8 | byte -> node - 1 */
  int32_t *token; /* of each node, -1: none */
  int64_t room;
  int32_t *id;
  uint8_t *flags; /* of each token */
  int64_t count, id_room, flag_room;
  bool begins[256];
} ml_added;
int ml_added_put(ml_added *t, ml_bytes text, int32_t id, int flags);
void ml_added_free(ml_added *t);
typedef int ml_added_fn(void *ctx, const ml_piece *piece, int32_t id);
/* Every part of s, id -1 for text. special: those with ML_ADDED_SPECIAL, too, else they are
** text. */
int ml_added_split(const ml_added *t, const ml_piece *s, bool special, ml_added_fn *fn, void *ctx);

/* ---- count.c: how often pieces come ---- */
typedef struct {
  uint64_t hash;
  int64_t times;
  size_t at;
  int32_t n;
} ml_word_count; /* at: in bytes */
typedef struct {
  ml_word_count *word;
  int64_t count, room, slots, used, bytes_room;
  uint32_t *slot; /* number of a word + 1; 0 is free */
  uint8_t *bytes;
} ml_counts;
int ml_counts_add(ml_counts *t, ml_bytes piece, uint64_t hash, int64_t times);
int ml_counts_gather(ml_counts *into, ml_counts *from); /* empties `from` */
void ml_counts_free(ml_counts *t);

/* ---- train.c ---- */
typedef struct ml_trainer ml_trainer;
/* linear: see ml_regex_new; cut: texts may be cut where ml_text_cut says */
int ml_trainer_new(ml_trainer **out, ml_bytes pattern, bool linear, bool cut);
void ml_trainer_free(ml_trainer *t);                                 /* accepts NULL */
int ml_trainer_add(ml_trainer *t, const ml_bytes *texts, int64_t n); /* counts their pieces */
typedef struct {
  int32_t a, b, id;
} ml_merge;
/* Merges the most frequent pair, ties to the smaller ids, until there are `vocab` tokens or no pair
** comes min_frequency times. Token `first` + i is byte alphabet[i], 256 of them; merges' tokens
** follow; ids below `first` are left alone. The same for any number of threads and any order or
** cutting of the texts. merges is the caller's to ml_free; a token that two merges make is one. */
int ml_trainer_run(ml_trainer *t, const uint8_t alphabet[256], int32_t first, int64_t vocab,
                   int64_t min_frequency, ml_merge **merges, int64_t *count);

/* ---- merge.c: a vocabulary, and what a piece becomes ---- */
/* What merges make is ordinary; what is not is another token even of the same bytes. */
enum { ML_TOKEN_ORDINARY, ML_TOKEN_SPECIAL, ML_TOKEN_OTHER };
typedef struct {
  int32_t *ids;
  ml_origin *spans;
  int64_t n, room, span_room;
} ml_ids;

/* ---- bpe.c ---- */
typedef struct ml_bpe ml_bpe;
typedef struct {
  const ml_bytes *tokens;       /* id order; for added ones their text */
  const ml_bytes *shown;        /* what decode writes; p NULL: the token */
  const uint8_t *kinds, *flags; /* ML_TOKEN_*, ML_ADDED_* of each; flags may be NULL */
  const bool *normal; /* an added token that is looked for in the rewritten text; or NULL */
  int64_t count;
  const int32_t *merges; /* a, b for each, the best first; NULL: by_rank */
  int64_t merge_count;
  bool by_rank;       /* two tokens that make a third merge; the best is that of the least id */
  bool ignore_merges; /* a piece that is a token is that token */
  bool chars;         /* pieces begin as characters, not bytes */
  const int32_t *fallback; /* 256 tokens for the bytes of unknown characters, or NULL */
  int32_t unknown;         /* the token for all others; -1: they are left out */
  bool fuse;               /* unknown characters side by side are one */
  const ml_step *rewrite, *cut;
  int64_t rewrites, cuts;
} ml_bpe_spec;
int ml_bpe_new(ml_bpe **out, const ml_bpe_spec *spec); /* copies; ML_EFORMAT names what is wrong */
void ml_bpe_free(ml_bpe *t);                           /* accepts NULL */
typedef struct {
  bool special, spans;
} ml_encode_options;
/* Adds to out. special: the text of special tokens means them, else it is text like any other.
** spans: each token's bytes in the text, too. */
int ml_bpe_encode(ml_bpe *t, int worker, ml_bytes text, ml_encode_options o, ml_ids *out);
int ml_bpe_encode_all(ml_bpe *t, const ml_bytes *texts, int64_t n, ml_encode_options o,
                      ml_ids *out);
int64_t ml_bpe_count(const ml_bpe *t);
/* no such id: false; any of the last three may be NULL */
bool ml_bpe_token(const ml_bpe *t, int64_t id, ml_bytes *token, ml_bytes *shown, int *kind);
int64_t ml_bpe_find(const ml_bpe *t, ml_bytes token, bool added); /* -1: none */
const int32_t *ml_bpe_merges(const ml_bpe *t, int64_t *count);    /* a, b of each */

#endif
