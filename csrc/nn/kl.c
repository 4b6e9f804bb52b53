/* kl.c -- the divergence of a model's distributions from a teacher's, token by token, over the
** whole vocabulary: (B, T) of numbers, and a gradient for the model. Both heads go over the same
** pieces of logits, first for their log-sum-exp, then side by side; backward makes the pieces
** again, but for those that are still where the forward left them. No more than a piece of the
** teacher's is ever there. */
#include "nn/head.h"

#include <stdio.h>

typedef struct { ml_plan *ours, *theirs; } both;

/* ---- forward ---- */

static void ready_rows(const ml_head *h, int64_t r0, int64_t r1) {
  for (int64_t r = r0; r < r1; r++) ml_head_ready_row(h, r);
}

/* the plans' logp, which only scoring needs, hold the sums of a row */
static void add_rows(void *ctx, int64_t r0, int64_t r1) {
  const ml_head *h = ctx, *t = h->teacher;
  int64_t at = h->n0 * h->m->es;
  ready_rows(h, r0, r1), ready_rows(t, r0, r1);
  h->m->k->kl_add(h->p->logp + at, t->p->logp + at, h->z, h->ldz, h->lse + at, t->z, t->ldz,
                  t->lse + at, h->kind, h->beta, r0, r1, h->v1 - h->v0, h->v0 == 0);
}

/* p->logp: the divergence; ours (N): what its gradient needs to know of it */
static int sum_up(ml_head *h, char *ours) {
  const ml_kernels *k = h->m->k;
  char *a = h->p->logp, *c = h->teacher->p->logp;
  int64_t N = h->p->N;
  int st = ML_OK;
  ml_head_rewind(h), ml_head_rewind(h->teacher);
  while (ml_head_piece(h, &st) && ml_head_piece(h->teacher, &st))
    ml_rows_parallel(ml_head_rows(h), ML_HEAD_GRAIN, add_rows, h);
  if (st != ML_OK) return st;
  k->copy(ours, 1, a, 1, N);
  double theirs = h->kind == ML_KL_JS ? h->beta : h->kind == ML_KL_FORWARD;
  k->scale(a, a, 1, N, 1 - theirs);
  k->axpy(a, c, 1, N, theirs);
  return ML_OK;
}

/* ---- backward ---- */

static void row_grad(const ml_head *h, int64_t at, char *z, int64_t n) {
  const ml_head *t = h->teacher;
  int64_t r = at - h->n0, i = at * h->m->es;
  ml_head_ready_row(t, r);
  h->m->k->kl_grad(z, 0, h->lse + i, ml_head_piece_row(t, r), 0, t->lse + i, h->ours + i,
                   h->p->g + i, h->kind, h->beta, 0, 1, n);
}

static ml_head again(ml_plan *p, const ml_tensor *x, const ml_tensor *stat, double inverse) {
  return (ml_head){.p = p, .m = p->m, .x = ml_data(x), .lse = ml_data(stat), .inverse = inverse};
}

static int kl_backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  both *plans = n->ctx;
  ml_plan *p = plans->ours, *q = plans->theirs;
  ml_tensor *x, *stat, *tx, *tstat;
  int st = ml_plan_fresh(p, n);
  if (st == ML_OK) st = ml_plan_fresh(q, n);
  if (st == ML_OK) st = ml_node_saved(n, 0, &x);
  if (st == ML_OK) st = ml_node_saved(n, 1, &stat);
  if (st == ML_OK) st = ml_node_saved(n, 2, &tx);
  if (st == ML_OK) st = ml_node_saved(n, 3, &tstat);
  if (st != ML_OK) return st;
  ml_head h = again(p, x, stat, n->d[0]), t = again(q, tx, tstat, n->d[0]);
  h.teacher = &t, h.row_grad = row_grad, h.kind = (int)n->i[0], h.beta = n->d[1];
  h.ours = h.lse + p->N * p->m->es;
  /* our pieces must be had back through the cap, theirs are only read */
  h.fresh = n->i[1] == p->stamp && (h.inverse == 1 || p->m->c.softcap == 0);
  t.fresh = n->i[2] == q->stamp;
  if (!t.fresh) {
    q->stamp++;
    ml_norm_forward(q->m, &q->m->norm, q->hn, ML_ACTIVATION, t.x, q->N);
  }
  ml_head_gather(p, p->g, ml_data(dy), 1);
  return ml_head_backward(&h, n, x, dx);
}

