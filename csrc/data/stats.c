/* stats.c -- counts of a text for Gopher's, C4's and FineWeb's rules (stats.h). */
#define _GNU_SOURCE /* memmem */
#include "data/stats.h"

#include <string.h>

/* ---- a table of hashes: how often, and where first ---- */

typedef struct { uint64_t key; uint32_t count, first; } entry;
typedef struct { entry *e; uint64_t mask; int64_t room; } table;

static int table_make(table *t, int64_t most) {
  int64_t room = 64;
  while (room < 2 * most) room *= 2;
  t->room = room;
  t->e = ml_alloc((size_t)room * sizeof *t->e);
  return t->e ? ML_OK : ML_ENOMEM;
}

/* empties it for at most `most` keys: a short use of a large table costs little */
static void table_clear(table *t, int64_t most) {
  int64_t room = 64;
  while (room < 2 * most && room < t->room) room *= 2;
  t->mask = (uint64_t)room - 1;
  memset(t->e, 0, (size_t)room * sizeof *t->e);
}

static entry *table_at(table *t, uint64_t key, int64_t where) {
  key += key == 0;
  uint64_t i = key & t->mask;
  while (t->e[i].key && t->e[i].key != key) i = (i + 1) & t->mask;
  if (!t->e[i].key) t->e[i] = (entry){key, 0, (uint32_t)where};
  return &t->e[i];
}

static void add_piece(table *t, ml_repeats *r, ml_span s) {
  r->count++;
  if (table_at(t, ml_hash_bytes(s.p, s.n), 0)->count++ == 0) return;
  r->again++;
  r->again_chars += ml_char_count(s.p, s.n);
}

/* the next piece between separators of at least `least` \n; false at the end. As a split does, it
** gives an empty piece before a separator in front and after one at the end. */
typedef struct { ml_span rest; bool done; } splitter;

static bool next_piece(splitter *s, size_t least, ml_span *piece) {
  if (s->done) return false;
  const uint8_t *p = s->rest.p;
  size_t n = s->rest.n, i = 0, run = 0;
  while (i < n) {
    const uint8_t *at = memchr(p + i, '\n', n - i);
    i = at ? (size_t)(at - p) : n;
    for (run = 0; i + run < n && p[i + run] == '\n';) run++;
    if (run >= least) break;
    i += run;
    run = 0;
  }
  *piece = (ml_span){p, i};
  s->done = run == 0;
  s->rest = (ml_span){p + i + run, n - i - run};
  return true;
}

/* most pieces a text can have */
static int64_t count_breaks(const uint8_t *p, size_t n) {
  int64_t breaks = 0;
  const uint8_t *end = p + n;
  while (p < end && (p = memchr(p, '\n', (size_t)(end - p))) != NULL) p++, breaks++;
  return breaks;
}

/* ---- quality ---- */

static int64_t count_text(const uint8_t *p, size_t n, const char *what) {
  size_t k = strlen(what);
  const uint8_t *end = p + n;
  int64_t count = 0;
  while (p < end && (p = memmem(p, (size_t)(end - p), what, k)) != NULL) p += k, count++;
  return count;
}

static bool begins(ml_span s, const char *what) {
  size_t k = strlen(what);
  return s.n >= k && memcmp(s.p, what, k) == 0;
}

static bool ends(ml_span s, const char *what) {
  size_t k = strlen(what);
  return s.n >= k && memcmp(s.p + s.n - k, what, k) == 0;
}

static const char ellipsis[] = "\xE2\x80\xA6", bullet[] = "\xE2\x80\xA2";

static void count_lines(ml_quality *q, ml_span rest) {
  ml_span line;
  while (ml_next_line(&rest, &line)) {
    line = ml_strip(line);
    q->lines++;
    q->bullets += begins(line, bullet) || begins(line, "-");
    q->trailing += ends(line, "...") || ends(line, ellipsis);
  }
}

static void count_words(ml_quality *q, const ml_words *words, const uint64_t *stops, int count) {
  uint64_t seen = 0;
  q->words = words->n;
  for (int64_t i = 0; i < words->n; i++) {
    const ml_word *w = &words->w[i];
    q->alpha += w->alpha;
    if (w->symbol) continue;
    q->plain++;
    q->plain_chars += w->chars;
    for (int j = 0; j < count; j++)
      if (w->hash == stops[j]) seen |= (uint64_t)1 << j;
  }
  q->stops = __builtin_popcountll(seen);
}

int ml_quality_of(ml_quality *q, const uint8_t *p, size_t n, const uint64_t *stops, int count) {
  ml_words words;
  *q = (ml_quality){0};
  int st = ml_words_of(&words, p, n);
  if (st != ML_OK) return st;
  count_words(q, &words, stops, count);
  ml_free(words.w);
  q->hashes = count_text(p, n, "#");
  q->ellipses = count_text(p, n, "...") + count_text(p, n, ellipsis);
  count_lines(q, (ml_span){p, n});
  return ML_OK;
}

/* ---- repetition ---- */

typedef struct {
  uint64_t *hash; /* of the words from i on, as many as the round has */
  int64_t *ends;  /* [i]: characters of the words before i */
  int64_t n;      /* words */
  table seen;
} grams;

/* characters of the n words in a row that come most often, with one space between two; of several
** the first. Once is often enough, as it was published. */
static int64_t most_frequent(grams *g, int64_t n) {
  int64_t last = g->n - n, best = 0, where = 0;
  if (last < 0) return 0;
  table_clear(&g->seen, last + 1);
  for (int64_t i = 0; i <= last; i++) {
    entry *e = table_at(&g->seen, g->hash[i], i);
    e->count++;
    if (e->count > best || (e->count == best && e->first < where)) {
      best = e->count;
      where = e->first;
    }
  }
  return best * (g->ends[where + n] - g->ends[where] + n - 1);
}

