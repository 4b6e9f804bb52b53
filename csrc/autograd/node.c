/* node.c -- what a graph is made of. A result holds its node, a node its inputs' nodes, so
** letting go of the loss lets go of the graph; freeing never recurses, however deep it is. */
#include <string.h>

#include "autograd/autograd.h"

_Thread_local bool ml_grad_enabled = true;

static uint64_t last_seq; /* of the process: a state may move between threads */
static int64_t live;

int64_t ml_node_live(void) { return __atomic_load_n(&live, __ATOMIC_RELAXED); }

/* one block: the node, then its edges */
static int new_node(ml_node **out, const ml_op *op, int nin, ml_tensor *const *in) {
  ml_node *n = ml_alloc(sizeof *n + (size_t)nin * sizeof n->in[0]);
  if (n == NULL) return ML_ENOMEM;
  memset(n, 0, sizeof *n);
  n->refs = 1;
  n->seq = __atomic_add_fetch(&last_seq, 1, __ATOMIC_RELAXED);
  n->op = op;
  n->nin = nin;
  n->in = (struct ml_edge *)(n + 1);
  for (int k = 0; k < nin; k++) {
    n->in[k] = (struct ml_edge){NULL, NULL};
    if (in[k] == NULL || !in[k]->requires_grad) continue;
    if (in[k]->node != NULL) n->in[k].node = in[k]->node, in[k]->node->refs++;
    else n->in[k].leaf = ml_tensor_ref(in[k]);
  }
  __atomic_fetch_add(&live, 1, __ATOMIC_RELAXED);
  ml_storage_made += (int64_t)sizeof *n;
  *out = n;
  return ML_OK;
}

int ml_record_always(ml_node **n, const ml_op *op, ml_tensor *y, int nin,
                     ml_tensor *const *in) {
  *n = NULL;
  if (!ml_grad_enabled) return ML_OK;
  int st = new_node(n, op, nin, in);
  if (st != ML_OK) return st;
  y->requires_grad = true;
  y->node = *n;
  return ML_OK;
}

int ml_record(ml_node **n, const ml_op *op, ml_tensor *y, int nin, ml_tensor *const *in) {
  bool any = false;
  *n = NULL;
  for (int k = 0; k < nin && ml_grad_enabled; k++)
    any = any || (in[k] != NULL && in[k]->requires_grad);
  return any ? ml_record_always(n, op, y, nin, in) : ML_OK;
}

bool ml_node_needs(const ml_node *n, int i) {
  return n->in[i].leaf != NULL || n->in[i].node != NULL;
}

void ml_node_save(ml_node *n, ml_tensor *t) {
  n->version[n->nsaved] = t->storage->version;
  n->saved[n->nsaved++] = ml_tensor_ref(t);
}

int ml_node_saved(const ml_node *n, int i, ml_tensor **t) {
  if (n->saved[i]->storage->version != n->version[i])
    return ml_fail(ML_ESTATE, "%s%s%s: a tensor it needs for backward, %s, was changed in "
                   "place since", n->where, n->where[0] ? ": " : "", n->op->name,
                   ml_shape(n->saved[i]).s);
  *t = n->saved[i];
  return ML_OK;
}

/* ---- freeing: nodes whose last reference went wait in a list, so that a chain of a million
** is a loop. What a node holds may come back here; it then only adds to the list. ---- */
static _Thread_local ml_node *waiting;
static _Thread_local bool draining;

/* gives back what n keeps for backward; its edges stay */
static void drop_saved(ml_node *n) {
  int k = n->nsaved;
  n->nsaved = 0;
  while (k > 0) ml_tensor_free(n->saved[--k]);
  if (n->op->release != NULL && !n->done) n->op->release(n);
  n->done = true; /* release runs once */
}

static void drop_edges(ml_node *n) {
  for (int k = 0; k < n->nin; k++) {
    struct ml_edge e = n->in[k];
    n->in[k] = (struct ml_edge){NULL, NULL};
    ml_tensor_free(e.leaf);
    if (e.node != NULL) ml_node_free(e.node);
  }
}

void ml_node_free(ml_node *n) {
  if (n == NULL || --n->refs > 0) return;
  n->link = waiting;
  waiting = n;
  if (draining) return;
  draining = true;
  while (waiting != NULL) {
    ml_node *next = waiting;
    waiting = next->link;
    drop_saved(next);
    drop_edges(next);
    ml_tensor_free(next->grad);
    ml_free(next);
    __atomic_fetch_sub(&live, 1, __ATOMIC_RELAXED);
  }
  draining = false;
}

void ml_node_spent(ml_node *n) {
  drop_saved(n);
  drop_edges(n);
}
