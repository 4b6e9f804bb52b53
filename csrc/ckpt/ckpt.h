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

#endif