/* characters of the n words in a row that were there before, found from left to right */
static int64_t seen_before(grams *g, int64_t n) {
  int64_t chars = 0;
  table_clear(&g->seen, g->n);
  for (int64_t i = 0; i + n <= g->n;) {
    if (table_at(&g->seen, g->hash[i], i)->count++ == 0) {
      i++;
      continue;
    }
    chars += g->ends[i + n] - g->ends[i];
    i += n;
  }
  return chars;
}

static void count_grams(ml_repetition *r, grams *g, const ml_words *words) {
  g->ends[0] = 0;
  for (int64_t i = 0; i < g->n; i++) {
    g->hash[i] = words->w[i].hash;
    g->ends[i + 1] = g->ends[i] + words->w[i].chars;
  }
  for (int64_t n = 2; n <= ML_GRAM_MAX; n++) {
    for (int64_t i = 0; i + n <= g->n; i++)
      g->hash[i] = ml_hash_mix(g->hash[i], words->w[i + n - 1].hash);
    if (n <= ML_TOP_MAX) r->top[n] = most_frequent(g, n);
    else r->gram[n] = seen_before(g, n);
  }
}

static void count_pieces(ml_repetition *r, table *seen, ml_span text, int64_t most) {
  ml_span piece;
  splitter s = {ml_strip(text), false};
  table_clear(seen, most);
  while (next_piece(&s, 2, &piece)) add_piece(seen, &r->paragraphs, piece);
  s = (splitter){text, false};
  table_clear(seen, most);
  while (next_piece(&s, 1, &piece)) add_piece(seen, &r->lines, piece);
}

int ml_repetition_of(ml_repetition *r, const uint8_t *p, size_t n) {
  ml_words words;
  *r = (ml_repetition){0};
  int st = ml_words_of(&words, p, n);
  if (st != ML_OK) return st;
  grams g = {.n = words.n};
  int64_t most = count_breaks(p, n) + 1;
  g.hash = ml_alloc((size_t)(g.n + 1) * sizeof *g.hash);
  g.ends = ml_alloc((size_t)(g.n + 1) * sizeof *g.ends);
  st = table_make(&g.seen, most > g.n ? most : g.n);
  if (!g.hash || !g.ends) st = ML_ENOMEM;
  if (st == ML_OK) {
    r->chars = ml_char_count(p, n);
    count_pieces(r, &g.seen, (ml_span){p, n}, most);
    count_grams(r, &g, &words);
  }
  ml_free(g.hash);
  ml_free(g.ends);
  ml_free(g.seen.e);
  ml_free(words.w);
  return st;
}

/* ---- layout ---- */

static bool ends_sentence(ml_span s) {
  int32_t c = -1;
  for (size_t i = s.n > 4 ? s.n - 4 : 0; i < s.n;) i += ml_char(s.p + i, s.n - i, &c);
  return ml_ends_sentence(c);
}

static void count_layout(ml_layout *l, table *seen, ml_span text, int64_t brief) {
  const uint8_t *end = text.p + text.n;
  for (const uint8_t *p = text.p; p <= end;) {
    const uint8_t *stop = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;
    ml_span line = {p, (size_t)((stop ? stop : end) - p)}, bare = ml_strip(line);
    int64_t chars = ml_char_count(line.p, line.n);
    l->chars += chars;
    l->breaks += stop != NULL;
    if (bare.n) {
      add_piece(seen, &l->lines, line);
      l->ended += ends_sentence(line);
      l->brief += chars <= brief;
    }
    if (!stop) break;
    p = stop + 1;
  }
}

int ml_layout_of(ml_layout *l, const uint8_t *p, size_t n, int64_t brief) {
  ml_words words;
  table seen;
  *l = (ml_layout){0};
  int st = ml_words_of(&words, p, n);
  if (st != ML_OK) return st;
  l->words = words.n;
  ml_free(words.w);
  int64_t most = count_breaks(p, n) + 1;
  if ((st = table_make(&seen, most)) != ML_OK) return st;
  table_clear(&seen, most);
  count_layout(l, &seen, (ml_span){p, n}, brief);
  ml_free(seen.e);
  return ML_OK;
}

/* ---- sentences, words of a line ---- */

int64_t ml_sentences(const uint8_t *p, size_t n) {
  int64_t count = 0;
  bool inside = false, ended = false; /* in a sentence; behind its last mark */
  int32_t c;
  for (size_t i = 0; i < n;) {
    i += ml_char(p + i, n - i, &c);
    if (ml_char_kind(c) & ML_CHAR_SPACE) {
      if (ended) inside = false;
      ended = false;
      continue;
    }
    count += !inside;
    inside = true;
    ended = ml_ends_sentence(c) || (ended && ml_closes_sentence(c));
  }
  return count;
}

void ml_line_words(ml_span line, int64_t *words, int64_t *longest) {
  int64_t length = 0;
  int32_t c;
  *words = *longest = 0;
  for (size_t i = 0; i < line.n;) {
    i += ml_char(line.p + i, line.n - i, &c);
    if (ml_char_kind(c) & ML_CHAR_SPACE) {
      length = 0;
      continue;
    }
    *words += length == 0;
    if (++length > *longest) *longest = length;
  }
}
