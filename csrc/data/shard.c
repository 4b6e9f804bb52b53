/* shard.c -- the token file. Little endian; every section starts on 64 bytes, zeros between.
**
**   0  "mlshard" 0, u32 version = 1, u32 bytes an id (2 or 4)
**  16  u64 ids, u64 documents, u64 bytes of names
**  40  u32 flags (1 masks, 2 names), u32 vocabulary (the largest id + 1), zeros to 64
**  64  SHA-256 of all other bytes; zeros to 128
** 128  ids; mask bits, lowest first (flag 1); u64 ends, the ids up to and with each document;
**      u64 ends of the names and the names (flag 2) */
#include "data/data.h"

#include <stdio.h>
#include <string.h>

static const char MAGIC[8] = "mlshard";
enum { VERSION = 1, HEAD = 128, HASH = 64, HASH_END = 96, ALIGN = 64, MASKED = 1, NAMED = 2 };

typedef struct { uint64_t ids, mask, ends, name_ends, names, size; } layout;

struct ml_shard {
  int64_t refs, tokens, documents;
  uint64_t name_bytes;
  uint32_t width, flags, vocab;
  ml_file file;       /* mapped, or empty */
  uint8_t *own;       /* an image in memory, or NULL */
  const uint8_t *p;   /* the whole file */
  size_t size;
  layout at;
  char hash[65];
};

static uint64_t little(const uint8_t *p, int n) {
  uint64_t v = 0;
  for (int i = 0; i < n; i++) v |= (uint64_t)p[i] << (8 * i);
  return v;
}

static void put_little(uint8_t *p, uint64_t v, int n) {
  for (int i = 0; i < n; i++) p[i] = (uint8_t)(v >> (8 * i));
}

/* ---- where things lie ---- */

/* takes `bytes` at *end and moves it to the next section; false when the sizes overflow */
static bool place(uint64_t *at, int64_t *end, int64_t count, int64_t each) {
  int64_t bytes;
  *at = (uint64_t)*end;
  return ml_mul_ok(count, each, &bytes) && ml_add_ok(*end, bytes, end) &&
         ml_add_ok(*end, (ALIGN - *end % ALIGN) % ALIGN, end);
}

/* the file ends where its last section ends, padded */
static bool lay_out(ml_shard *s) {
  int64_t end = HEAD, bits;
  bool masked = s->flags & MASKED, named = s->flags & NAMED;
  if (s->tokens < 0 || s->documents < 0 || s->name_bytes > INT64_MAX) return false;
  if (!ml_add_ok(s->tokens, 7, &bits)) return false;
  bool fine = place(&s->at.ids, &end, s->tokens, s->width) &&
              place(&s->at.mask, &end, masked ? bits / 8 : 0, 1) &&
              place(&s->at.ends, &end, s->documents, 8) &&
              place(&s->at.name_ends, &end, named ? s->documents : 0, 8) &&
              place(&s->at.names, &end, (int64_t)s->name_bytes, 1);
  s->at.size = (uint64_t)end;
  return fine;
}

/* ---- reading ---- */

static int bad(const char *what) { return ml_fail(ML_EFORMAT, "shard: %s", what); }

