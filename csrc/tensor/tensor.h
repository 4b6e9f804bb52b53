/* tensor.h -- dtype, refcounted storage, shape / strides / views, copy and cast, printing.
** A tensor is a header on a storage; views share the storage. Reference counts are not atomic:
** a tensor belongs to the thread of the lua_State that made it; pool workers only see pointers. */
#ifndef ML_TENSOR_H
#define ML_TENSOR_H

#include "kernels/kernels.h"

#define ML_MAX_DIMS 8

typedef struct ml_storage {
  int64_t refs;
  void *data;
  size_t bytes;
  uint64_t version;                     /* counts writes: autograd and prepacked weights look */
  void (*release)(struct ml_storage *); /* how data is given back; default ml_free(data) */
  void *owner;                          /* for release: a plan, a mapped file */
} ml_storage;

/* a node of the graph belongs to autograd/, which defines the one thing a header needs of it */
struct ml_node;
void ml_node_free(struct ml_node *n);

typedef struct ml_tensor {
  int64_t refs;
  int dtype, ndim;
  int64_t size[ML_MAX_DIMS], stride[ML_MAX_DIMS]; /* strides in elements, 0 = broadcast */
  int64_t offset;                                 /* in elements */
  ml_storage *storage;
  bool requires_grad;     /* of a leaf: asked for; of a result: something it came from did */
  struct ml_node *node;   /* what made it; NULL for a leaf */
  struct ml_tensor *grad; /* of a leaf; parameters keep a view of their gradient arena here */
  bool grad_valid;        /* grad holds a value (an arena view may be there without one) */
} ml_tensor;

typedef struct { int ndim; int64_t size[ML_MAX_DIMS]; } ml_sizes;
typedef struct { char s[192]; } ml_text; /* returned by value, for messages */

/* ---- life (storage.c, tensor.c). Results are written last; *out is untouched on failure ---- */
int ml_storage_new(ml_storage **out, size_t bytes);
/* around memory owned elsewhere; release runs when the last reference goes (NULL: nothing) */
int ml_storage_wrap(ml_storage **out, void *data, size_t bytes,
                    void (*release)(ml_storage *), void *owner);
/* over all threads: the first touch of fresh memory costs more than the writing */
void ml_storage_zero(ml_storage *s);
void ml_storage_ref(ml_storage *s);
void ml_storage_unref(ml_storage *s);
/* bytes of storage, headers and nodes this thread has made since the collector was told */
extern _Thread_local int64_t ml_storage_made;
int ml_tensor_new(ml_tensor **out, int dtype, int ndim, const int64_t *size); /* uninitialised */
int ml_tensor_zeros(ml_tensor **out, int dtype, int ndim, const int64_t *size);
int ml_tensor_like(ml_tensor **out, const ml_tensor *x); /* dtype and shape, contiguous, no grad */
int ml_tensor_scalar(ml_tensor **out, int dtype, double v); /* 0-d */
int ml_tensor_scalar_i64(ml_tensor **out, int dtype, int64_t v);
/* header on an existing storage; bounds checked against it */
int ml_tensor_on(ml_tensor **out, ml_storage *s, int dtype, int ndim, const int64_t *size,
                 const int64_t *stride, int64_t offset);
ml_tensor *ml_tensor_ref(ml_tensor *t); /* returns t */
void ml_tensor_free(ml_tensor *t);      /* drops one reference; accepts NULL */
int64_t ml_tensor_live(void);           /* headers alive in the process */

/* ---- queries ---- */
int64_t ml_numel(const ml_tensor *t);
int64_t ml_dim(const ml_tensor *t, int d); /* size; negative d from the end (C side: 0-based) */
bool ml_is_contiguous(const ml_tensor *t);
bool ml_is_float(int dtype);  /* f32 f64 bf16 f16 */
bool ml_is_real(int dtype);   /* f32 f64: has kernels */
bool ml_same_shape(const ml_tensor *a, const ml_tensor *b);
void *ml_data(const ml_tensor *t); /* first element; only kernels and casts dereference it */
ml_text ml_shape(const ml_tensor *t);              /* "(3, 4)" */
ml_text ml_shape_of(int ndim, const int64_t *size);
double ml_item(const ml_tensor *t, int64_t linear); /* logical index; for printing, item() */
int64_t ml_item_i64(const ml_tensor *t, int64_t linear);
static inline void ml_dirty(ml_tensor *t) { t->storage->version++; }

/* ---- views (view.c): share storage, carry no gradient: ops/view.c records them ---- */
int ml_view_narrow(ml_tensor **out, const ml_tensor *x, int dim, int64_t start, int64_t len,
                   int64_t step);
int ml_view_select(ml_tensor **out, const ml_tensor *x, int dim, int64_t index);
int ml_view_transpose(ml_tensor **out, const ml_tensor *x, int d0, int d1);
int ml_view_permute(ml_tensor **out, const ml_tensor *x, const int *dims);
int ml_view_expand(ml_tensor **out, const ml_tensor *x, int ndim, const int64_t *size);
int ml_view_unsqueeze(ml_tensor **out, const ml_tensor *x, int dim);
int ml_view_squeeze(ml_tensor **out, const ml_tensor *x, int dim); /* the dim must be 1 long */
/* fails with ML_ESHAPE when the strides do not allow it; one size may be -1 */
int ml_view_reshape(ml_tensor **out, const ml_tensor *x, int ndim, const int64_t *size);
int ml_view_alias(ml_tensor **out, const ml_tensor *x); /* a second header, no gradient */

/* ---- data movement (copy.c): any dtype, any strides, parallel when large ---- */
int ml_copy_into(ml_tensor *dst, const ml_tensor *src); /* broadcasts src, casts; marks dirty */
int ml_contiguous(ml_tensor **out, ml_tensor *x);       /* x itself (a reference) if it is */
int ml_to_dtype(ml_tensor **out, ml_tensor *x, int dtype); /* x itself if it has it; contiguous */
int ml_clone(ml_tensor **out, const ml_tensor *x);
int ml_broadcast(ml_sizes *out, const ml_tensor *a, const ml_tensor *b); /* ML_ESHAPE if none */

/* ---- masks and positions (index.c): positions are 1-based, -1 the last ---- */
int ml_mask_positions(ml_tensor **out, ml_tensor *mask); /* of non-zero elements, i64 (n) */
/* x[pos] = src along the first dimension, broadcasting src; marks dirty */
int ml_index_write(ml_tensor *x, ml_tensor *pos, ml_tensor *src);

/* ---- iteration (iter.c): operands broadcast to one shape, dimensions merged, rows in parallel.
** fn sees one inner row: pointers, strides in elements, its length. Operand 0 is the output. */
#define ML_ITER_MAX 4
typedef void ml_iter_fn(void *ctx, char *const *p, const int64_t *stride, int64_t n);
int ml_iterate(int nops, ml_tensor *const *ops, ml_iter_fn *fn, void *ctx);
/* rows [r0, r1) of R in fixed chunks on the pool; grain = rows a task */
typedef void ml_rows_fn(void *ctx, int64_t r0, int64_t r1);
void ml_rows_parallel(int64_t R, int64_t grain, ml_rows_fn *fn, void *ctx);

/* ---- print.c: shape, dtype, a corner, min / mean / max, loud NaN counts. malloc-free: returns
** bytes needed like snprintf. */
size_t ml_tensor_print(char *buf, size_t cap, const ml_tensor *t);

#endif
