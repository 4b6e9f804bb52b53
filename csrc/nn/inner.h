/* inner.h -- what the files of nn/ share and nobody else sees. */
#ifndef ML_NN_INNER_H
#define ML_NN_INNER_H

#include "nn/nn.h"

/* Up to three weights whose rows lie one after another: one product. */
typedef struct {
  int parts;
  ml_tensor *w[3], *b[3]; /* b[i] may be NULL */
  int64_t in, out;
  void *packed;    /* W^T in panels: decoding and the bf16 tiers; of the arena version and ISA */
  void *packed_dx; /* W in panels, for dy W: bf16 tiers */
} ml_linear;

typedef struct { ml_tensor *w, *b; } ml_norm; /* either may be NULL */

typedef struct {
  ml_norm norm1, norm2;
  ml_tensor *q_norm, *k_norm;
  ml_linear qkv, o, up, down;
} ml_layer;

typedef struct {
  int64_t d, A, KA, W, U, F; /* dim, q width, k width, qkv width, gate|up width, hidden */
} ml_widths;
ml_widths ml_config_widths(const ml_config *c);
int64_t ml_config_activation_size(const ml_config *c); /* bytes of what products read */
/* heads of one token give partial gain gradients, one for each 64 of them */
static inline int64_t ml_gain_parts(int64_t heads) {
  return (heads + ML_DET_ROWS - 1) / ML_DET_ROWS;
}

struct ml_model {
  int64_t refs;
  ml_config c;
  ml_widths w;
  int64_t es;   /* element size of parameters and residual stream */
  int64_t as;   /* of what products read: es, or 2 in a bf16 tier */
  bool half;    /* a bf16 tier */
  const ml_kernels *k;
  int count;
  ml_param_spec *spec;
  ml_tensor **param;
  ml_storage *weights, *grads; /* the arenas; grads comes with the first recorded forward */
  ml_layer *layer;
  ml_tensor *wte, *wpe;
  ml_norm norm;
  ml_linear head;
  char *cos, *sin; /* (context, head_dim / 2) */
  ml_plan *idle[2];
  int nidle;
  char *panels[2]; /* what the linears' packed and packed_dx point into */
  uint64_t packed_version;
  int packed_isa; /* -1: nothing is packed */
  bool packed_both;
  uint64_t epoch; /* of the last forward with dropout, and rows seen since it began */
  int64_t rows_seen;
};
int ml_model_ready_grads(ml_model *m);
/* panels of all weights, remade when the arena has changed; `both`: packed_dx too */
int ml_model_pack(ml_model *m, bool both);

/* ---- plan.c ---- */
typedef struct { char *h1, *qkv, *qk, *o, *lse, *x2, *h2, *u; } ml_slot;
struct ml_plan {
  int64_t refs;
  ml_model *m;
  char *slab;
  size_t bytes;
  bool grad, fused, targets, learned; /* learned: a mask or documents were given */
  int64_t B, T, N;  /* ids: B rows of T; N token rows are run */
  int64_t nseg, slots, used;
  uint64_t version; /* of the weights, when the forward began */
  int64_t row0;     /* dropout: rows before this forward in the same step */
  uint64_t seed;
  uint32_t step;
  ml_cache *cache;
  ml_segment *seg;
  int64_t *kvslot;                  /* cache slot of each segment */
  int64_t *ids, *target, *order, *start, *pos64;
  int32_t *pos;
  char *valid, *weight, *logp, *g;  /* reals, one a row */
  ml_slot first;                    /* slot 0; the others follow at slot_bytes */
  size_t slot_bytes;
  char *sum, *tmp, *dqkv, *dqk, *dout, *dh, *du, *act, *dm, *dy, *partial;
  char *hn, *z;                     /* head: its input, pieces of logits */
  int64_t chunk, ldz, kept;         /* rows of a piece, and their stride; pieces kept */
  int64_t stamp;                    /* counts those who wrote into hn or z */
};
void ml_plan_ref(ml_plan *p);
ml_slot ml_plan_slot(const ml_plan *p, int64_t i);
size_t ml_plan_bytes(const ml_config *c, int64_t rows, int64_t segments, bool grad);
int ml_plan_fresh(const ml_plan *p, const ml_node *n); /* ML_ESTATE if the weights changed */
int ml_plan_stream(ml_tensor **y, const ml_plan *p, int64_t width); /* a new (B, T, width) */
int ml_plan_check_stream(const ml_plan *p, const ml_tensor *x, const char *who);
static inline bool ml_plan_drops(const ml_plan *p) { return p->grad && p->m->c.dropout > 0; }
/* y = x with elements dropped, site names the place in the model */
void ml_plan_dropout(const ml_plan *p, void *y, const void *x, uint32_t site);

