/* storage.c -- the bytes under tensors: refcounted, and counted for the collector.
** A small storage lives in one block with its data: a 16-element result costs one
** allocation instead of two. */
#include <string.h>

#include "tensor/tensor.h"

enum { HEAD = 64, SMALL = 4096 }; /* the data behind a small storage stays 64-byte aligned */
_Static_assert(sizeof(ml_storage) <= HEAD, "a storage must fit before its data");

_Thread_local int64_t ml_storage_made;

static int small_storage(ml_storage **out, size_t bytes) {
  ml_storage *s = ml_alloc(HEAD + bytes);
  if (s == NULL) return ML_ENOMEM;
  *s = (ml_storage){.refs = 1, .data = (char *)s + HEAD, .bytes = bytes};
  *out = s;
  return ML_OK;
}

static int large_storage(ml_storage **out, size_t bytes) {
  ml_storage *s = ml_alloc(sizeof *s);
  if (s == NULL) return ML_ENOMEM;
  *s = (ml_storage){.refs = 1, .data = ml_alloc(bytes), .bytes = bytes};
  if (s->data == NULL) {
    ml_free(s);
    return ML_ENOMEM;
  }
  *out = s;
  return ML_OK;
}

int ml_storage_new(ml_storage **out, size_t bytes) {
  int st = bytes <= SMALL ? small_storage(out, bytes) : large_storage(out, bytes);
  if (st == ML_OK) ml_storage_made += (int64_t)bytes;
  return st;
}

/* memory of others is never given back by us: without release, nothing happens to it */
static void keep(ml_storage *s) { (void)s; }

int ml_storage_wrap(ml_storage **out, void *data, size_t bytes,
                    void (*release)(ml_storage *), void *owner) {
  ml_storage *s = ml_alloc(sizeof *s);
  if (s == NULL) return ML_ENOMEM;
  *s = (ml_storage){.refs = 1, .data = data, .bytes = bytes,
                    .release = release ? release : keep, .owner = owner};
  *out = s;
  return ML_OK;
}

enum { ZERO_BYTES = 4 << 20 }; /* a task's */

static void zero_task(void *ctx, int64_t task, int worker) {
  const ml_storage *s = ctx;
  size_t at = (size_t)task * ZERO_BYTES, left = s->bytes - at;
  (void)worker;
  memset((char *)s->data + at, 0, left < ZERO_BYTES ? left : ZERO_BYTES);
}

void ml_storage_zero(ml_storage *s) {
  ml_parallel((int64_t)((s->bytes + ZERO_BYTES - 1) / ZERO_BYTES), zero_task, s);
}

void ml_storage_ref(ml_storage *s) { s->refs++; }

void ml_storage_unref(ml_storage *s) {
  if (s == NULL || --s->refs > 0) return;
  if (s->release != NULL) s->release(s);
  else if (s->data != (char *)s + HEAD) ml_free(s->data); /* not behind its own header? */
  ml_free(s);
}
