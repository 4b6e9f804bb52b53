/* safetensors.c -- u64 length, JSON header, data. Reading checks everything the specification
** demands: known dtypes, sizes that multiply without overflow, data covered exactly, no hole,
** no overlap, no name twice. Writing gives the bytes the reference implementation gives. */
#include "ckpt/ckpt.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_MAX = 100000000 };

/* ours, in the reference writer's order: wider alignment first. rank orders the file. */
static const struct { const char *name; int dtype, rank; } dtypes[] = {
  {"BOOL", ML_BOOL, 0}, {"U8", ML_U8, 1}, {"F16", ML_F16, 2}, {"BF16", ML_BF16, 3},
  {"I32", ML_I32, 4}, {"F32", ML_F32, 5}, {"F64", ML_F64, 6}, {"I64", ML_I64, 7}};
enum { DTYPES = sizeof dtypes / sizeof *dtypes };

/* what the format has and moonlit does not */
static const char *const foreign[] = {"I8", "I16", "U16", "U32", "U64", "F8_E5M2", "F8_E4M3",
                                      "F8_E8M0", "F4", "F6_E2M3", "F6_E3M2", "C64"};

/* ---- reading ---- */

typedef struct {
  const char *name; /* borrowed from the parsed header */
  int dtype, ndim;
  int64_t size[ML_MAX_DIMS];
  int64_t begin, end; /* from the start of the data */
} span;

static int bad(const char *name, const char *what) {
  return ml_fail(ML_EFORMAT, "safetensors: tensor \"%.100s\": %s", name, what);
}

static int read_dtype(span *s, json_t *v) {
  const char *text = json_string_value(v);
  if (!text) return bad(s->name, "dtype must be a string");
  for (int i = 0; i < DTYPES; i++)
    if (strcmp(text, dtypes[i].name) == 0) return s->dtype = dtypes[i].dtype, ML_OK;
  for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
    if (strcmp(text, foreign[i]) == 0)
      return ml_fail(ML_EUNSUPPORTED, "safetensors: tensor \"%.100s\" is %s, which moonlit "
                     "does not hold", s->name, text);
  return ml_fail(ML_EFORMAT, "safetensors: tensor \"%.100s\": unknown dtype \"%.20s\"",
                 s->name, text);
}

static int read_shape(span *s, json_t *v, int64_t *bytes) {
  if (!json_is_array(v)) return bad(s->name, "shape must be an array");
  size_t n = json_array_size(v);
  if (n > ML_MAX_DIMS)
    return ml_fail(ML_EUNSUPPORTED, "safetensors: tensor \"%.100s\" has %zu dimensions, at most "
                   "%d are supported", s->name, n, ML_MAX_DIMS);
  s->ndim = (int)n;
  *bytes = ml_dtype_size(s->dtype);
  for (size_t i = 0; i < n; i++) {
    json_t *d = json_array_get(v, i);
    if (!json_is_integer(d) || json_integer_value(d) < 0)
      return bad(s->name, "sizes must be integers, zero or more");
    s->size[i] = json_integer_value(d);
    if (!ml_mul_ok(*bytes, s->size[i], bytes)) return bad(s->name, "the sizes overflow");
  }
  return ML_OK;
}

static int read_span(span *s, const char *name, json_t *v, int64_t data) {
  int64_t bytes = 0;
  s->name = name;
  if (!json_is_object(v)) return bad(name, "expected an object");
  json_t *at = json_object_get(v, "data_offsets");
  int st = read_dtype(s, json_object_get(v, "dtype"));
  if (st == ML_OK) st = read_shape(s, json_object_get(v, "shape"), &bytes);
  if (st != ML_OK) return st;
  if (json_array_size(at) != 2 || !json_is_integer(json_array_get(at, 0)) ||
      !json_is_integer(json_array_get(at, 1)))
    return bad(name, "data_offsets must be two integers");
  s->begin = json_integer_value(json_array_get(at, 0));
  s->end = json_integer_value(json_array_get(at, 1));
  if (s->begin < 0 || s->begin > s->end || s->end > data)
    return bad(name, "data_offsets lie outside the file");
  if (s->end - s->begin != bytes) return bad(name, "data_offsets do not fit dtype and shape");
  return ML_OK;
}