/* ---- linear.c: x, y are (rows, in), (rows, out). A result is a real, as the stream is, or an
** activation, as products read it ---- */
enum { ML_REAL, ML_ACTIVATION };
/* x is an activation, residual real */
int ml_linear_forward(const ml_model *m, const ml_linear *l, void *y, int to, const void *x,
                      int64_t rows, const void *residual, bool packed);
/* dx = dy W, overwritten. dy, and x below, are activations */
int ml_linear_backward_input(const ml_model *m, const ml_linear *l, void *dx, int to,
                             const void *dy, int64_t rows);
/* adds into the gradients of weights and biases */
int ml_linear_backward_weight(const ml_model *m, const ml_linear *l, const void *dy, const void *x,
                              int64_t rows, void *partial);
/* both */
int ml_linear_backward(const ml_model *m, const ml_linear *l, void *dx, int to, const void *dy,
                       const void *x, int64_t rows, void *partial);
/* x is real; what comes back is x as products read it: x itself, or rounded into y */
const void *ml_as_operand(const ml_model *m, void *y, const void *x, int64_t rows, int64_t width);
void ml_norm_forward(const ml_model *m, const ml_norm *n, void *y, int to, const void *x,
                     int64_t rows);
/* dx (+)= ..., and the gradients of gain and bias */
int ml_norm_backward(const ml_model *m, const ml_norm *n, void *dx, const void *dy, const void *x,
                     int64_t rows, bool accumulate, void *partial);
/* leaf's gradient (+)= the sum over P partials of its width */
int ml_finish_grad(const ml_model *m, ml_tensor *leaf, const void *partial, int64_t P);
bool ml_wants_grad(const ml_tensor *leaf);

/* Kernels work on rows of reals; a saved activation may be bf16. A row goes in through tmp when it
** must be widened, comes out through it when it must be rounded, and is itself otherwise. tmp is
** worker scratch, ml_model_stage bytes of it reserved when a plan is checked out. */
typedef void ml_row_fn(void *ctx, int64_t row, char *tmp);
void ml_each_row(int64_t rows, int64_t width, ml_row_fn *fn, void *ctx);
size_t ml_model_stage(const ml_model *m);
static inline void *ml_row_in(const ml_model *m, char *tmp, const char *row, int64_t n) {
  if (!m->half) return (char *)(uintptr_t)row;
  m->k->widen(tmp, (const uint16_t *)(const void *)row, n);
  return tmp;
}
static inline char *ml_row_out(const ml_model *m, char *tmp, char *row) {
  return m->half ? tmp : row;
}
static inline void ml_row_done(const ml_model *m, char *row, const char *tmp, int64_t n) {
  if (m->half) m->k->narrow((uint16_t *)(void *)row, tmp, n);
}

/* ---- cache.c ---- */
struct ml_cache {
  int64_t refs;
  ml_model *m;
  int64_t slots, capacity;
  int64_t *length;
  ml_attention_panel panel;
  char *data; /* (layers, k and v, slots, kv_heads, panel.room, panel.width) */
};
int64_t ml_cache_row(const ml_cache *c, int64_t slot); /* a segment's k_row */
/* keys and values of a layer, instead of those a had */
void ml_cache_describe(ml_attention *a, const ml_cache *c, int64_t layer);

#endif
