/* autograd.h -- a refcounted graph hanging off its outputs. Dropping the loss frees an unused
** graph. backward runs in descending creation number and frees what each node saved as it goes. */
#ifndef ML_AUTOGRAD_H
#define ML_AUTOGRAD_H

#include "tensor/tensor.h"

typedef struct ml_node ml_node;

/* dx[i] is wanted when ml_node_needs(n, i): a new reference the engine takes over, of input i's
** shape and dtype; leave NULL for "no gradient". dy is contiguous, never NULL. A node that owns
** parameters adds into their gradients itself (ml_grad_slot). Runs without recording. */
typedef struct {
  const char *name;
  int (*backward)(ml_node *n, ml_tensor *dy, ml_tensor **dx);
  void (*release)(ml_node *n); /* frees n->ctx; may be NULL. Runs once, after backward or drop */
} ml_op;

#define ML_MAX_SAVED 8
struct ml_node {
  int64_t refs;
  uint64_t seq; /* creation number */
  const ml_op *op;
  int nin, nsaved;
  struct ml_edge { ml_tensor *leaf; ml_node *node; } *in; /* at most one is set */
  ml_tensor *saved[ML_MAX_SAVED];
  uint64_t version[ML_MAX_SAVED];
  int64_t i[12]; /* an op's small facts */
  double d[4];
  void *ctx;        /* an op's big facts, freed by op->release */
  ml_tensor *grad;  /* pending, during backward */
  ml_node *link;    /* the engine's own: waiting to be freed */
  bool done;        /* backward went through: a second one is ML_ESTATE */
  char where[64];   /* module name given by nn, for messages; may be "" */
};

extern _Thread_local bool ml_grad_enabled;

/* Makes y the result of op on in[0..nin) if gradients are on and any input requires one;
** otherwise *n stays NULL and nothing is kept. in[i] may be NULL (an absent optional input). */
int ml_record(ml_node **n, const ml_op *op, ml_tensor *y, int nin, ml_tensor *const *in);
/* The same for a node that owns parameters: recorded if gradients are on (needs = true). */
int ml_record_always(ml_node **n, const ml_op *op, ml_tensor *y, int nin, ml_tensor *const *in);
bool ml_node_needs(const ml_node *n, int i);
void ml_node_save(ml_node *n, ml_tensor *t); /* takes a reference; do not save y itself's node:
                                                save a ml_view_alias of it */
/* the i-th saved tensor (borrowed); ML_ESTATE if its storage was written since */
int ml_node_saved(const ml_node *n, int i, ml_tensor **t);
void ml_node_free(ml_node *n); /* drops one reference; iterative, any depth of graph */
void ml_node_spent(ml_node *n); /* lets go of what n saved and of its inputs: backward went by */
int64_t ml_node_live(void);

/* dy NULL: y must have one element, its gradient is 1. Adds into leaves' grad. */
int ml_backward(ml_tensor *y, ml_tensor *dy);
/* leaf->grad += g (takes no reference); the leaf's dtype and shape */
int ml_accumulate_grad(ml_tensor *leaf, ml_tensor *g);
/* Where a fused node adds a leaf's gradient itself: a contiguous tensor of the leaf's shape
** (allocated if there was none), and whether it already holds a value to add to. Marks valid. */
int ml_grad_slot(ml_tensor *leaf, ml_tensor **grad, bool *accumulate);
void ml_discard_grad(ml_tensor *leaf);

#endif
