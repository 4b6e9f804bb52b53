/* out.c -- text into a file that appears whole or not at all. gzip carries no name and no time,
** so that equal text gives equal bytes. */
#include "data/data.h"

#include <string.h>
#include <zlib.h>

enum { CHUNK = 1 << 18, LEVEL = 6 };

struct ml_out {
  ml_writer *w;
  bool gzip; /* z is to be ended */
  z_stream z;
  uint8_t *buffer;
  size_t used;
};

static voidpf z_take(voidpf ctx, uInt n, uInt size) { return ml_alloc((size_t)n * size); }
static void z_give(voidpf ctx, voidpf p) { ml_free(p); }

static void out_free(ml_out *o) {
  if (o->gzip) deflateEnd(&o->z);
  ml_writer_abort(o->w);
  ml_free(o->buffer), ml_free(o);
}

int ml_out_open(ml_out **out, const char *path, bool gzip) {
  ml_out *o = ml_alloc0(sizeof *o);
  if (!o) return ML_ENOMEM;
  o->z.zalloc = z_take, o->z.zfree = z_give;
  o->buffer = ml_alloc(CHUNK);
  int st = o->buffer ? ML_OK : ML_ENOMEM;
  if (st == ML_OK && gzip) {
    o->gzip = deflateInit2(&o->z, LEVEL, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK;
    if (!o->gzip) st = ML_ENOMEM;
  }
  if (st == ML_OK) st = ml_writer_open(&o->w, path);
  if (st != ML_OK) return out_free(o), st;
  *out = o;
  return ML_OK;
}

static int flush(ml_out *o) {
  size_t n = o->used;
  o->used = 0;
  return n ? ml_writer_put(o->w, o->buffer, n) : ML_OK;
}

/* how: Z_NO_FLUSH takes all of p, Z_FINISH writes the end too */
static int deflate_all(ml_out *o, const void *p, size_t n, int how) {
  o->z.next_in = (Bytef *)p, o->z.avail_in = (uInt)n;
  for (;;) {
    o->z.next_out = o->buffer + o->used, o->z.avail_out = (uInt)(CHUNK - o->used);
    int code = deflate(&o->z, how);
    o->used = CHUNK - o->z.avail_out;
    if (code == Z_STREAM_ERROR) return ml_fail(ML_ESTATE, "gzip: zlib failed");
    bool full = o->z.avail_out == 0;
    if (!full && (how == Z_FINISH ? code == Z_STREAM_END : !o->z.avail_in)) return ML_OK;
    if (full) {
      int st = flush(o);
      if (st != ML_OK) return st;
    }
    if (how == Z_FINISH && code == Z_STREAM_END) return ML_OK;
  }
}

static int put_plain(ml_out *o, const void *p, size_t n) {
  int st = o->used + n > CHUNK ? flush(o) : ML_OK;
  if (st == ML_OK && n > CHUNK) return ml_writer_put(o->w, p, n);
  if (st == ML_OK && n) memcpy(o->buffer + o->used, p, n), o->used += n;
  return st;
}

int ml_out_put(ml_out *o, const void *p, size_t n) {
  if (!o->gzip) return put_plain(o, p, n);
  for (const uint8_t *b = p; n > 0;) { /* zlib counts in 32 bits */
    size_t k = n < (1u << 30) ? n : 1u << 30;
    int st = deflate_all(o, b, k, Z_NO_FLUSH);
    if (st != ML_OK) return st;
    b += k, n -= k;
  }
  return ML_OK;
}

int ml_out_commit(ml_out *o) {
  int st = o->gzip ? deflate_all(o, NULL, 0, Z_FINISH) : ML_OK;
  if (st == ML_OK) st = flush(o);
  if (st == ML_OK) {
    st = ml_writer_commit(o->w);
    o->w = NULL; /* the commit freed it */
  }
  out_free(o);
  return st;
}

void ml_out_abort(ml_out *o) {
  if (o) out_free(o);
}
