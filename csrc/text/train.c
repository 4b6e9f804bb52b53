/* train.c -- learning merges. Pieces are counted on all threads, each into a dictionary of its own;
** then one pair after the other is merged wherever it stands. Counts of pairs follow from the words
** they are in, and the heap's entries are looked at again when they come up (tokenizers' scheme),
** so neither threads nor the order of texts can show. */
#include "text/text.h"

#include <string.h>

typedef struct { ml_strings words; int64_t *times, known, room; } tally;

struct ml_trainer {
  ml_pretok *pretok;
  tally tally[ML_MAX_THREADS];
};

int ml_trainer_new(ml_trainer **out, const char *pattern, size_t n) {
  ml_trainer *t = ml_alloc0(sizeof *t);
  if (!t) return ML_ENOMEM;
  int st = ml_pretok_new(&t->pretok, pattern, n);
  if (st != ML_OK) {
    ml_free(t);
    return st;
  }
  *out = t;
  return ML_OK;
}

static void tally_free(tally *t) {
  ml_strings_free(&t->words), ml_free(t->times);
  *t = (tally){0};
}

void ml_trainer_free(ml_trainer *t) {
  if (!t) return;
  for (int i = 0; i < ML_MAX_THREADS; i++) tally_free(&t->tally[i]);
  ml_pretok_free(t->pretok);
  ml_free(t);
}

/* ---- counting ---- */

static int count_times(tally *t, ml_bytes piece, int64_t times) {
  int64_t number;
  int st = ml_room((void **)&t->times, &t->room, t->known + 1, sizeof *t->times);
  if (st == ML_OK) st = ml_strings_add(&t->words, piece, &number);
  if (st != ML_OK) return st;
  if (number == t->known) t->times[t->known++] = 0;
  t->times[number] += times;
  return ML_OK;
}

static int count_piece(void *ctx, ml_bytes piece) { return count_times(ctx, piece, 1); }

typedef struct { ml_trainer *t; const ml_bytes *texts; int *status; } counting;

static void count_text(void *ctx, int64_t i, int worker) {
  counting *c = ctx;
  if (c->status[worker] != ML_OK) return;
  c->status[worker] = ml_pretok_each(c->t->pretok, worker, c->texts[i], count_piece,
                                     &c->t->tally[worker]);
}

int ml_trainer_add(ml_trainer *t, const ml_bytes *texts, int64_t n) {
  int status[ML_MAX_THREADS] = {0};
  counting c = {t, texts, status};
  ml_parallel(n, count_text, &c);
  for (int i = 0; i < ML_MAX_THREADS; i++)
    if (status[i] != ML_OK)
      return ml_fail(status[i], "the texts could not be counted: %s",
                     status[i] == ML_ENOMEM ? "out of memory" : "the pattern gives up on one");
  return ML_OK;
}

/* all of them into the first */
static int add_up(ml_trainer *t) {
  for (int i = 1; i < ML_MAX_THREADS; i++) {
    tally *from = &t->tally[i];
    for (int64_t w = 0; w < from->known; w++) {
      int st = count_times(&t->tally[0], ml_strings_at(&from->words, w), from->times[w]);
      if (st != ML_OK) return st;
    }
    tally_free(from);
  }
  return ML_OK;
}

/* ---- merging ---- */

typedef struct { int64_t *word, n, room; } places; /* where a pair stands, or once stood */
typedef struct { int64_t times; uint64_t pair; } entry;

typedef struct {
  const tally *words;
  int32_t *symbol;        /* of all words, one after the other */
  int64_t *start, *size;  /* of each word's symbols */
  ml_pairs pairs;
  int64_t *times, times_room, known;
  places *where;
  int64_t where_room;
  int64_t *stamp, stamp_room, now; /* pairs whose count rose in merge `now` */
  entry *heap;
  int64_t heap_n, heap_room;
  ml_strings tokens;      /* bytes first */
  int32_t first;
} merging;

static bool before(entry a, entry b) {
  return a.times != b.times ? a.times > b.times : a.pair < b.pair;
}

static int push(merging *m, entry e) {
  int st = ml_room((void **)&m->heap, &m->heap_room, m->heap_n + 1, sizeof *m->heap);
  if (st != ML_OK) return st;
  int64_t i = m->heap_n++;
  for (; i > 0 && before(e, m->heap[(i - 1) / 2]); i = (i - 1) / 2)
    m->heap[i] = m->heap[(i - 1) / 2];
  m->heap[i] = e;
  return ML_OK;
}