static int read_metadata(ml_bundle *b, json_t *v) {
  const char *key;
  json_t *value;
  if (!json_is_object(v)) return ml_fail(ML_EFORMAT, "safetensors: __metadata__ is no object");
  json_object_foreach(v, key, value) {
    if (!json_is_string(value))
      return ml_fail(ML_EFORMAT, "safetensors: __metadata__.%.100s is no string", key);
    int st = ml_bundle_meta(b, key, json_string_value(value));
    if (st != ML_OK) return st;
  }
  return ML_OK;
}

/* empty tensors come before the one that starts where they stand */
static int by_place(const void *a, const void *b) {
  const span *x = a, *y = b;
  if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
  if (x->end != y->end) return x->end < y->end ? -1 : 1;
  return strcmp(x->name, y->name);
}

/* the data must be covered exactly: a hole could hide something, an overlap could be anything */
static int check_cover(const span *s, int64_t n, int64_t data) {
  int64_t at = 0;
  for (int64_t i = 0; i < n; i++) {
    if (s[i].begin != at)
      return bad(s[i].name, s[i].begin < at ? "overlaps another tensor" : "a hole lies before it");
    at = s[i].end;
  }
  if (at != data)
    return ml_fail(ML_EFORMAT, "safetensors: %lld bytes of data are described, the file has %lld",
                   (long long)at, (long long)data);
  return ML_OK;
}

static int read_tensor(ml_bundle *b, const span *s, const uint8_t *data) {
  ml_tensor *t = NULL;
  int st = ml_tensor_new(&t, s->dtype, s->ndim, s->size);
  if (st != ML_OK) return st;
  if (s->dtype == ML_BOOL) /* any byte but 0 is true; ours hold 0 and 1 only */
    ml_cast(ml_data(t), ML_BOOL, 1, data + s->begin, ML_U8, 1, s->end - s->begin);
  else if (s->end > s->begin)
    memcpy(ml_data(t), data + s->begin, (size_t)(s->end - s->begin));
  st = ml_bundle_add(b, s->name, t);
  ml_tensor_free(t);
  return st;
}

static int read_entries(ml_bundle *b, json_t *root, const uint8_t *data, int64_t bytes) {
  const char *name;
  json_t *value;
  int64_t n = 0;
  int st = ML_OK;
  span *s = ml_alloc(sizeof *s * (json_object_size(root) + 1));
  if (!s) return ML_ENOMEM;
  json_object_foreach(root, name, value) {
    if (strcmp(name, "__metadata__") == 0) st = read_metadata(b, value);
    else st = read_span(&s[n++], name, value, bytes);
    if (st != ML_OK) goto done;
  }
  qsort(s, (size_t)n, sizeof *s, by_place);
  st = check_cover(s, n, bytes);
  for (int64_t i = 0; i < n && st == ML_OK; i++) st = read_tensor(b, &s[i], data);
done:
  ml_free(s);
  return st;
}

int ml_safetensors_read(ml_bundle *into, ml_reader *r) {
  uint64_t n = ml_read_u64(r);
  if (r->bad) return ml_fail(ML_EFORMAT, "safetensors: shorter than its 8-byte length");
  if (n > HEADER_MAX)
    return ml_fail(ML_EFORMAT, "safetensors: a header of %llu bytes is beyond the limit of %d",
                   (unsigned long long)n, HEADER_MAX);
  const uint8_t *h = ml_read_bytes(r, (size_t)n);
  if (!h || n == 0 || h[0] != '{')
    return ml_fail(ML_EFORMAT, h ? "safetensors: the header does not start with {"
                                 : "safetensors: the file ends inside its header");
  json_error_t e;
  json_t *root = json_loadb((const char *)h, (size_t)n, JSON_REJECT_DUPLICATES, &e);
  if (!root)
    return ml_fail(ML_EFORMAT, "safetensors: header byte %d: %s", e.position, e.text);
  size_t left = ml_reader_left(r);
  int st = read_entries(into, root, ml_read_bytes(r, left), (int64_t)left);
  json_decref(root);
  return st;
}

/* ---- writing ---- */

static int format_index(int dtype) {
  for (int i = 0; i < DTYPES; i++)
    if (dtypes[i].dtype == dtype) return i;
  return -1;
}

static int by_name(const void *a, const void *b) {
  return strcmp((*(const ml_named *const *)a)->name, (*(const ml_named *const *)b)->name);
}

static int by_rank(const void *a, const void *b) {
  const ml_named *x = *(const ml_named *const *)a, *y = *(const ml_named *const *)b;
  int rx = dtypes[format_index(x->tensor->dtype)].rank;
  int ry = dtypes[format_index(y->tensor->dtype)].rank;
  return rx != ry ? ry - rx : strcmp(x->name, y->name);
}

