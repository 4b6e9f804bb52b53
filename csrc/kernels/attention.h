/* attention.h -- causal attention over segments (documents, or sequences of a ragged batch):
** the parallel driver over kernels/attention.c. GQA: query head h uses kv head h / (heads /
** kv_heads). A task is (segment, kv head). */
#ifndef ML_ATTENTION_H
#define ML_ATTENTION_H

#include "kernels/kernels.h"

/* Queries are rows [q_row, q_row + len); keys rows [k_row, k_row + past + len). Query i sees keys
** j with j <= past + i and, when window > 0, j > past + i - window (HF's sliding_window).
** Key blocks of ML_DET_KEYS are counted from k_row, so training (past = 0), prefill and decode
** with a cache give a query the same bits. */
typedef struct ml_segment {
  int64_t q_row, k_row, len, past;
} ml_segment;

/* Element (row r, head h, d) of q is q[r*ldq + h*hsq + d], the others alike; lse (row r, head h)
** is lse[r*heads + h], natural log of the sum of exp(scale * q.k). */
typedef struct ml_attention {
  int64_t heads, kv_heads, dim, window;
  double scale;
  const void *q, *k, *v;
  int64_t ldq, hsq, ldk, hsk, ldv, hsv;
  void *o;
  int64_t ldo, hso;
  void *lse; /* may be NULL in inference */
  /* backward only: dout laid out like o; dq, dk, dv like q, k, v; all overwritten */
  const void *dout;
  void *dq, *dk, *dv;
  /* > 0: k and v are a cache's, laid out by ml_attention_store, with room for so many keys of each
  ** sequence and head; a sequence's begin at element k_row*ldk + h*hsk. Forward only */
  int64_t panels;
} ml_attention;

/* kind: ML_F32 or ML_F64, or a bf16 kind of gemm.h: then q, k, v, o, their gradients and dout are
** bf16 and products have the kind's order of additions; lse and what is between are f32. */
int ml_attention_forward(int kind, const ml_attention *a, const ml_segment *seg, int64_t nseg);
int ml_attention_backward(int kind, const ml_attention *a, const ml_segment *seg, int64_t nseg);
/* A cache takes rows [q_row, q_row + len) of from's k and v as the keys behind a segment's past.
** How it lays them out is the kind's: f32 and f64 keep blocks of ML_DET_KEYS keys as [dim][width],
** where 16 elements behind the last block are read, and rows of values; bf16 kinds the panels that
** products read, blocks of ML_DET_KEYS16. The last block is as wide as the room leaves it. */
void ml_attention_store(int kind, const ml_attention *to, const ml_attention *from,
                        const ml_segment *seg, int64_t nseg);

/* What a cache of a kind needs for one sequence and head that is to have `keys` keys: room for
** `room` keys of `width` elements, copied in whole blocks of `block` keys. */
typedef struct { int64_t room, width, block; } ml_attention_panel;
ml_attention_panel ml_attention_panels(int kind, int64_t keys, int64_t dim);

#endif