static entry pop(merging *m) {
  entry top = m->heap[0], last = m->heap[--m->heap_n];
  int64_t i = 0;
  for (int64_t c = 1; c < m->heap_n; c = 2 * i + 1) {
    if (c + 1 < m->heap_n && before(m->heap[c + 1], m->heap[c])) c++;
    if (!before(m->heap[c], last)) break;
    m->heap[i] = m->heap[c];
    i = c;
  }
  if (m->heap_n > 0) m->heap[i] = last;
  return top;
}

/* number of a pair, with room for all that is known of it */
static int pair_number(merging *m, uint64_t pair, int64_t *number) {
  int st = ml_pairs_add(&m->pairs, pair, number);
  if (st == ML_OK)
    st = ml_room((void **)&m->times, &m->times_room, m->pairs.count, sizeof *m->times);
  if (st == ML_OK)
    st = ml_room((void **)&m->where, &m->where_room, m->pairs.count, sizeof *m->where);
  if (st == ML_OK)
    st = ml_room((void **)&m->stamp, &m->stamp_room, m->pairs.count, sizeof *m->stamp);
  if (st != ML_OK) return st;
  for (; m->known < m->pairs.count; m->known++) {
    m->times[m->known] = 0, m->stamp[m->known] = 0;
    m->where[m->known] = (places){0};
  }
  return ML_OK;
}

static int note_place(places *p, int64_t word) {
  if (p->n > 0 && p->word[p->n - 1] == word) return ML_OK;
  int st = ml_room((void **)&p->word, &p->room, p->n + 1, sizeof *p->word);
  if (st == ML_OK) p->word[p->n++] = word;
  return st;
}

/* every pair of a word counts `sign` more; those that rise are noted */
static int count_pairs(merging *m, int64_t word, int sign) {
  const int32_t *s = m->symbol + m->start[word];
  for (int64_t i = 0; i + 1 < m->size[word]; i++) {
    int64_t number;
    int st = pair_number(m, ml_pair(s[i], s[i + 1]), &number);
    if (st == ML_OK && sign > 0) st = note_place(&m->where[number], word);
    if (st != ML_OK) return st;
    m->times[number] += sign * m->words->times[word];
    if (sign > 0) m->stamp[number] = m->now;
  }
  return ML_OK;
}

static void replace(merging *m, int64_t word, int32_t a, int32_t b, int32_t id) {
  int32_t *s = m->symbol + m->start[word];
  int64_t n = m->size[word], to = 0;
  for (int64_t i = 0; i < n; i++) {
    bool both = i + 1 < n && s[i] == a && s[i + 1] == b;
    s[to++] = both ? id : s[i];
    i += both;
  }
  m->size[word] = to;
}

static bool holds(const merging *m, int64_t word, int32_t a, int32_t b) {
  const int32_t *s = m->symbol + m->start[word];
  for (int64_t i = 0; i + 1 < m->size[word]; i++)
    if (s[i] == a && s[i + 1] == b) return true;
  return false;
}

/* new counts of the pairs in merged words go onto the heap */
static int push_risen(merging *m, int64_t word) {
  const int32_t *s = m->symbol + m->start[word];
  for (int64_t i = 0; i + 1 < m->size[word]; i++) {
    uint64_t pair = ml_pair(s[i], s[i + 1]);
    int64_t number = ml_pairs_find(&m->pairs, pair);
    if (m->stamp[number] != m->now) continue;
    m->stamp[number] = 0;
    int st = push(m, (entry){m->times[number], pair});
    if (st != ML_OK) return st;
  }
  return ML_OK;
}

/* the id of the token that a and b make together */
static int joined(merging *m, int32_t a, int32_t b, int32_t *id) {
  ml_bytes x = ml_strings_at(&m->tokens, a - m->first), y = ml_strings_at(&m->tokens, b - m->first);
  uint8_t *text = ml_alloc(x.n + y.n);
  if (!text) return ML_ENOMEM;
  memcpy(text, x.p, x.n), memcpy(text + x.n, y.p, y.n);
  int64_t number;
  int st = ml_strings_add(&m->tokens, (ml_bytes){text, x.n + y.n}, &number);
  ml_free(text);
  *id = (int32_t)(m->first + number);
  return st;
}

