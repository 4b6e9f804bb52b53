/* nn.h -- the transformer: configuration, parameters in one arena, forward passes as a few graph
** nodes (embedding, block, head), the KV cache. Everything runs on ml_k(dtype), f32 or f64.
** In a bf16 tier the weights and their gradients, the residual stream, norms, softmax and logits
** are f32; what a product reads is bf16: weights (rounded when they are packed, once a step), saved
** activations, keys and values, and the gradients that flow between products. */
#ifndef ML_NN_H
#define ML_NN_H

#include "autograd/autograd.h"
#include "kernels/attention.h"
#include "kernels/gemm.h"

/* ---- config.c ---- */
enum { ML_NORM_RMS, ML_NORM_LAYER };
enum { ML_POS_ROPE, ML_POS_LEARNED, ML_POS_NONE };
enum { ML_QK_NONE, ML_QK_PLAIN, ML_QK_GAIN };
enum { ML_ACT_SWIGLU, ML_ACT_GELU, ML_ACT_GELU_TANH, ML_ACT_RELU2 };
enum { ML_INIT_NORMAL, ML_INIT_GPT2, ML_INIT_SPEEDRUN };
enum { ML_NAMES_LLAMA, ML_NAMES_GPT2 };
enum { ML_STREAM_DROPOUT = 1, ML_STREAM_INIT = 3 }; /* Philox streams; 2 is sampling */
#define ML_MAX_PATTERN 256

typedef struct {
  int dtype, names; /* dtype: of parameters and residual stream, ML_F32 or ML_F64 */
  int kind;         /* of the matrix products: dtype's own, or a bf16 kind of gemm.h */
  int64_t layers, heads, kv_heads, dim, head_dim, hidden, vocab, context;
  int norm;
  bool norm_gain, norm_bias;
  double eps;
  int positions;
  double theta;
  int qk_norm;
  double qk_scale;                 /* multiplies q and k after their norm */
  int npattern;                    /* layer l uses window[l % npattern]; 0 = full attention */
  int64_t window[ML_MAX_PATTERN];
  int activation;
  bool attn_bias, out_bias, mlp_bias, tied, embed_norm, recompute;
  double softcap, dropout;         /* 0 = off */
  int64_t head;                    /* 1: a head for scores beside that for the vocabulary */
  int init;
} ml_config;
int ml_config_check(const ml_config *c); /* every number and combination, before any memory */

/* What a layer owns, in arena order; ML_P_WTE and later belong to the model. With GPT-2's names
** ML_P_Q is the whole c_attn. */
enum {
  ML_P_LN1, ML_P_LN1_BIAS, ML_P_Q, ML_P_K, ML_P_V, ML_P_Q_BIAS, ML_P_K_BIAS, ML_P_V_BIAS,
  ML_P_Q_NORM, ML_P_K_NORM, ML_P_O, ML_P_O_BIAS, ML_P_LN2, ML_P_LN2_BIAS, ML_P_GATE, ML_P_UP,
  ML_P_GATE_BIAS, ML_P_UP_BIAS, ML_P_DOWN, ML_P_DOWN_BIAS, ML_P_LAYER,
  ML_P_WTE = ML_P_LAYER, ML_P_WPE, ML_P_NORM, ML_P_NORM_BIAS, ML_P_HEAD, ML_P_SCORE,
  ML_P_COUNT
};
typedef struct {
  char name[80];
  int layer, role, ndim; /* layer -1: the model's own */
  int64_t size[2];
  bool follows;          /* its rows continue those of the parameter before: one product */
} ml_param_spec;
/* *out is an ml_alloc'ed array in declared order */
int ml_config_params(const ml_config *c, ml_param_spec **out, int *n);
void ml_module_name(const ml_config *c, int layer, char out[64]); /* "model.layers.2" */

typedef struct {
  int64_t params, matmul_params;
  double flops_forward, flops_train;  /* a token, at this length */
  int64_t weight_bytes, gradient_bytes, moment_bytes /* AdamW's */, activation_bytes;
  int64_t cache_bytes;                /* of one token in the KV cache */
} ml_estimate;
int ml_config_estimate(const ml_config *c, int64_t rows, int64_t length, ml_estimate *e);