static int read_head(ml_shard *s) {
  ml_reader r = ml_reader_of(s->p, s->size);
  const uint8_t *magic = ml_read_bytes(&r, sizeof MAGIC);
  if (!magic || memcmp(magic, MAGIC, sizeof MAGIC) != 0)
    return bad("expected a token file, the magic number is missing");
  uint32_t version = ml_read_u32(&r);
  if (!r.bad && version != VERSION)
    return ml_fail(ML_EUNSUPPORTED, "shard: expected version %d, got %u", VERSION, version);
  s->width = ml_read_u32(&r);
  s->tokens = (int64_t)ml_read_u64(&r), s->documents = (int64_t)ml_read_u64(&r);
  s->name_bytes = ml_read_u64(&r);
  s->flags = ml_read_u32(&r), s->vocab = ml_read_u32(&r);
  ml_read_bytes(&r, HEAD - 48);
  if (r.bad) return bad("the file ends inside its header");
  if (s->width != 2 && s->width != 4)
    return ml_fail(ML_EFORMAT, "shard: expected 2 or 4 bytes an id, got %u", s->width);
  if (s->flags & ~(uint32_t)(MASKED | NAMED))
    return ml_fail(ML_EUNSUPPORTED, "shard: unknown flags %x", s->flags);
  if (!(s->flags & NAMED) && s->name_bytes) return bad("there are names, and no flag for them");
  if (!lay_out(s)) return bad("the sizes overflow");
  if (s->at.size != s->size)
    return ml_fail(ML_EFORMAT, "shard: the header describes %llu bytes, the file has %zu",
                   (unsigned long long)s->at.size, s->size);
  return ML_OK;
}

/* ends must not go back, and the last must be `total` */
static int check_ends(const ml_shard *s, uint64_t at, uint64_t total, const char *what) {
  uint64_t last = 0;
  for (int64_t i = 0; i < s->documents; i++) {
    uint64_t end = little(s->p + at + 8 * (uint64_t)i, 8);
    if (end < last || end > total)
      return ml_fail(ML_EFORMAT, "shard: document %lld: its %s do not lie in the file",
                     (long long)i + 1, what);
    last = end;
  }
  return last == total ? ML_OK : ml_fail(ML_EFORMAT, "shard: %s without a document", what);
}

static int hash_of(const uint8_t *p, size_t size, char hex[65]) {
  ml_sha256 *h = NULL;
  int st = ml_sha256_new(&h);
  if (st == ML_OK) st = ml_sha256_add(h, p, HASH);
  if (st == ML_OK) st = ml_sha256_add(h, p + HASH_END, size - HASH_END);
  if (st == ML_OK) return ml_sha256_hex(h, hex);
  ml_sha256_free(h);
  return st;
}

static int64_t id_at(const ml_shard *s, int64_t i) {
  const uint8_t *p = s->p + s->at.ids + (uint64_t)i * s->width;
  return (int64_t)(s->width == 2 ? little(p, 2) : little(p, 4));
}

static int verify_all(const ml_shard *s) {
  char hex[65] = "";
  int st = hash_of(s->p, s->size, hex);
  if (st != ML_OK) return st;
  if (strcmp(hex, s->hash) != 0) return bad("the contents do not have the SHA-256 of the header");
  for (int64_t i = 0; i < s->tokens; i++)
    if (id_at(s, i) >= s->vocab)
      return ml_fail(ML_EFORMAT, "shard: id %lld is %lld, the vocabulary has %u",
                     (long long)i + 1, (long long)id_at(s, i), s->vocab);
  return ML_OK;
}

static int read_all(ml_shard *s, bool verify) {
  int st = read_head(s);
  if (st != ML_OK) return st;
  for (int i = 0; i < 32; i++) snprintf(s->hash + 2 * i, 3, "%02x", s->p[HASH + i]);
  st = check_ends(s, s->at.ends, (uint64_t)s->tokens, "ids");
  if (st == ML_OK && s->flags & NAMED)
    st = check_ends(s, s->at.name_ends, s->name_bytes, "names");
  return st == ML_OK && verify ? verify_all(s) : st;
}

/* s holds the file or the bytes already; on failure they go with it */
static int opened(ml_shard **out, ml_shard *s, bool verify) {
  int st = read_all(s, verify);
  if (st == ML_OK) *out = s;
  else ml_shard_free(s);
  return st;
}

int ml_shard_of(ml_shard **out, uint8_t *p, size_t n, bool own, bool verify) {
  ml_shard *s = ml_alloc0(sizeof *s);
  if (!s) {
    if (own) ml_free(p);
    return ML_ENOMEM;
  }
  s->refs = 1, s->file.fd = -1;
  s->p = p, s->size = n, s->own = own ? p : NULL;
  return opened(out, s, verify);
}