/* order[0..count): as the file will have them; a name twice is refused */
static int choose_order(const ml_named **order, const ml_bundle *b) {
  for (int64_t i = 0; i < b->count; i++) order[i] = &b->item[i];
  qsort(order, (size_t)b->count, sizeof *order, by_name);
  for (int64_t i = 1; i < b->count; i++)
    if (strcmp(order[i - 1]->name, order[i]->name) == 0)
      return ml_fail(ML_EARG, "safetensors: the name \"%.100s\" is given twice", order[i]->name);
  if (!b->keep_order) qsort(order, (size_t)b->count, sizeof *order, by_rank);
  else
    for (int64_t i = 0; i < b->count; i++) order[i] = &b->item[i];
  return ML_OK;
}

static json_t *describe(const ml_tensor *t, int64_t begin) {
  json_t *shape = json_array();
  for (int d = 0; d < t->ndim; d++) json_array_append_new(shape, json_integer(t->size[d]));
  int64_t end = begin + ml_numel(t) * ml_dtype_size(t->dtype);
  return json_pack("{s:s, s:o, s:[I,I]}", "dtype", dtypes[format_index(t->dtype)].name, "shape",
                   shape, "data_offsets", (json_int_t)begin, (json_int_t)end);
}

static int make_header(char **out, const ml_named *const *order, const ml_bundle *b) {
  json_t *root = json_object(), *meta = json_object();
  int64_t at = 0;
  bool fine = root && meta;
  for (int64_t i = 0; i < b->nmeta && fine; i++)
    fine = json_object_set_new(meta, b->meta[i].key, json_string(b->meta[i].value)) == 0;
  if (b->nmeta && fine) fine = json_object_set(root, "__metadata__", meta) == 0;
  for (int64_t i = 0; i < b->count && fine; i++) {
    const ml_tensor *t = order[i]->tensor;
    fine = json_object_set_new(root, order[i]->name, describe(t, at)) == 0;
    at += ml_numel(t) * ml_dtype_size(t->dtype);
  }
  *out = fine ? json_dumps(root, JSON_COMPACT) : NULL;
  json_decref(root);
  json_decref(meta);
  if (*out) return ML_OK;
  return ml_fail(ML_EARG, "safetensors: names and metadata must be UTF-8 text");
}

static int put_header(ml_writer *w, const char *json, size_t data) {
  size_t n = strlen(json), padded = (n + 7) / 8 * 8; /* the data starts on 8 bytes */
  if (padded > HEADER_MAX)
    return ml_fail(ML_EARG, "safetensors: a header of %zu bytes is beyond the limit", padded);
  uint8_t length[8];
  for (int i = 0; i < 8; i++) length[i] = (uint8_t)((uint64_t)padded >> (8 * i));
  int st = ml_writer_reserve(w, 8 + padded + data);
  if (st == ML_OK) st = ml_writer_put(w, length, 8);
  if (st == ML_OK) st = ml_writer_put(w, json, n);
  return st == ML_OK ? ml_writer_put(w, "       ", padded - n) : st;
}

static int put_tensor(ml_writer *w, ml_tensor *t) {
  ml_tensor *c = NULL;
  int st = ml_contiguous(&c, t);
  if (st != ML_OK) return st;
  size_t n = (size_t)(ml_numel(c) * ml_dtype_size(c->dtype));
  if (n) st = ml_writer_put(w, ml_data(c), n);
  ml_tensor_free(c);
  return st;
}

static size_t bytes_of(const ml_bundle *b) {
  size_t n = 0;
  for (int64_t i = 0; i < b->count; i++) {
    const ml_tensor *t = b->item[i].tensor;
    n += (size_t)(ml_numel(t) * ml_dtype_size(t->dtype));
  }
  return n;
}

int ml_safetensors_write(ml_writer *w, const ml_bundle *b) {
  char *json = NULL;
  const ml_named **order = ml_alloc(sizeof *order * (size_t)(b->count + 1));
  if (!order) return ML_ENOMEM;
  int st = choose_order(order, b);
  if (st == ML_OK) st = make_header(&json, order, b);
  if (st == ML_OK) st = put_header(w, json, bytes_of(b));
  for (int64_t i = 0; i < b->count && st == ML_OK; i++) st = put_tensor(w, order[i]->tensor);
  free(json);
  ml_free(order);
  return st;
}
