/* rows.c -- which ids make up which row. A row is a list of pieces, each a run of one document.
**
** Without `whole` the documents lie one behind the other and row r holds ids r * length to
** (r + 1) * length, both included; its pieces are found when it is filled.
** With `whole` a piece is a document, or, of one longer than a row, length + 1 ids of it that take
** up at the last id of the piece before. Pieces are placed longest first (equal ones in the
** shard's order), each into the fullest row that still takes it. */
#include "data/data.h"

#include <string.h>

typedef struct { int64_t from; int64_t len; } piece; /* ids of the shard */

struct ml_rows {
  ml_shard *shard;
  int64_t length, count;
  bool whole;
  piece *pieces;  /* of row r: first[r] to first[r + 1] */
  int64_t *first;
};

void ml_rows_free(ml_rows *r) {
  if (!r) return;
  ml_shard_free(r->shard);
  ml_free(r->pieces), ml_free(r->first), ml_free(r);
}

int64_t ml_rows_count(const ml_rows *r) { return r->count; }

/* ---- packing ---- */

/* pieces of `ids` ids: each but the first begins on the last id of the one before */
static int64_t pieces_of(int64_t ids, int64_t length) {
  return ids <= length + 1 ? ids > 0 : (ids - 2) / length + 1;
}

typedef struct {
  int64_t n, width;   /* pieces; ids a row takes, so lengths are 1 to width */
  piece *p;           /* in the shard's order */
  int64_t *order;     /* of the pieces, longest first */
  int64_t *row, *next; /* of a piece: its row; of a row: the next one with as much room */
  int64_t *top;       /* top[k]: a row with room for k more ids, or -1; behind it counters */
  uint64_t *have;     /* bit k: top[k] is a row */
  int64_t rows;
} packing;

static void packing_free(packing *k) {
  ml_free(k->order), ml_free(k->row), ml_free(k->next), ml_free(k->top), ml_free(k->have);
}

static int packing_new(packing *k) {
  size_t n = (size_t)k->n + 1, w = (size_t)k->width + 2;
  k->order = ml_alloc(n * 8), k->row = ml_alloc(n * 8), k->next = ml_alloc(n * 8);
  k->top = ml_alloc(w * 8), k->have = ml_alloc0((w / 64 + 1) * 8);
  return k->order && k->row && k->next && k->top && k->have ? ML_OK : ML_ENOMEM;
}

/* counts, then places: equal lengths stay in their order */
static void sort_pieces(packing *k) {
  int64_t *at = k->top, w = k->width;
  memset(at, 0, (size_t)(w + 2) * 8);
  for (int64_t i = 0; i < k->n; i++) at[w - k->p[i].len + 1]++;
  for (int64_t j = 1; j <= w; j++) at[j] += at[j - 1];
  for (int64_t i = 0; i < k->n; i++) k->order[at[w - k->p[i].len]++] = i;
}

/* the least room of at least len that some row has, or -1 */
static int64_t tightest(const packing *k, int64_t len) {
  int64_t word = len / 64, words = (k->width + 2) / 64 + 1;
  uint64_t bits = k->have[word] & ~0ull << (len % 64);
  while (!bits && ++word < words) bits = k->have[word];
  return bits ? word * 64 + __builtin_ctzll(bits) : -1;
}

static void put_row(packing *k, int64_t row, int64_t room) {
  k->next[row] = k->top[room], k->top[room] = row;
  k->have[room / 64] |= 1ull << (room % 64);
}

static int64_t take_row(packing *k, int64_t room) {
  int64_t row = k->top[room];
  k->top[room] = k->next[row];
  if (k->top[room] < 0) k->have[room / 64] &= ~(1ull << (room % 64));
  return row;
}

static void place_pieces(packing *k) {
  for (int64_t j = 0; j < k->width + 2; j++) k->top[j] = -1;
  for (int64_t i = 0; i < k->n; i++) {
    int64_t which = k->order[i], len = k->p[which].len, room = tightest(k, len);
    int64_t row = room < 0 ? k->rows++ : take_row(k, room);
    if (room < 0) room = k->width;
    k->row[which] = row;
    put_row(k, row, room - len);
  }
}

static int64_t cut(const ml_rows *r, piece *out) {
  int64_t n = 0, docs = ml_shard_documents(r->shard);
  for (int64_t d = 0; d < docs; d++) {
    int64_t begin = ml_shard_begin(r->shard, d), ids = ml_shard_begin(r->shard, d + 1) - begin;
    int64_t count = pieces_of(ids, r->length);
    for (int64_t i = 0; out && i < count; i++) {
      int64_t left = ids - i * r->length;
      out[n + i] = (piece){begin + i * r->length, left < r->length + 1 ? left : r->length + 1};
    }
    n += count;
  }
  return n;
}

/* pieces by row, those of a row longest first */
static int gather(ml_rows *r, packing *k) {
  r->count = k->rows;
  r->pieces = ml_alloc((size_t)(k->n + 1) * sizeof *r->pieces);
  r->first = ml_alloc0((size_t)(k->rows + 2) * 8);
  if (!r->pieces || !r->first) return ML_ENOMEM;
  for (int64_t i = 0; i < k->n; i++) r->first[k->row[i] + 2]++;
  for (int64_t j = 2; j <= k->rows + 1; j++) r->first[j] += r->first[j - 1];
  for (int64_t i = 0; i < k->n; i++) {
    int64_t which = k->order[i];
    r->pieces[r->first[k->row[which] + 1]++] = k->p[which];
  }
  return ML_OK;
}

