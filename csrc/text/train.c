/* train.c -- learning merges. Pieces are counted on all threads, each into a table of its own; then
** one pair after the other is merged wherever it stands. A heap holds the pairs by count; what a
** merge makes untrue there is put right when it comes up. Only counts decide, and they are sums:
** neither threads nor the order of texts can show. */
#include <string.h>

#include "text/text.h"

struct ml_trainer {
  ml_steps *steps;
  bool cut;
  ml_counts counts[ML_MAX_THREADS];
};

int ml_trainer_new(ml_trainer **out, ml_bytes pattern, bool linear, bool cut) {
  ml_trainer *t = ml_alloc0(sizeof *t);
  if (!t) return ML_ENOMEM;
  ml_step step = {
      .kind = ML_STEP_CUT, .how = ML_CUT_ISOLATED, .linear = linear, .pattern = pattern};
  t->cut = cut;
  int st = ml_steps_new(&t->steps, &step, 1);
  if (st != ML_OK)
    ml_trainer_free(t);
  else
    *out = t;
  return st;
}

void ml_trainer_free(ml_trainer *t) {
  if (!t) return;
  for (int i = 0; i < ML_MAX_THREADS; i++) ml_counts_free(&t->counts[i]);
  ml_steps_free(t->steps);
  ml_free(t);
}

/* ---- counting ---- */

typedef struct {
  ml_trainer *t;
  const ml_bytes *texts;
  int *status;
} counting;

static int count_piece(void *ctx, const ml_piece *s) {
  ml_bytes piece = {s->p, s->n};
  return ml_counts_add(ctx, piece, ml_strings_hash(piece), 1);
}

static void count_text(void *ctx, int64_t i, int worker) {
  counting *c = ctx;
  ml_piece s = {c->texts[i].p, c->texts[i].n, 0, NULL, false};
  if (c->status[worker] != ML_OK) return;
  c->status[worker] =
      ml_steps_run(c->t->steps, worker, &s, false, count_piece, &c->t->counts[worker]);
}

/* texts cut where that does not show, so that threads can share a long one */
static int parts_of(const ml_trainer *t, const ml_bytes *texts, int64_t n, ml_bytes **parts,
                    int64_t *count) {
  int64_t room = 0;
  int st = ML_OK;
  for (int64_t i = 0; i < n && st == ML_OK; i++)
    for (size_t at = 0; at < texts[i].n && st == ML_OK;) {
      ml_bytes s = {texts[i].p + at, texts[i].n - at};
      if (t->cut) s.n = ml_text_cut(s, 1 << 18);
      st = ml_room((void **)parts, &room, *count + 1, sizeof **parts);
      if (st == ML_OK) (*parts)[(*count)++] = s;
      at += s.n;
    }
  return st;
}

int ml_trainer_add(ml_trainer *t, const ml_bytes *texts, int64_t n) {
  int status[ML_MAX_THREADS] = {0};
  ml_bytes *parts = NULL;
  int64_t count = 0;
  int st = parts_of(t, texts, n, &parts, &count);
  counting c = {t, parts, status};
  if (st == ML_OK) ml_parallel(count, count_text, &c);
  ml_free(parts);
  for (int i = 0; i < ML_MAX_THREADS && st == ML_OK; i++)
    if (status[i] != ML_OK)
      st = ml_fail(status[i], "the texts could not be counted: %s",
                   status[i] == ML_ENOMEM ? "out of memory" : "the pattern gives up on one");
  return st;
}

/* ---- merging ---- */

typedef struct {
  int32_t left, right;
  int64_t times, queued; /* queued: in its entry of the heap that counts, 0 = none */
  uint32_t list;         /* its words: the first node + 1 */
  uint32_t last_word;    /* put there last, + 1 */
} pair;
typedef struct {
  uint32_t word, next;
} node; /* next: + 1 */
typedef struct {
  int64_t times;
  uint32_t pair;
} entry;

typedef struct {
  const ml_counts *words;
  int32_t *symbol; /* of word w: from words->word[w].at on */
  int32_t *length; /* in symbols */
  pair *pair;
  uint32_t *slot; /* number of a pair + 1 */
  node *node;
  entry *heap;
  uint32_t *risen; /* pairs that grew in the running merge */
  int64_t pairs, pair_room, slots, nodes, node_room, entries, heap_room, rises, rise_room;
  uint32_t spare;    /* nodes given back */
  ml_strings tokens; /* bytes first */
  int32_t first;
} merging;

static uint64_t hash_pair(int32_t a, int32_t b) {
  uint64_t h = ml_pair(a, b) * 0x9fb21c651e98df25u;
  return h ^ h >> 29;
}

