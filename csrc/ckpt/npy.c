/* npy.c -- NumPy's format for one array: magic, version, a Python dict literal, data.
** Versions 1 to 3 are read, 1 is written. The literal is parsed by hand: it holds three keys. */
#include "ckpt/ckpt.h"

#include <stdio.h>
#include <string.h>

static const struct { const char *descr; int dtype; } dtypes[] = {
  {"<f4", ML_F32}, {"<f8", ML_F64}, {"<i8", ML_I64}, {"<i4", ML_I32},
  {"|u1", ML_U8}, {"|b1", ML_BOOL}, {"<f2", ML_F16}};
enum { DTYPES = sizeof dtypes / sizeof *dtypes };

/* ---- reading ---- */

typedef struct {
  const uint8_t *p, *end;
} scan;

static void skip_space(scan *s) {
  while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\t')) s->p++;
}

/* does `c` come next? then it is taken */
static bool take(scan *s, char c) {
  skip_space(s);
  if (s->p >= s->end || *s->p != (uint8_t)c) return false;
  s->p++;
  return true;
}

static bool take_word(scan *s, const char *word) {
  size_t n = strlen(word);
  skip_space(s);
  if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0) return false;
  s->p += n;
  return true;
}

/* a quoted string without escapes, cut to the buffer */
static bool take_string(scan *s, char *buf, size_t cap) {
  skip_space(s);
  if (s->p >= s->end || (*s->p != '\'' && *s->p != '"')) return false;
  uint8_t quote = *s->p++;
  size_t n = 0;
  for (; s->p < s->end && *s->p != quote; s->p++)
    if (n + 1 < cap) buf[n++] = (char)*s->p;
  buf[n] = '\0';
  if (s->p >= s->end) return false;
  s->p++;
  return true;
}

static bool take_integer(scan *s, int64_t *v) {
  skip_space(s);
  const uint8_t *from = s->p;
  *v = 0;
  for (; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++)
    if (!ml_mul_ok(*v, 10, v) || !ml_add_ok(*v, *s->p - '0', v)) return false;
  return s->p > from;
}

typedef struct {
  int dtype, ndim;
  bool fortran, has_dtype, has_order, has_shape;
  int64_t size[ML_MAX_DIMS];
} header;

static int bad(const char *what) { return ml_fail(ML_EFORMAT, "npy: %s", what); }

static int read_descr(header *h, scan *s) {
  char descr[32];
  if (!take_string(s, descr, sizeof descr))
    return ml_fail(ML_EUNSUPPORTED, "npy: only plain dtypes are supported");
  h->has_dtype = true;
  for (int i = 0; i < DTYPES; i++)
    if (strcmp(descr, dtypes[i].descr) == 0) return h->dtype = dtypes[i].dtype, ML_OK;
  return ml_fail(ML_EUNSUPPORTED, "npy: dtype \"%s\" is not supported", descr);
}

static int read_shape(header *h, scan *s) {
  if (!take(s, '(')) return bad("shape must be a tuple");
  h->has_shape = true;
  for (h->ndim = 0; !take(s, ')'); h->ndim++) {
    if (h->ndim == ML_MAX_DIMS)
      return ml_fail(ML_EUNSUPPORTED, "npy: more than %d dimensions", ML_MAX_DIMS);
    if (!take_integer(s, &h->size[h->ndim])) return bad("a size is no integer");
    if (!take(s, ',')) { /* after the last size only */
      h->ndim++;
      return take(s, ')') ? ML_OK : bad("shape does not end");
    }
  }
  return ML_OK;
}

static int read_order(header *h, scan *s) {
  h->has_order = true;
  h->fortran = take_word(s, "True");
  return h->fortran || take_word(s, "False") ? ML_OK : bad("fortran_order must be True or False");
}

static int read_dict(header *h, scan *s) {
  if (!take(s, '{')) return bad("the header is no dictionary");
  while (!take(s, '}')) {
    char key[32];
    int st;
    if (!take_string(s, key, sizeof key) || !take(s, ':')) return bad("a key is malformed");
    if (strcmp(key, "descr") == 0) st = read_descr(h, s);
    else if (strcmp(key, "fortran_order") == 0) st = read_order(h, s);
    else if (strcmp(key, "shape") == 0) st = read_shape(h, s);
    else return ml_fail(ML_EFORMAT, "npy: unknown key \"%s\"", key);
    if (st != ML_OK) return st;
    if (!take(s, ',')) {
      if (!take(s, '}')) return bad("the header does not end");
      break;
    }
  }
  skip_space(s);
  if (s->p != s->end) return bad("something follows the dictionary");
  if (!h->has_dtype || !h->has_order || !h->has_shape)
    return bad("the header lacks descr, fortran_order or shape");
  return ML_OK;
}