static int pack(ml_rows *r) {
  packing k = {.n = cut(r, NULL), .width = r->length + 1};
  k.p = ml_alloc((size_t)(k.n + 1) * sizeof *k.p);
  int st = k.p ? packing_new(&k) : ML_ENOMEM;
  if (st == ML_OK) {
    cut(r, k.p);
    sort_pieces(&k);
    place_pieces(&k);
    st = gather(r, &k);
  }
  ml_free(k.p);
  packing_free(&k);
  return st;
}

int ml_rows_new(ml_rows **out, ml_shard *s, int64_t length, bool whole) {
  int64_t tokens = ml_shard_tokens(s);
  if (length < 1 || length > INT32_MAX)
    return ml_fail(ML_ERANGE, "rows: length must be from 1 to %d, got %lld", INT32_MAX,
                   (long long)length);
  if (tokens < 2)
    return ml_fail(ML_EARG, "rows: expected at least 2 ids, got %lld", (long long)tokens);
  ml_rows *r = ml_alloc0(sizeof *r);
  if (!r) return ML_ENOMEM;
  *r = (ml_rows){.shard = ml_shard_ref(s), .length = length, .whole = whole};
  r->count = (tokens - 2) / length + 1;
  int st = whole ? pack(r) : ML_OK;
  if (st != ML_OK) return ml_rows_free(r), st;
  *out = r;
  return ML_OK;
}

/* ---- filling ---- */

typedef struct { int64_t *ids, *doc; float *mask; } place;

/* ids from .. from + len of one document; begins: the first of them is never a target here */
static void fill_piece(const ml_rows *r, place to, piece p, int64_t doc) {
  ml_shard_ids(r->shard, p.from, p.len, to.ids);
  ml_shard_mask(r->shard, p.from, p.len, to.mask);
  to.mask[0] = 0;
  for (int64_t i = 0; i < p.len; i++) to.doc[i] = doc;
}

/* the document that holds an id */
static int64_t document_at(const ml_shard *s, int64_t id) {
  int64_t low = 0, high = ml_shard_documents(s) - 1;
  while (low < high) {
    int64_t mid = low + (high - low) / 2;
    if (ml_shard_begin(s, mid + 1) > id) high = mid;
    else low = mid + 1;
  }
  return low;
}

static place move(place to, int64_t n) {
  return (place){to.ids + n, to.doc + n, to.mask + n};
}

/* consecutive ids, cut where a document ends; returns how many */
static int64_t fill_stretch(const ml_rows *r, place to, int64_t row, int64_t *doc) {
  int64_t from = row * r->length, tokens = ml_shard_tokens(r->shard), done = 0;
  int64_t all = tokens - from < r->length + 1 ? tokens - from : r->length + 1;
  for (int64_t d = document_at(r->shard, from); done < all; d++) {
    int64_t end = ml_shard_begin(r->shard, d + 1), len = end - from - done;
    if (len > all - done) len = all - done;
    if (len <= 0) continue; /* a document without ids */
    fill_piece(r, move(to, done), (piece){from + done, len}, (*doc)++);
    done += len;
  }
  return all;
}

static int64_t fill_pieces(const ml_rows *r, place to, int64_t row, int64_t *doc) {
  int64_t done = 0;
  for (int64_t i = r->first[row]; i < r->first[row + 1]; i++) {
    fill_piece(r, move(to, done), r->pieces[i], (*doc)++);
    done += r->pieces[i].len;
  }
  return done;
}

static void fill_row(const ml_rows *r, place to, int64_t row) {
  int64_t doc = 0;
  int64_t n = r->whole ? fill_pieces(r, to, row, &doc) : fill_stretch(r, to, row, &doc);
  for (; n <= r->length; n++) to.ids[n] = 0, to.mask[n] = 0, to.doc[n] = doc;
}

int ml_rows_fill(const ml_rows *r, const int64_t *row, int64_t n, ml_tensor **ids,
                 ml_tensor **mask, ml_tensor **doc) {
  for (int64_t i = 0; i < n; i++)
    if (row[i] < 0 || row[i] >= r->count)
      return ml_fail(ML_ERANGE, "rows: expected a row from 1 to %lld, got %lld",
                     (long long)r->count, (long long)row[i] + 1);
  int64_t size[2] = {n, r->length + 1};
  int st = ml_tensor_new(ids, ML_I64, 2, size);
  if (st == ML_OK) st = ml_tensor_new(mask, ML_F32, 2, size);
  if (st == ML_OK) st = ml_tensor_new(doc, ML_I64, 2, size);
  if (st != ML_OK) return st; /* those made are the caller's to free */
  place to = {ml_data(*ids), ml_data(*doc), ml_data(*mask)};
  for (int64_t i = 0; i < n; i++) fill_row(r, move(to, i * size[1]), row[i]);
  return ML_OK;
}
