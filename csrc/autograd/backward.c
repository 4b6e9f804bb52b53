/* backward.c -- the engine: a heap of nodes that hold a pending gradient, the youngest first.
** Everything that uses a node's result was made after it, so when a node's turn comes its
** gradient is complete. No recursion; sums have one order: descending creation number. */
#include <string.h>

#include "autograd/autograd.h"

/* ---- leaves ---- */
int ml_grad_slot(ml_tensor *leaf, ml_tensor **grad, bool *accumulate) {
  if (leaf->grad == NULL) {
    int st = ml_tensor_like(&leaf->grad, leaf);
    if (st != ML_OK) return st;
    leaf->grad_valid = false;
  }
  *grad = leaf->grad;
  *accumulate = leaf->grad_valid;
  leaf->grad_valid = true;
  ml_dirty(leaf->grad);
  return ML_OK;
}

void ml_discard_grad(ml_tensor *leaf) {
  leaf->grad_valid = false;
  if (leaf->grad == NULL || leaf->grad->storage->refs > 1) return; /* an arena's view stays */
  ml_tensor_free(leaf->grad);
  leaf->grad = NULL;
}

static void add_row(void *ctx, char *const *p, const int64_t *stride, int64_t n) {
  const ml_kernels *k = ctx;
  k->add(p[0], p[1], stride[1], p[2], stride[2], n);
}

/* y = a + b, all of one real dtype; y is contiguous and may be a */
static int add_into(ml_tensor *y, ml_tensor *a, ml_tensor *b) {
  ml_tensor *ops[3] = {y, a, b};
  return ml_iterate(3, ops, add_row, (void *)ml_k(y->dtype));
}

static int check_grad(const char *who, const ml_tensor *x, const ml_tensor *g) {
  if (g->dtype != x->dtype)
    return ml_fail(ML_ETYPE, "%s: gradient must be %s, got %s", who, ml_dtype_name(x->dtype),
                   ml_dtype_name(g->dtype));
  if (!ml_same_shape(x, g))
    return ml_fail(ML_ESHAPE, "%s: gradient must be %s, got %s", who, ml_shape(x).s,
                   ml_shape(g).s);
  return ML_OK;
}

int ml_accumulate_grad(ml_tensor *leaf, ml_tensor *g) {
  ml_tensor *slot;
  bool add;
  int st = check_grad("backward", leaf, g);
  if (st == ML_OK) st = ml_grad_slot(leaf, &slot, &add);
  if (st != ML_OK) return st;
  return add ? add_into(slot, slot, g) : ml_copy_into(slot, g);
}

/* nobody else can see it, so it may be kept or overwritten */
static bool ours_alone(const ml_tensor *g) {
  return g->refs == 1 && g->storage->refs == 1 && g->node == NULL && ml_is_contiguous(g);
}

/* takes over g */
static int give_leaf(ml_tensor *leaf, ml_tensor *g) {
  int st = check_grad("backward", leaf, g);
  if (st == ML_OK && leaf->grad == NULL && ours_alone(g)) {
    leaf->grad = g;
    leaf->grad_valid = true;
    return ML_OK;
  }
  if (st == ML_OK) st = ml_accumulate_grad(leaf, g);
  ml_tensor_free(g);
  return st;
}

/* ---- the heap ---- */
typedef struct { ml_node **at; int64_t n, cap; } heap;

static int heap_room(heap *h) {
  if (h->n < h->cap) return ML_OK;
  int64_t cap = h->cap > 0 ? 2 * h->cap : 64;
  ml_node **at = ml_alloc((size_t)cap * sizeof *at);
  if (at == NULL) return ML_ENOMEM;
  if (h->n > 0) memcpy(at, h->at, (size_t)h->n * sizeof *at);
  ml_free(h->at);
  h->at = at, h->cap = cap;
  return ML_OK;
}

/* takes a reference of n */
static int heap_push(heap *h, ml_node *n) {
  int st = heap_room(h);
  if (st != ML_OK) return st;
  int64_t i = h->n++;
  n->refs++;
  for (; i > 0 && h->at[(i - 1) / 2]->seq < n->seq; i = (i - 1) / 2)
    h->at[i] = h->at[(i - 1) / 2];
  h->at[i] = n;
  return ML_OK;
}