int ml_shard_open(ml_shard **out, const char *path, bool verify) {
  ml_shard *s = ml_alloc0(sizeof *s);
  if (!s) return ML_ENOMEM;
  s->refs = 1;
  int st = ml_file_map(&s->file, path);
  s->p = s->file.data, s->size = s->file.size;
  if (st != ML_OK) return ml_shard_free(s), st;
  st = opened(out, s, verify);
  return st == ML_OK || st == ML_ENOMEM ? st : ml_fail(st, "%s: %s", path, ml_errmsg());
}

ml_shard *ml_shard_ref(ml_shard *s) {
  s->refs++;
  return s;
}

void ml_shard_free(ml_shard *s) {
  if (!s || --s->refs > 0) return;
  ml_file_unmap(&s->file);
  ml_free(s->own), ml_free(s);
}

/* ---- what it holds ---- */

int64_t ml_shard_documents(const ml_shard *s) { return s->documents; }
int64_t ml_shard_tokens(const ml_shard *s) { return s->tokens; }
int64_t ml_shard_vocab(const ml_shard *s) { return s->vocab; }
bool ml_shard_masked(const ml_shard *s) { return s->flags & MASKED; }
const char *ml_shard_hash(const ml_shard *s) { return s->hash; }

int64_t ml_shard_begin(const ml_shard *s, int64_t doc) {
  return doc == 0 ? 0 : (int64_t)little(s->p + s->at.ends + 8 * (uint64_t)(doc - 1), 8);
}

const char *ml_shard_name(const ml_shard *s, int64_t doc, size_t *n) {
  *n = 0;
  if (!(s->flags & NAMED)) return "";
  const uint8_t *ends = s->p + s->at.name_ends + 8 * (uint64_t)doc;
  uint64_t from = doc == 0 ? 0 : little(ends - 8, 8);
  *n = (size_t)(little(ends, 8) - from);
  return (const char *)s->p + s->at.names + from;
}

void ml_shard_ids(const ml_shard *s, int64_t from, int64_t n, int64_t *ids) {
  for (int64_t i = 0; i < n; i++) ids[i] = id_at(s, from + i);
}

void ml_shard_mask(const ml_shard *s, int64_t from, int64_t n, float *mask) {
  const uint8_t *bits = s->p + s->at.mask;
  for (int64_t i = 0; i < n; i++) {
    int64_t t = from + i;
    mask[i] = s->flags & MASKED ? (float)(bits[t / 8] >> (t % 8) & 1) : 1;
  }
}

/* ---- building ---- */

typedef struct { uint8_t *p; size_t n, room; } bytes;

/* room for n more, behind the ones there are; NULL when there is no memory */
static void *more(bytes *b, size_t n) {
  if (!b->p || b->room - b->n < n) {
    size_t room = (b->n + n) * 2 + 4096;
    uint8_t *p = ml_alloc(room);
    if (!p) return NULL;
    if (b->n) memcpy(p, b->p, b->n);
    ml_free(b->p);
    b->p = p, b->room = room;
  }
  return b->p + b->n;
}

struct ml_shard_builder { bytes ids, mask, ends, name_ends, names; uint32_t flags, vocab; };

int ml_shard_builder_new(ml_shard_builder **out) {
  *out = ml_alloc0(sizeof **out);
  return *out ? ML_OK : ML_ENOMEM;
}

void ml_shard_builder_free(ml_shard_builder *b) {
  if (!b) return;
  ml_free(b->ids.p), ml_free(b->mask.p), ml_free(b->ends.p);
  ml_free(b->name_ends.p), ml_free(b->names.p), ml_free(b);
}