static int merge_pair(merging *m, int64_t number, ml_merge *merge) {
  places p = m->where[number]; /* its words will be noted under other pairs */
  int st = joined(m, merge->a, merge->b, &merge->id);
  m->where[number] = (places){0};
  m->now++;
  for (int64_t i = 0; i < p.n && st == ML_OK; i++) {
    if (!holds(m, p.word[i], merge->a, merge->b)) { /* it stood there once */
      p.word[i] = -1;
      continue;
    }
    st = count_pairs(m, p.word[i], -1);
    replace(m, p.word[i], merge->a, merge->b, merge->id);
    if (st == ML_OK) st = count_pairs(m, p.word[i], 1);
  }
  for (int64_t i = 0; i < p.n && st == ML_OK; i++)
    if (p.word[i] >= 0) st = push_risen(m, p.word[i]);
  ml_free(p.word);
  return st;
}

/* words as bytes, their pairs counted and on the heap */
static int begin(merging *m, const uint8_t alphabet[256]) {
  int32_t id[256];
  int64_t n = m->words->known, total = 0, number;
  int st = ML_OK;
  for (int i = 0; i < 256 && st == ML_OK; i++) {
    st = ml_strings_add(&m->tokens, (ml_bytes){&alphabet[i], 1}, &number);
    id[alphabet[i]] = (int32_t)(m->first + number);
  }
  m->symbol = ml_alloc((size_t)(m->words->words.bytes + 1) * sizeof *m->symbol);
  m->start = ml_alloc((size_t)(n + 1) * sizeof *m->start);
  m->size = ml_alloc((size_t)(n + 1) * sizeof *m->size);
  if (st != ML_OK || !m->symbol || !m->start || !m->size) return ML_ENOMEM;
  m->now = 1;
  for (int64_t w = 0; w < n && st == ML_OK; w++) {
    ml_bytes s = ml_strings_at(&m->words->words, w);
    m->start[w] = total, m->size[w] = (int64_t)s.n;
    for (size_t i = 0; i < s.n; i++) m->symbol[total++] = id[s.p[i]];
    st = count_pairs(m, w, 1);
  }
  for (int64_t i = 0; i < m->pairs.count && st == ML_OK; i++)
    st = push(m, (entry){m->times[i], m->pairs.key[i]});
  return st;
}

static int merge_all(merging *m, int64_t vocab, int64_t min_times, ml_merge **merges,
                     int64_t *count) {
  int64_t room = 0;
  int st = ML_OK;
  while (st == ML_OK && m->first + m->tokens.count < vocab && m->heap_n > 0) {
    entry top = pop(m);
    int64_t number = ml_pairs_find(&m->pairs, top.pair);
    if (m->times[number] != top.times) {
      if (m->times[number] > 0) st = push(m, (entry){m->times[number], top.pair});
      continue;
    }
    if (top.times < min_times) break;
    st = ml_room((void **)merges, &room, *count + 1, sizeof **merges);
    if (st != ML_OK) break;
    ml_merge *merge = &(*merges)[*count];
    *merge = (ml_merge){(int32_t)(top.pair >> 32), (int32_t)(uint32_t)top.pair, 0};
    st = merge_pair(m, number, merge);
    if (st == ML_OK) (*count)++;
  }
  return st;
}

int ml_trainer_run(ml_trainer *t, const uint8_t alphabet[256], int32_t first, int64_t vocab,
                   int64_t min_frequency, ml_merge **merges, int64_t *count) {
  merging m = {.words = &t->tally[0], .first = first};
  *merges = NULL, *count = 0;
  if (vocab > INT32_MAX) return ml_fail(ML_ERANGE, "vocab must be below 2^31");
  int st = add_up(t);
  if (st == ML_OK) st = begin(&m, alphabet);
  if (st == ML_OK)
    st = merge_all(&m, vocab, min_frequency < 1 ? 1 : min_frequency, merges, count);
  for (int64_t i = 0; i < m.known; i++) ml_free(m.where[i].word);
  ml_free(m.where), ml_free(m.times), ml_free(m.stamp), ml_free(m.heap);
  ml_free(m.symbol), ml_free(m.start), ml_free(m.size);
  ml_pairs_free(&m.pairs);
  ml_strings_free(&m.tokens);
  if (st != ML_OK) ml_free(*merges), *merges = NULL, *count = 0;
  return st;
}