/* ---- model.c ---- */
typedef struct ml_model ml_model;
int ml_model_new(ml_model **out, const ml_config *c, uint64_t seed); /* initialised */
void ml_model_ref(ml_model *m);
void ml_model_free(ml_model *m); /* drops one reference; accepts NULL */
const ml_config *ml_model_config(const ml_model *m);
int ml_model_count(const ml_model *m);
const ml_param_spec *ml_model_spec(const ml_model *m, int i);
ml_tensor *ml_model_param(const ml_model *m, int i); /* borrowed; a view of the arena */
int64_t ml_plans_live(void);                          /* forwards alive in the process */

/* ---- plan.c: a forward over N token rows, and the memory of everything it saves ---- */
typedef struct ml_plan ml_plan;
typedef struct {
  const ml_tensor *ids, *doc, *mask; /* (B, T); doc and mask may be NULL */
  bool targets;    /* run T - 1 positions of each row, the next id is what is to be predicted */
  bool fused;      /* false: the blocks run elsewhere (the Lua twin), keep no room for them */
  uint64_t seed;   /* of dropout, with the step */
  uint32_t step;
  uint64_t epoch;  /* another one: dropout counts rows from 0 again */
} ml_batch;
int ml_forward_batch(ml_plan **out, ml_model *m, const ml_batch *b);
typedef struct ml_cache ml_cache;
/* sequence i appends len[i] ids (consecutive in ids) to slot[i] of the cache */
int ml_forward_cached(ml_plan **out, ml_model *m, ml_cache *c, int64_t n, const int64_t *slot,
                      const int64_t *len, const int64_t *ids);
void ml_plan_free(ml_plan *p); /* drops one reference; accepts NULL */
/* (B, T) i32: the position of each row in its document */
int ml_plan_positions(ml_tensor **out, const ml_plan *p);

/* ---- embed.c, block.c, head.c, kl.c: the nodes. x, y: (B, T, d), or (N, d) with a cache ---- */
int ml_embed(ml_tensor **y, ml_plan *p);
/* blocks first..last, 0-based, inclusive */
int ml_blocks(ml_tensor **y, ml_plan *p, int first, int last, ml_tensor *x);
/* (B, T): log p of every id given the earlier ones of its document, 0 at a document's first; with
** entropy (2, B, T): and the entropy of the distribution that id was drawn from, in nats */
int ml_head_logprobs(ml_tensor **y, ml_plan *p, ml_tensor *x, double temperature, bool entropy);
/* (B, T): the divergence of those distributions from the ones of teacher q over the same batch; a
** gradient for p's side only. beta is the teacher's share of JS's mixture */
typedef struct { int kind /* ML_KL_* */; double beta, temperature; } ml_divergence;
int ml_head_kl(ml_tensor **y, ml_plan *p, ml_tensor *x, ml_plan *q, ml_tensor *tx,
               const ml_divergence *how);
/* minus the sum (or mean) of weight * log p over the learned ids; *count is the sum of weights */
int ml_head_loss(ml_tensor **y, double *count, ml_plan *p, ml_tensor *x, bool mean);
int ml_head_hidden(ml_tensor **y, ml_plan *p, ml_tensor *x); /* after the final norm */
int ml_head_logits(ml_tensor **y, ml_plan *p, ml_tensor *x);
/* (sequences, V): of the last row of each sequence; also tells the cache its new lengths */
int ml_head_next(ml_tensor **y, ml_plan *p, ml_tensor *x);

/* ---- cache.c ---- */
int ml_cache_new(ml_cache **out, ml_model *m, int64_t slots, int64_t capacity);
void ml_cache_free(ml_cache *c); /* drops one reference; accepts NULL */
int64_t ml_cache_slots(const ml_cache *c);
int64_t ml_cache_capacity(const ml_cache *c);
int64_t ml_cache_length(const ml_cache *c, int64_t slot);
int ml_cache_truncate(ml_cache *c, int64_t slot, int64_t length); /* 0 frees the slot */
int ml_cache_copy(ml_cache *c, int64_t from, int64_t to);

#endif