static int widen_pairs(merging *m) {
  int64_t slots = m->slots ? m->slots * 2 : 1 << 12;
  uint32_t *slot = ml_alloc0((size_t)slots * sizeof *slot);
  if (!slot) return ML_ENOMEM;
  for (int64_t k = 0; k < m->pairs; k++) {
    uint64_t i = hash_pair(m->pair[k].left, m->pair[k].right) & (uint64_t)(slots - 1);
    while (slot[i]) i = (i + 1) & (uint64_t)(slots - 1);
    slot[i] = (uint32_t)k + 1;
  }
  ml_free(m->slot);
  m->slot = slot, m->slots = slots;
  return ML_OK;
}

/* the pair's number, made if it is new */
static int pair_of(merging *m, int32_t a, int32_t b, uint32_t *out) {
  if (m->pairs * 2 >= m->slots && widen_pairs(m) != ML_OK) return ML_ENOMEM;
  uint64_t mask = (uint64_t)(m->slots - 1), i = hash_pair(a, b) & mask;
  for (; m->slot[i]; i = (i + 1) & mask) {
    *out = m->slot[i] - 1;
    if (m->pair[*out].left == a && m->pair[*out].right == b) return ML_OK;
  }
  if (m->pairs >= UINT32_MAX - 1) return ml_fail(ML_ERANGE, "text: 2^32 different pairs");
  int st = ml_room((void **)&m->pair, &m->pair_room, m->pairs + 1, sizeof *m->pair);
  if (st != ML_OK) return st;
  *out = (uint32_t)m->pairs;
  m->pair[m->pairs++] = (pair){.left = a, .right = b};
  m->slot[i] = (uint32_t)m->pairs;
  return ML_OK;
}

static int note_word(merging *m, pair *p, uint32_t w) {
  if (p->last_word == w + 1) return ML_OK;
  uint32_t k = m->spare;
  if (k)
    m->spare = m->node[k - 1].next;
  else {
    if (m->nodes >= UINT32_MAX - 1) return ml_fail(ML_ERANGE, "text: too much to learn from");
    int st = ml_room((void **)&m->node, &m->node_room, m->nodes + 1, sizeof *m->node);
    if (st != ML_OK) return st;
    k = (uint32_t)++m->nodes;
  }
  m->node[k - 1] = (node){w, p->list};
  p->list = k;
  p->last_word = w + 1;
  return ML_OK;
}

/* `times` more of (a, b), in word w */
static int add_pair(merging *m, int32_t a, int32_t b, uint32_t w, int64_t times) {
  uint32_t k = 0;
  int st = pair_of(m, a, b, &k);
  if (st != ML_OK) return st;
  m->pair[k].times += times;
  if (times < 0) return ML_OK;
  st = ml_room((void **)&m->risen, &m->rise_room, m->rises + 1, sizeof *m->risen);
  if (st != ML_OK) return st;
  m->risen[m->rises++] = k;
  return note_word(m, &m->pair[k], w);
}

/* ---- the heap: the most frequent first, then the smaller ids ---- */

static bool before(const merging *m, entry x, entry y) {
  if (x.times != y.times) return x.times > y.times;
  const pair *p = &m->pair[x.pair], *q = &m->pair[y.pair];
  return p->left != q->left ? p->left < q->left : p->right < q->right;
}

static int push(merging *m, uint32_t k) {
  int st = ml_room((void **)&m->heap, &m->heap_room, m->entries + 1, sizeof *m->heap);
  if (st != ML_OK) return st;
  entry e = {m->pair[k].times, k};
  m->pair[k].queued = e.times;
  int64_t i = m->entries++;
  for (; i > 0 && before(m, e, m->heap[(i - 1) / 2]); i = (i - 1) / 2)
    m->heap[i] = m->heap[(i - 1) / 2];
  m->heap[i] = e;
  return ML_OK;
}

static entry pop(merging *m) {
  entry top = m->heap[0], e = m->heap[--m->entries];
  int64_t i = 0;
  for (int64_t c = 1; c < m->entries; c = 2 * i + 1) {
    if (c + 1 < m->entries && before(m, m->heap[c + 1], m->heap[c])) c++;
    if (!before(m, m->heap[c], e)) break;
    m->heap[i] = m->heap[c];
    i = c;
  }
  m->heap[i] = e;
  return top;
}

static int push_risen(merging *m) {
  int st = ML_OK;
  for (int64_t i = 0; i < m->rises && st == ML_OK; i++) {
    pair *p = &m->pair[m->risen[i]];
    p->last_word = 0;
    if (p->times > p->queued) st = push(m, m->risen[i]);
  }
  m->rises = 0;
  return st;
}

/* the most frequent pair; *any false: none comes `least` times */
static int next_pair(merging *m, int64_t least, uint32_t *out, bool *any) {
  *any = false;
  while (m->entries > 0) {
    entry e = pop(m);
    pair *p = &m->pair[e.pair];
    if (e.times != p->queued) continue; /* another entry stands for it */
    if (e.times < least) return ML_OK;  /* all others are rarer still */
    p->queued = 0;
    if (p->times == e.times) {
      *out = e.pair, *any = true;
      return ML_OK;
    }
    if (p->times > 0 && push(m, e.pair) != ML_OK) return ML_ENOMEM;
  }
  return ML_OK;
}