static int check_ids(const int64_t *ids, int64_t len) {
  for (int64_t i = 0; i < len; i++)
    if (ids[i] < 0 || ids[i] > INT32_MAX)
      return ml_fail(ML_ERANGE, "shard: id %lld must be an integer from 0 to %d, got %lld",
                     (long long)i + 1, INT32_MAX, (long long)ids[i]);
  return ML_OK;
}

int ml_shard_builder_add(ml_shard_builder *b, const int64_t *ids, const uint8_t *mask, int64_t len,
                         const char *name, size_t n) {
  int st = check_ids(ids, len);
  if (st != ML_OK) return st;
  size_t count = (size_t)len;
  uint8_t *to = more(&b->ids, 4 * count), *bits = more(&b->mask, count);
  uint8_t *end = more(&b->ends, 8), *name_end = more(&b->name_ends, 8);
  uint8_t *text = more(&b->names, n);
  if (!to || !bits || !end || !name_end || !text) return ML_ENOMEM; /* nothing was added */
  for (size_t i = 0; i < count; i++) {
    put_little(to + 4 * i, (uint64_t)ids[i], 4);
    bits[i] = mask ? mask[i] != 0 : 1;
    if (ids[i] >= b->vocab) b->vocab = (uint32_t)ids[i] + 1;
  }
  if (n) memcpy(text, name, n);
  b->ids.n += 4 * count, b->mask.n += count, b->names.n += n;
  b->ends.n += 8, b->name_ends.n += 8;
  put_little(end, b->mask.n, 8);
  put_little(name_end, b->names.n, 8);
  if (mask) b->flags |= MASKED;
  if (name) b->flags |= NAMED;
  return ML_OK;
}

static void copy(uint8_t *to, const bytes *from) {
  if (from->n) memcpy(to, from->p, from->n);
}

static void write_head(uint8_t *p, const ml_shard *s) {
  memcpy(p, MAGIC, sizeof MAGIC);
  put_little(p + 8, VERSION, 4), put_little(p + 12, s->width, 4);
  put_little(p + 16, (uint64_t)s->tokens, 8), put_little(p + 24, (uint64_t)s->documents, 8);
  put_little(p + 32, s->name_bytes, 8);
  put_little(p + 40, s->flags, 4), put_little(p + 44, s->vocab, 4);
}

static void write_sections(uint8_t *p, const ml_shard *s, const ml_shard_builder *b) {
  if (s->width == 4) copy(p + s->at.ids, &b->ids);
  else
    for (size_t i = 0; i < (size_t)s->tokens; i++)
      memcpy(p + s->at.ids + 2 * i, b->ids.p + 4 * i, 2); /* little endian: the low half */
  if (s->flags & MASKED)
    for (size_t i = 0; i < (size_t)s->tokens; i++)
      p[s->at.mask + i / 8] |= (uint8_t)(b->mask.p[i] << i % 8);
  copy(p + s->at.ends, &b->ends);
  if (s->flags & NAMED) copy(p + s->at.name_ends, &b->name_ends), copy(p + s->at.names, &b->names);
}

int ml_shard_builder_image(const ml_shard_builder *b, uint8_t **out, size_t *n) {
  ml_shard s = {.tokens = (int64_t)b->mask.n, .documents = (int64_t)(b->ends.n / 8),
                .name_bytes = b->names.n, .flags = b->flags, .vocab = b->vocab,
                .width = b->vocab > 65536 ? 4 : 2};
  if (!lay_out(&s)) return ml_fail(ML_ERANGE, "shard: the sizes overflow");
  uint8_t *p = ml_alloc0(s.at.size);
  char hex[65];
  if (!p) return ML_ENOMEM;
  write_head(p, &s);
  write_sections(p, &s, b);
  int st = hash_of(p, s.at.size, hex);
  if (st != ML_OK) return ml_free(p), st;
  for (int i = 0; i < 32; i++) sscanf(hex + 2 * i, "%2hhx", p + HASH + i);
  *out = p, *n = s.at.size;
  return ML_OK;
}
