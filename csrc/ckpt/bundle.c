/* bundle.c -- the list every format fills and writes, and the choice of a format by extension. */
#include "ckpt/ckpt.h"

#include <stdio.h>
#include <string.h>

int ml_bundle_new(ml_bundle **out) {
  ml_bundle *b = ml_alloc0(sizeof *b);
  if (!b) return ML_ENOMEM;
  *out = b;
  return ML_OK;
}

void ml_bundle_free(ml_bundle *b) {
  if (!b) return;
  for (int64_t i = 0; i < b->count; i++) {
    ml_free(b->item[i].name);
    ml_tensor_free(b->item[i].tensor);
  }
  for (int64_t i = 0; i < b->nmeta; i++) {
    ml_free(b->meta[i].key);
    ml_free(b->meta[i].value);
  }
  ml_free(b->item);
  ml_free(b->meta);
  ml_free(b);
}

static char *copy_string(const char *s) {
  size_t n = strlen(s) + 1;
  char *p = ml_alloc(n);
  return p ? memcpy(p, s, n) : NULL;
}

/* room for one more element of `size` bytes; lists double, as they may hold thousands */
static int grow(void *list, int64_t count, int64_t *room, size_t size) {
  if (count < *room) return ML_OK;
  int64_t more = *room ? *room * 2 : 16;
  void *old, *p = ml_alloc(size * (size_t)more);
  if (!p) return ML_ENOMEM;
  memcpy(&old, list, sizeof old); /* list is the address of any kind of pointer */
  if (count) memcpy(p, old, size * (size_t)count);
  ml_free(old);
  memcpy(list, &p, sizeof p);
  *room = more;
  return ML_OK;
}

int ml_bundle_add(ml_bundle *b, const char *name, ml_tensor *t) {
  int st = grow(&b->item, b->count, &b->room, sizeof *b->item);
  if (st != ML_OK) return st;
  char *own = copy_string(name);
  if (!own) return ML_ENOMEM;
  b->item[b->count++] = (ml_named){own, ml_tensor_ref(t)};
  return ML_OK;
}

int ml_bundle_meta(ml_bundle *b, const char *key, const char *value) {
  int st = grow(&b->meta, b->nmeta, &b->meta_room, sizeof *b->meta);
  if (st != ML_OK) return st;
  char *k = copy_string(key), *v = copy_string(value);
  if (!k || !v) {
    ml_free(k);
    ml_free(v);
    return ML_ENOMEM;
  }
  b->meta[b->nmeta++] = (ml_meta){k, v};
  return ML_OK;
}

static const ml_format formats[] = {
#define FORMAT(id, extension) {#id, extension, ml_##id##_read, ml_##id##_write},
#include "ckpt/formats.def"
#undef FORMAT
};
enum { FORMATS = sizeof formats / sizeof *formats };

int ml_format_of(const ml_format **out, const char *path) {
  char known[128] = "";
  size_t n = strlen(path), used = 0;
  for (int i = 0; i < FORMATS; i++) {
    size_t k = strlen(formats[i].extension);
    if (n > k && strcmp(path + n - k, formats[i].extension) == 0) {
      *out = &formats[i];
      return ML_OK;
    }
    used += (size_t)snprintf(known + used, sizeof known - used, " %s", formats[i].extension);
  }
  return ml_fail(ML_EUNSUPPORTED, "%s: expected one of the extensions%s", path, known);
}

/* the same failure, with the path in front; the system's own answers name it already */
static int with_path(int st, const char *path) {
  char message[512];
  if (st == ML_EIO || st == ML_ENOMEM) return st;
  snprintf(message, sizeof message, "%s", ml_errmsg());
  return ml_fail(st, "%s: %s", path, message);
}

int ml_ckpt_load(ml_bundle **out, const char *path) {
  const ml_format *format = NULL;
  ml_file f = {.fd = -1};
  ml_bundle *b = NULL;
  int st = ml_format_of(&format, path);
  if (st == ML_OK) st = ml_file_map(&f, path);
  if (st != ML_OK) return st;
  st = ml_bundle_new(&b);
  if (st != ML_OK) goto done;
  ml_reader r = ml_reader_of(f.data, f.size);
  st = format->read(b, &r);
  if (st != ML_OK) {
    st = with_path(st, path);
    goto done;
  }
  *out = b, b = NULL;
done:
  ml_bundle_free(b);
  ml_file_unmap(&f);
  return st;
}

int ml_ckpt_save(const ml_bundle *b, const char *path) {
  const ml_format *format = NULL;
  ml_writer *w = NULL;
  int st = ml_format_of(&format, path);
  if (st == ML_OK) st = ml_writer_open(&w, path);
  if (st != ML_OK) return st;
  st = format->write(w, b);
  if (st == ML_OK) return ml_writer_commit(w);
  ml_writer_abort(w); /* what was there before is still there */
  return with_path(st, path);
}
