/* ckpt.h -- named tensors to and from files. One file per format, listed in formats.def; all of
** them read through ml_reader and write through ml_writer, so nothing is read past the end and
** nothing is half written. Loading copies: a tensor never depends on a file staying in place. */
#ifndef ML_CKPT_H
#define ML_CKPT_H

#include "tensor/tensor.h"

/* ---- bundle.c: an ordered list of named tensors, and metadata ---- */
typedef struct { char *name; ml_tensor *tensor; } ml_named;
typedef struct { char *key, *value; } ml_meta;
typedef struct {
  int64_t count, room;
  ml_named *item;
  int64_t nmeta, meta_room;
  ml_meta *meta;
  bool keep_order; /* write in the given order, not in the format's own */
} ml_bundle;

int ml_bundle_new(ml_bundle **out);
void ml_bundle_free(ml_bundle *b); /* accepts NULL */
int ml_bundle_add(ml_bundle *b, const char *name, ml_tensor *t); /* takes a reference on t */
int ml_bundle_meta(ml_bundle *b, const char *key, const char *value);

/* ---- formats ---- */
typedef struct {
  const char *name, *extension; /* "npy", ".npy" */
  int (*read)(ml_bundle *into, ml_reader *r);
  int (*write)(ml_writer *w, const ml_bundle *b);
} ml_format;
#define FORMAT(id, extension)                        \
  int ml_##id##_read(ml_bundle *into, ml_reader *r); \
  int ml_##id##_write(ml_writer *w, const ml_bundle *b);
#include "ckpt/formats.def"
#undef FORMAT

/* the format that a path's extension names; ML_EUNSUPPORTED lists those there are */
int ml_format_of(const ml_format **out, const char *path);
int ml_ckpt_load(ml_bundle **out, const char *path); /* messages start with the path */
int ml_ckpt_save(const ml_bundle *b, const char *path);

/* ---- publish.c: a finished directory takes its final name, for good ---- */
int ml_publish_dir(const char *from, const char *to);

/* ---- digest.c: a file as a manifest knows it ---- */
enum { ML_CHUNK = 1 << 20 };
typedef struct {
  int64_t bytes;
  char sha256[65];
  char *crc32c; /* eight hexadecimal digits a chunk of ML_CHUNK bytes, the last one maybe short */
} ml_digest;
int ml_digest_bytes(ml_digest *d, const void *p, size_t n);
int ml_digest_file(ml_digest *d, const char *path, bool from_disk); /* past the system's cache */
void ml_digest_free(ml_digest *d); /* idempotent */

/* ---- save.c: a directory of files, whole or not there, written in the background ---- */
typedef struct ml_save ml_save;
int ml_save_new(ml_save **out, const char *dir);
int ml_save_bytes(ml_save *s, const char *name, const void *p, size_t n);     /* copies */
int ml_save_tensors(ml_save *s, const char *name, const ml_bundle *b); /* copies; safetensors */
int ml_save_file(ml_save *s, const char *name); /* one that the caller put into DIR.tmp */
int ml_save_log(ml_save *s, const char *path); /* a file to sync before the directory appears */
/* about: a JSON object, members of manifest.json. With background false it is done on return;
** what became of it says ml_save_wait either way. */
int ml_save_start(ml_save *s, const char *about, bool background);
bool ml_save_busy(const ml_save *s);
int ml_save_wait(ml_save *s);  /* may be called again */
void ml_save_free(ml_save *s); /* waits; accepts NULL */

#endif