static ml_node *heap_pop(heap *h) {
  ml_node *top = h->at[0], *last = h->at[--h->n];
  int64_t i = 0;
  for (int64_t c = 1; c < h->n; c = 2 * i + 1) {
    if (c + 1 < h->n && h->at[c + 1]->seq > h->at[c]->seq) c++;
    if (h->at[c]->seq < last->seq) break;
    h->at[i] = h->at[c], i = c;
  }
  h->at[i] = last;
  return top;
}

/* ---- one node ---- */
/* adds g, taken over, to what waits at n */
static int give_node(heap *h, ml_node *n, ml_tensor *g) {
  if (n->grad == NULL) {
    int st = heap_push(h, n);
    if (st == ML_OK) n->grad = g;
    else ml_tensor_free(g);
    return st;
  }
  ml_tensor *sum = NULL;
  int st = check_grad(n->op->name, n->grad, g);
  if (st == ML_OK && ours_alone(n->grad)) sum = ml_tensor_ref(n->grad);
  else if (st == ML_OK) st = ml_tensor_like(&sum, g);
  if (st == ML_OK) st = add_into(sum, n->grad, g);
  if (st == ML_OK) {
    ml_tensor_free(n->grad);
    n->grad = ml_tensor_ref(sum);
  }
  ml_tensor_free(sum);
  ml_tensor_free(g);
  return st;
}

static int call_op(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  ml_tensor *flat;
  int st = ml_contiguous(&flat, dy);
  if (st != ML_OK) return st;
  st = n->op->backward(n, flat, dx);
  ml_tensor_free(flat);
  return st;
}

/* hands dx on to the inputs; frees what was not handed on */
static int spread(heap *h, ml_node *n, ml_tensor **dx, int st) {
  for (int k = 0; k < n->nin; k++) {
    ml_tensor *g = dx[k];
    if (g == NULL) continue;
    if (st != ML_OK || !ml_node_needs(n, k)) ml_tensor_free(g);
    else if (n->in[k].leaf != NULL) st = give_leaf(n->in[k].leaf, g);
    else st = give_node(h, n->in[k].node, g);
  }
  return st;
}

enum { FEW = 16 };

static int run_node(heap *h, ml_node *n) {
  ml_tensor *few[FEW] = {NULL}, **dx = few, *dy = n->grad;
  n->grad = NULL;
  int st = ML_OK;
  if (n->done)
    st = ml_fail(ML_ESTATE, "backward: the graph behind %s was used by an earlier backward",
                 n->where[0] ? n->where : n->op->name);
  if (st == ML_OK && n->nin > FEW) {
    dx = ml_alloc0((size_t)n->nin * sizeof *dx);
    if (dx == NULL) st = ML_ENOMEM;
  }
  if (st == ML_OK) {
    st = call_op(n, dy, dx);
    ml_tensor_free(dy), dy = NULL; /* before spreading: an input may take dy over */
    st = spread(h, n, dx, st);
    ml_node_spent(n);
  }
  ml_tensor_free(dy);
  if (dx != few) ml_free(dx);
  return st;
}

static int run(ml_node *root, ml_tensor *dy) {
  heap h = {NULL, 0, 0};
  int st = give_node(&h, root, dy);
  while (h.n > 0) {
    ml_node *n = heap_pop(&h);
    if (st == ML_OK) st = run_node(&h, n);
    ml_tensor_free(n->grad); /* what waits behind a failure is let go */
    n->grad = NULL;
    ml_node_free(n);
  }
  ml_free(h.at);
  return st;
}

int ml_backward(ml_tensor *y, ml_tensor *dy) {
  if (!y->requires_grad)
    return ml_fail(ML_ESTATE, "backward: nothing behind this tensor %s requires a gradient",
                   ml_shape(y).s);
  if (dy == NULL && ml_numel(y) != 1)
    return ml_fail(ML_ESHAPE, "backward: %s is not one number; give backward its gradient",
                   ml_shape(y).s);
  int st = dy != NULL ? check_grad("backward", y, dy) : ML_OK;
  ml_tensor *g = NULL;
  if (st == ML_OK && dy != NULL) g = ml_tensor_ref(dy);
  else if (st == ML_OK) st = ml_tensor_like(&g, y);
  if (st != ML_OK) return st;
  if (dy == NULL) ml_cast(ml_data(g), g->dtype, 1, &(double){1}, ML_F64, 1, 1);
  bool recording = ml_grad_enabled;
  ml_grad_enabled = false;
  st = y->node != NULL ? run(y->node, g) : give_leaf(y, g);
  ml_grad_enabled = recording;
  return st;
}