static void kl_release(ml_node *n) {
  both *plans = n->ctx;
  ml_plan_free(plans->ours), ml_plan_free(plans->theirs);
  ml_free(plans);
}

static const ml_op kl_op = {"kl", kl_backward, kl_release};

/* ---- the node ---- */

static int check(const ml_plan *p, const ml_plan *q, const ml_divergence *how) {
  const ml_config *a = &p->m->c, *b = &q->m->c;
  if (p == q) return ml_fail(ML_EARG, "kl: the teacher needs a forward of its own");
  if (a->vocab != b->vocab)
    return ml_fail(ML_ESHAPE, "kl: the teacher must have the model's vocabulary of %lld, got %lld",
                   (long long)a->vocab, (long long)b->vocab);
  if (a->dtype != b->dtype)
    return ml_fail(ML_ETYPE, "kl: the teacher must compute in %s as the model does, got %s",
                   ml_dtype_name(a->dtype), ml_dtype_name(b->dtype));
  if (p->B != q->B || p->T != q->T || p->N != q->N)
    return ml_fail(ML_ESHAPE, "kl: the teacher's batch must be %lld x %lld, got %lld x %lld",
                   (long long)p->B, (long long)p->T, (long long)q->B, (long long)q->T);
  if (how->kind == ML_KL_JS && !(how->beta > 0 && how->beta < 1))
    return ml_fail(ML_ERANGE, "kl: beta must be between 0 and 1, got %g", how->beta);
  return ML_OK;
}

/* saved: x, stat, and the teacher's */
static int record(ml_tensor *y, const ml_head *h, ml_tensor *const saved[4]) {
  ml_plan *p = h->p, *q = h->teacher->p;
  if (!p->grad) return ML_OK;
  both *plans = ml_alloc(sizeof *plans);
  if (!plans) return ML_ENOMEM;
  ml_node *n = NULL;
  int st = ml_record_always(&n, &kl_op, y, 1, saved);
  if (st != ML_OK || !n) {
    ml_free(plans);
    return st;
  }
  *plans = (both){p, q};
  n->ctx = plans;
  ml_plan_ref(p), ml_plan_ref(q);
  n->i[0] = h->kind, n->i[1] = p->stamp, n->i[2] = q->stamp;
  n->d[0] = h->inverse, n->d[1] = h->beta;
  for (int i = 0; i < 4; i++) ml_node_save(n, saved[i]);
  snprintf(n->where, sizeof n->where, "lm_head");
  return ML_OK;
}

int ml_head_kl(ml_tensor **out, ml_plan *p, ml_tensor *x, ml_plan *q, ml_tensor *tx,
               const ml_divergence *how) {
  ml_tensor *stat = NULL, *tstat = NULL, *y = NULL;
  ml_head h, t;
  int64_t size[2] = {p->B, p->T};
  int st = check(p, q, how);
  if (st == ML_OK) st = ml_head_begin(&t, &tstat, 1, false, q, tx, how->temperature, "kl");
  if (st == ML_OK) st = ml_head_begin(&h, &stat, 2, false, p, x, how->temperature, "kl");
  if (st != ML_OK) goto done;
  h.teacher = &t, h.kind = how->kind, h.beta = how->beta;
  st = sum_up(&h, h.lse + p->N * p->m->es);
  if (st == ML_OK) st = ml_tensor_zeros(&y, p->m->c.dtype, 2, size);
  if (st != ML_OK) goto done;
  ml_head_spread(p, ml_data(y), p->logp);
  st = record(y, &h, (ml_tensor *[]){x, stat, tx, tstat});
  if (st == ML_OK) *out = y, y = NULL;
done:
  ml_tensor_free(y), ml_tensor_free(stat), ml_tensor_free(tstat);
  return st;
}