/* ---- one merge ---- */

/* (a, b) becomes c in word w; the counts of its neighbours follow */
static int merge_word(merging *m, uint32_t w, int32_t a, int32_t b, int32_t c) {
  int32_t *s = m->symbol + m->words->word[w].at, n = m->length[w], to = 0;
  int64_t times = m->words->word[w].times;
  int st = ML_OK;
  for (int32_t i = 0; i < n && st == ML_OK; to++) {
    if (i + 1 >= n || s[i] != a || s[i + 1] != b) {
      s[to] = s[i++];
      continue;
    }
    i += 2;
    if (to > 0) {
      st = add_pair(m, s[to - 1], a, w, -times);
      if (st == ML_OK) st = add_pair(m, s[to - 1], c, w, times);
    }
    if (i < n && st == ML_OK) {
      st = add_pair(m, b, s[i], w, -times);
      if (st == ML_OK) st = add_pair(m, c, s[i], w, times);
    }
    s[to] = c;
  }
  m->length[w] = to;
  return st;
}

static int merge_pair(merging *m, uint32_t k, int32_t c) {
  int32_t a = m->pair[k].left, b = m->pair[k].right;
  uint32_t list = m->pair[k].list;
  int st = ML_OK;
  m->pair[k].list = 0;
  while (list && st == ML_OK) {
    node *x = &m->node[list - 1];
    uint32_t w = x->word, next = x->next;
    x->next = m->spare;
    m->spare = list;
    list = next;
    st = merge_word(m, w, a, b, c);
  }
  m->pair[k].times = 0; /* what a run of one symbol left over is no pair any more */
  return st == ML_OK ? push_risen(m) : st;
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

/* words as bytes, their pairs counted and on the heap */
static int begin(merging *m, const uint8_t alphabet[256]) {
  int32_t id[256];
  int64_t number;
  int st = ML_OK;
  for (int i = 0; i < 256 && st == ML_OK; i++) {
    st = ml_strings_add(&m->tokens, (ml_bytes){&alphabet[i], 1}, &number);
    id[alphabet[i]] = (int32_t)(m->first + number);
  }
  const ml_counts *words = m->words;
  m->symbol = ml_alloc((size_t)(words->used + 1) * sizeof *m->symbol);
  m->length = ml_alloc((size_t)(words->count + 1) * sizeof *m->length);
  if (st != ML_OK || !m->symbol || !m->length) return ML_ENOMEM;
  for (int64_t i = 0; i < words->used; i++) m->symbol[i] = id[words->bytes[i]];
  for (int64_t w = 0; w < words->count && st == ML_OK; w++) {
    const ml_word_count *x = &words->word[w];
    const int32_t *s = m->symbol + x->at;
    m->length[w] = x->n;
    for (int32_t i = 0; i + 1 < x->n && st == ML_OK; i++)
      st = add_pair(m, s[i], s[i + 1], (uint32_t)w, x->times);
  }
  return st == ML_OK ? push_risen(m) : st;
}

static int merge_all(merging *m, int64_t vocab, int64_t least, ml_merge **merges, int64_t *count) {
  int64_t room = 0;
  int st = ML_OK;
  while (st == ML_OK && m->first + m->tokens.count < vocab) {
    uint32_t k = 0;
    bool any;
    st = next_pair(m, least, &k, &any);
    if (st != ML_OK || !any) break;
    st = ml_room((void **)merges, &room, *count + 1, sizeof **merges);
    if (st != ML_OK) break;
    ml_merge *merge = &(*merges)[*count];
    *merge = (ml_merge){m->pair[k].left, m->pair[k].right, 0};
    st = joined(m, merge->a, merge->b, &merge->id);
    if (st == ML_OK) st = merge_pair(m, k, merge->id);
    if (st == ML_OK) (*count)++;
  }
  return st;
}

int ml_trainer_run(ml_trainer *t, const uint8_t alphabet[256], int32_t first, int64_t vocab,
                   int64_t min_frequency, ml_merge **merges, int64_t *count) {
  merging m = {.words = &t->counts[0], .first = first};
  *merges = NULL, *count = 0;
  if (vocab > INT32_MAX) return ml_fail(ML_ERANGE, "vocab must be below 2^31");
  int st = ML_OK;
  for (int i = 1; i < ML_MAX_THREADS && st == ML_OK; i++)
    st = ml_counts_gather(&t->counts[0], &t->counts[i]);
  if (st == ML_OK) st = begin(&m, alphabet);
  if (st == ML_OK) st = merge_all(&m, vocab, min_frequency < 1 ? 1 : min_frequency, merges, count);
  ml_free(m.symbol), ml_free(m.length), ml_free(m.pair), ml_free(m.slot), ml_free(m.node);
  ml_free(m.heap), ml_free(m.risen);
  ml_strings_free(&m.tokens);
  if (st != ML_OK) ml_free(*merges), *merges = NULL, *count = 0;
  return st;
}