/* column-major data is the transposed array, row-major */
static int from_fortran(ml_tensor **out, ml_tensor *t) {
  int dims[ML_MAX_DIMS];
  ml_tensor *view = NULL;
  for (int d = 0; d < t->ndim; d++) dims[d] = t->ndim - 1 - d;
  int st = ml_view_permute(&view, t, dims);
  if (st == ML_OK) st = ml_contiguous(out, view);
  ml_tensor_free(view);
  return st;
}

static int read_data(ml_tensor **out, const header *h, ml_reader *r) {
  int64_t size[ML_MAX_DIMS], bytes = ml_dtype_size(h->dtype);
  for (int d = 0; d < h->ndim; d++) {
    size[d] = h->size[h->fortran ? h->ndim - 1 - d : d];
    if (!ml_mul_ok(bytes, size[d], &bytes)) return bad("the sizes overflow");
  }
  size_t left = ml_reader_left(r);
  if ((uint64_t)bytes != left)
    return ml_fail(ML_EFORMAT, "npy: the header describes %lld bytes of data, the file has %zu",
                   (long long)bytes, left);
  ml_tensor *t = NULL, *turned = NULL;
  int st = ml_tensor_new(&t, h->dtype, h->ndim, size);
  if (st != ML_OK) return st;
  const uint8_t *data = ml_read_bytes(r, left);
  if (h->dtype == ML_BOOL) ml_cast(ml_data(t), ML_BOOL, 1, data, ML_U8, 1, bytes);
  else if (left) memcpy(ml_data(t), data, left);
  if (h->fortran && h->ndim > 1) {
    st = from_fortran(&turned, t);
    ml_tensor_free(t);
    t = turned;
  }
  if (st == ML_OK) *out = t;
  return st;
}

int ml_npy_read(ml_bundle *into, ml_reader *r) {
  const uint8_t *magic = ml_read_bytes(r, 6);
  if (!magic || memcmp(magic, "\x93NUMPY", 6) != 0) return bad("the magic number is missing");
  int major = ml_read_u8(r);
  (void)ml_read_u8(r); /* the minor version says nothing */
  if (!r->bad && (major < 1 || major > 3))
    return ml_fail(ML_EUNSUPPORTED, "npy: version %d is not known", major);
  size_t n = major == 1 ? ml_read_u16(r) : ml_read_u32(r);
  const uint8_t *text = ml_read_bytes(r, n);
  if (!text || r->bad) return bad("the file ends inside its header");
  header h = {0};
  scan s = {text, text + n};
  ml_tensor *t = NULL;
  int st = read_dict(&h, &s);
  if (st == ML_OK) st = read_data(&t, &h, r);
  if (st == ML_OK) st = ml_bundle_add(into, "", t);
  ml_tensor_free(t);
  return st;
}

/* ---- writing ---- */

/* the literal, padded with spaces so that the data starts on 64 bytes; returns its length */
static int make_header(char *buf, size_t cap, const ml_tensor *t, const char *descr) {
  int n = snprintf(buf, cap, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
  for (int d = 0; d < t->ndim; d++)
    n += snprintf(buf + n, cap - (size_t)n, d ? ", %lld" : "%lld", (long long)t->size[d]);
  n += snprintf(buf + n, cap - (size_t)n, t->ndim == 1 ? ",), }" : "), }");
  int padded = (10 + n + 1 + 63) / 64 * 64 - 10;
  memset(buf + n, ' ', (size_t)(padded - n));
  buf[padded - 1] = '\n';
  return padded;
}

int ml_npy_write(ml_writer *w, const ml_bundle *b) {
  if (b->count != 1)
    return ml_fail(ML_EARG, "npy: a file holds one tensor, got %lld", (long long)b->count);
  ml_tensor *t = b->item[0].tensor, *c = NULL;
  const char *descr = NULL;
  for (int i = 0; i < DTYPES; i++)
    if (dtypes[i].dtype == t->dtype) descr = dtypes[i].descr;
  if (!descr)
    return ml_fail(ML_EARG, "npy: the format has no %s", ml_dtype_name(t->dtype));
  int st = ml_contiguous(&c, t);
  if (st != ML_OK) return st;
  char text[512];
  int n = make_header(text, sizeof text, t, descr);
  uint8_t head[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (uint8_t)n, (uint8_t)(n >> 8)};
  size_t bytes = (size_t)(ml_numel(c) * ml_dtype_size(c->dtype));
  st = ml_writer_put(w, head, 10);
  if (st == ML_OK) st = ml_writer_put(w, text, (size_t)n);
  if (st == ML_OK && bytes) st = ml_writer_put(w, ml_data(c), bytes);
  ml_tensor_free(c);
  return st;
}
