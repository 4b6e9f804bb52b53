/* data.h -- documents on disk: lines in and out (plain or gzip), token files, and rows of ids cut
** from them. */
#ifndef ML_DATA_H
#define ML_DATA_H

#include "tensor/tensor.h"

/* ---- lines.c: a text file, plain or gzip of any number of members, as lines. Memory is bounded
** by the limit, whatever the file expands to. A file is gzip when it begins as one; a name that
** ends in .gz must. A UTF-8 byte order mark at the start is dropped. ---- */
typedef struct ml_lines ml_lines;
int ml_lines_open(ml_lines **out, const char *path, int64_t limit); /* regular files only */
/* over bytes in memory, which stay the caller's; name is for messages */
int ml_lines_of(ml_lines **out, const char *name, const void *p, size_t n, int64_t limit);
/* the next line without its \n or \r\n, good until the next call; NULL after the last. Longer
** than the limit, gzip data that is wrong or ends early: ML_EFORMAT, "path:line: ..." */
int ml_lines_next(ml_lines *l, const char **p, size_t *n);
/* passes over the line that next refused as too long, holding none of it: its first *room bytes (or
** fewer, *room says) go to head, *bytes is how long it was */
int ml_lines_skip(ml_lines *l, char *head, size_t *room, int64_t *bytes);
int ml_lines_rest(ml_lines *l, const char **p, size_t *n); /* all that follows, as it is */
int64_t ml_lines_number(const ml_lines *l);                /* of the line given last, from 1 */
void ml_lines_close(ml_lines *l);                          /* accepts NULL */

/* ---- out.c: a text file that appears whole or not at all, plain or gzip ---- */
typedef struct ml_out ml_out;
int ml_out_open(ml_out **out, const char *path, bool gzip);
int ml_out_put(ml_out *o, const void *p, size_t n);
int ml_out_commit(ml_out *o); /* frees o whatever happens */
void ml_out_abort(ml_out *o); /* accepts NULL */

/* ---- shard.c: documents as ids, in one file that is mapped into memory ---- */
typedef struct ml_shard ml_shard;
/* checks everything; without `verify` all but the SHA-256 and the range of the ids */
int ml_shard_open(ml_shard **out, const char *path, bool verify);
/* the same over bytes; own: they were ml_alloc'd, and are freed with the shard or on failure */
int ml_shard_of(ml_shard **out, uint8_t *p, size_t n, bool own, bool verify);
ml_shard *ml_shard_ref(ml_shard *s); /* returns s */
void ml_shard_free(ml_shard *s);     /* drops one reference; accepts NULL */
int64_t ml_shard_documents(const ml_shard *s);
int64_t ml_shard_tokens(const ml_shard *s);
int64_t ml_shard_vocab(const ml_shard *s);      /* the largest id + 1; 0 without ids */
bool ml_shard_masked(const ml_shard *s);
const char *ml_shard_hash(const ml_shard *s);   /* SHA-256 of what it holds, in hex */
int64_t ml_shard_begin(const ml_shard *s, int64_t doc); /* first id; of doc = documents: the end */
const char *ml_shard_name(const ml_shard *s, int64_t doc, size_t *n); /* "" when it has none */
void ml_shard_ids(const ml_shard *s, int64_t from, int64_t n, int64_t *ids);
void ml_shard_mask(const ml_shard *s, int64_t from, int64_t n, float *mask); /* 1 without masks */

typedef struct ml_shard_builder ml_shard_builder;
int ml_shard_builder_new(ml_shard_builder **out);
void ml_shard_builder_free(ml_shard_builder *b); /* accepts NULL */
/* a document; mask (0 or not, one an id) and name (n bytes) may be NULL */
int ml_shard_builder_add(ml_shard_builder *b, const int64_t *ids, const uint8_t *mask, int64_t len,
                         const char *name, size_t n);
/* the file's bytes, ml_alloc'd */
int ml_shard_builder_image(const ml_shard_builder *b, uint8_t **p, size_t *n);

/* ---- rows.c: a shard's documents as rows of length + 1 ids, each id a target once ---- */
typedef struct ml_rows ml_rows;
/* whole: documents are packed best-fit, cut only where one is longer than a row. Otherwise the
** documents lie one behind the other, and a row takes up at the last id of the one before. */
int ml_rows_new(ml_rows **out, ml_shard *s, int64_t length, bool whole);
void ml_rows_free(ml_rows *r); /* accepts NULL */
int64_t ml_rows_count(const ml_rows *r);
/* rows `row` (n of them, from 0): ids and doc (n, length + 1) i64, mask the same in f32. mask is 0
** at the first id of a document and where nothing lies; doc numbers a row's documents from 0 */
int ml_rows_fill(const ml_rows *r, const int64_t *row, int64_t n, ml_tensor **ids,
                 ml_tensor **mask, ml_tensor **doc);

#endif
