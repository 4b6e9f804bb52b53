/* head.h -- the walk over pieces of logits that head.c has, for those who need the distributions
** themselves (kl.c). Nobody else includes it. */
#ifndef ML_NN_HEAD_H
#define ML_NN_HEAD_H

#include "nn/inner.h"

enum { ML_HEAD_GRAIN = 16 }; /* rows of a task */

typedef struct ml_head ml_head;
struct ml_head {
  ml_plan *p;
  const ml_model *m;
  const char *x;        /* the stream */
  char *lse;            /* (N) */
  char *entropy;        /* (N), or NULL: nobody asked */
  double inverse;       /* 1 / temperature */
  const char *dlogits;  /* backward of logits: (N, V); else NULL */
  /* backward of others: z, row `at` of the piece's n logits as scored, becomes their gradient */
  void (*row_grad)(const ml_head *h, int64_t at, char *z, int64_t n);
  ml_head *teacher;     /* goes piece by piece with this one, or NULL */
  const char *ours;     /* with a teacher: (N), and which divergence */
  int kind;
  double beta;
  int64_t n0, n1, v0, v1, ldz; /* the piece: rows, ids */
  const char *z;
  bool fresh, kept;     /* does the plan hold this node's hn and z; is the piece's z there? */
};

static inline int64_t ml_head_rows(const ml_head *h) { return h->n1 - h->n0; }
static inline char *ml_head_piece_row(const ml_head *h, int64_t r) {
  return (char *)(uintptr_t)h->z + r * h->ldz * h->m->es;
}

/* h scores x: lse, and the plan's logp, of every row; stat, a new (rows, N), holds lse first, then
** entropy if that is asked for, and rows for the caller */
int ml_head_begin(ml_head *h, ml_tensor **stat, int64_t rows, bool entropy, ml_plan *p,
                  ml_tensor *x, double temperature, const char *who);
/* again from the first piece, with what scoring left */
void ml_head_rewind(ml_head *h);
/* to the next piece, its logits in z: false at the end, or when *st is no longer ML_OK */
bool ml_head_piece(ml_head *h, int *st);
void ml_head_ready_row(const ml_head *h, int64_t r); /* cap and temperature, if not there yet */
/* (B, T) of y from (N) of x, 0 where a document begins */
void ml_head_spread(const ml_plan *p, char *y, const char *x);
/* p->g and the like: (N) of y = scale * x, 0 where a document begins, from (B, T) */
void ml_head_gather(const ml_plan *p, char *y, const char *x, double scale);
/* dx of the stream, and the gradients of the head's and the norm's parameters; weights of rows are
** in p->g, if row_grad reads them */
int ml_head_backward(ml_head *h, const ml_node *n, ml_tensor *x, ml_tensor **dx);

#endif
