/* optim.c -- groups, the gradient norm, and one step over all of them.
** Work is cut into fixed chunks of the parameters in declared order; every chunk of every AdamW or
** SGD parameter is one task of one parallel region. */
#include "optim/optim.h"

#include <math.h>
#include <string.h>

enum { CHUNK = 4 * ML_DET_FLAT }; /* elements a task: free, does not touch bits */

typedef struct { int param; int64_t i0, i1; } chunk;

struct ml_optim {
  int ngroups, nparams, dtype;
  ml_group *group;
  ml_optim_param *param;
  int *split;
};

int ml_optim_new(ml_optim **out) {
  ml_optim *o = ml_alloc0(sizeof *o);
  if (!o) return ML_ENOMEM;
  o->dtype = -1;
  *out = o;
  return ML_OK;
}

static void drop_params(ml_optim_param *p, int n) {
  for (int i = 0; i < n; i++) {
    ml_tensor_free(p[i].param);
    ml_tensor_free(p[i].m);
    ml_tensor_free(p[i].v);
  }
}

void ml_optim_free(ml_optim *o) {
  if (!o) return;
  drop_params(o->param, o->nparams);
  ml_free(o->group), ml_free(o->param), ml_free(o->split);
  ml_free(o);
}

int ml_optim_count(const ml_optim *o) { return o->nparams; }
ml_optim_param *ml_optim_at(ml_optim *o, int i) { return &o->param[i]; }

/* a bigger copy of an array; the old one stays until the caller swaps */
static void *grown(const void *old, size_t had, size_t want) {
  void *p = ml_alloc(want);
  if (p && had) memcpy(p, old, had);
  return p;
}

static int check_param(const ml_optim *o, const ml_group *g, const ml_tensor *t, int split) {
  if (!ml_is_real(t->dtype) || (o->dtype >= 0 && t->dtype != o->dtype))
    return ml_fail(ML_ETYPE, "optim: parameters must share one dtype, f32 or f64, got %s",
                   ml_dtype_name(t->dtype));
  if (!ml_is_contiguous(t) || t->node)
    return ml_fail(ML_EARG, "optim: a parameter must be a contiguous leaf, %s is not",
                   ml_shape(t).s);
  if (g->kind == ML_MUON && (t->ndim != 2 || t->size[0] % split))
    return ml_fail(ML_ESHAPE, "optim: muon takes matrices, got %s; put the rest in an adamw group",
                   ml_shape(t).s);
  return ML_OK;
}

static int new_state(ml_optim_param *s, const ml_group *g, ml_tensor *t, int index) {
  *s = (ml_optim_param){.group = index, .param = ml_tensor_ref(t)};
  int st = ml_tensor_zeros(&s->m, t->dtype, t->ndim, t->size);
  if (st == ML_OK && g->kind == ML_ADAMW)
    st = ml_tensor_zeros(&s->v, t->dtype, t->ndim, t->size);
  return st;
}

int ml_optim_group(ml_optim *o, const ml_group *g, int n, ml_tensor *const *params,
                   const int *split) {
  int st = ML_OK, made = 0;
  size_t had = (size_t)o->nparams, want = had + (size_t)n;
  ml_group *ng = grown(o->group, sizeof *ng * (size_t)o->ngroups,
                       sizeof *ng * (size_t)(o->ngroups + 1));
  ml_optim_param *np = grown(o->param, sizeof *np * had, sizeof *np * want);
  int *ns = grown(o->split, sizeof *ns * had, sizeof *ns * want);
  if (!ng || !np || !ns) { st = ML_ENOMEM; goto fail; }
  for (int i = 0; i < n; i++) {
    st = check_param(o, g, params[i], split[i]);
    if (st != ML_OK) goto fail;
    st = new_state(&np[had + (size_t)i], g, params[i], o->ngroups);
    made++;
    if (st != ML_OK) goto fail;
    ns[had + (size_t)i] = split[i];
    o->dtype = params[i]->dtype;
  }
  ml_free(o->group), ml_free(o->param), ml_free(o->split);
  ng[o->ngroups++] = *g;
  o->group = ng, o->param = np, o->split = ns;
  o->nparams += n;
  return ML_OK;
fail:
  if (np) drop_params(np + had, made);
  ml_free(ng), ml_free(np), ml_free(ns);
  return st;
}

/* ---- the gradient norm: blocks of ML_DET_FLAT of each parameter, partials added in declared
** order, in double ---- */

typedef struct { const ml_kernels *k; const ml_optim *o; const chunk *c; char *part; } norm_job;

static void norm_task(void *ctx, int64_t task, int worker) {
  const norm_job *j = ctx;
  const chunk *c = &j->c[task];
  const ml_tensor *g = j->o->param[c->param].param->grad;
  int64_t es = ml_dtype_size(g->dtype), n = c->i1 - c->i0;
  (void)worker;
  j->k->flat_sumsq(j->part + task * (CHUNK / ML_DET_FLAT) * es, (char *)ml_data(g) + c->i0 * es, n,
                   0, (n + ML_DET_FLAT - 1) / ML_DET_FLAT);
}

static double part_at(const char *part, int dtype, int64_t i) {
  return dtype == ML_F64 ? ((const double *)part)[i] : (double)((const float *)part)[i];
}

static int grad_norm(const ml_optim *o, const chunk *c, int64_t n, double *norm) {
  int64_t per = CHUNK / ML_DET_FLAT;
  char *part = ml_alloc((size_t)(n * per * ml_dtype_size(o->dtype)));
  if (!part) return ML_ENOMEM;
  ml_parallel(n, norm_task, &(norm_job){ml_k(o->dtype), o, c, part});
  double sum = 0;
  for (int64_t i = 0; i < n; i++) {
    int64_t blocks = (c[i].i1 - c[i].i0 + ML_DET_FLAT - 1) / ML_DET_FLAT;
    for (int64_t b = 0; b < blocks; b++) sum += part_at(part, o->dtype, i * per + b);
  }
  ml_free(part);
  *norm = sqrt(sum);
  return ML_OK;
}

/* ---- chunks of every parameter that has a gradient ---- */

static int64_t list_chunks(const ml_optim *o, chunk *c) {
  int64_t n = 0;
  for (int p = 0; p < o->nparams; p++) {
    const ml_tensor *t = o->param[p].param;
    if (!t->grad_valid) continue;
    int64_t total = ml_numel(t);
    for (int64_t i = 0; i < total; i += CHUNK, n++)
      if (c) c[n] = (chunk){p, i, i + CHUNK < total ? i + CHUNK : total};
  }
  return n;
}

/* ---- one step ---- */

typedef struct {
  const ml_kernels *k;
  ml_optim *o;
  const chunk *c;
  const ml_step *s;
  double gscale;
} step_job;

static double rate(const ml_step *s, const ml_group *g) {
  return (isnan(s->lr) ? g->lr : s->lr) * s->lr_scale;
}

static double inertia(const ml_step *s, const ml_group *g) {
  return isnan(s->momentum) ? g->momentum : s->momentum;
}

static double decay(const ml_group *g, const ml_tensor *t) {
  return t->ndim >= 2 ? g->weight_decay : 0;
}

static void update_task(void *ctx, int64_t task, int worker) {
  const step_job *j = ctx;
  const chunk *c = &j->c[task];
  ml_optim_param *p = &j->o->param[c->param];
  const ml_group *g = &j->o->group[p->group];
  double lr = rate(j->s, g), wd = decay(g, p->param), mu = inertia(j->s, g);
  void *w = ml_data(p->param), *m = ml_data(p->m), *dw = ml_data(p->param->grad);
  (void)worker;
  if (g->kind == ML_ADAMW) {
    double t = (double)(p->steps + 1);
    j->k->adamw(w, dw, m, ml_data(p->v), c->i0, c->i1, lr, g->beta1, g->beta2, g->eps, wd,
                1 - ml_pow(g->beta1, t), 1 - ml_pow(g->beta2, t), j->gscale);
  } else if (g->kind == ML_SGD) {
    j->k->sgd(w, dw, m, c->i0, c->i1, lr, mu, g->nesterov, wd, j->gscale);
  } else { /* Muon's first half: the direction replaces the gradient */
    j->k->muon_momentum(dw, dw, m, c->i0, c->i1, mu, g->nesterov, j->gscale);
  }
}

typedef struct { ml_optim *o; const ml_matrix *x; const int *param; const ml_step *s; } muon_job;

static void muon_task(void *ctx, int64_t task, int worker) {
  const muon_job *j = ctx;
  const ml_matrix *x = &j->x[task];
  const ml_optim_param *p = &j->o->param[j->param[task]];
  const ml_group *g = &j->o->group[p->group];
  const ml_kernels *k = ml_k(j->o->dtype);
  double r = (double)x->rows, c = (double)x->cols, lr = rate(j->s, g);
  double s = g->scale == ML_MUON_MATCH_RMS ? 0.2 * sqrt(r > c ? r : c) : sqrt(r > c ? r / c : 1);
  int64_t n = x->rows * x->cols;
  char *w = (char *)ml_data(p->param) + ((char *)x->u - (char *)ml_data(p->param->grad));
  (void)worker;
  if (g->weight_decay != 0) k->scale(w, w, 1, n, 1 - lr * g->weight_decay);
  k->axpy(w, x->u, 1, n, -lr * s);
}

/* the matrices of all Muon parameters that have a gradient; NULL arrays only count */
static int list_matrices(const ml_optim *o, ml_matrix *x, int *param) {
  int n = 0;
  for (int p = 0; p < o->nparams; p++) {
    const ml_tensor *t = o->param[p].param;
    if (o->group[o->param[p].group].kind != ML_MUON || !t->grad_valid) continue;
    int64_t rows = t->size[0] / o->split[p], bytes = rows * t->size[1] * ml_dtype_size(t->dtype);
    for (int b = 0; b < o->split[p]; b++, n++) {
      if (!x) continue;
      x[n] = (ml_matrix){(char *)ml_data(t->grad) + b * bytes, rows, t->size[1]};
      param[n] = p;
    }
  }
  return n;
}

static int iterations_of(const ml_optim *o, int param) {
  return o->group[o->param[param].group].iterations;
}

static int finish_muon(ml_optim *o, const ml_step *s) {
  int n = list_matrices(o, NULL, NULL), st = ML_OK;
  if (n == 0) return ML_OK;
  ml_matrix *x = ml_alloc(sizeof *x * (size_t)n);
  int *param = ml_alloc(sizeof *param * (size_t)n);
  if (!x || !param) { st = ML_ENOMEM; goto done; }
  list_matrices(o, x, param);
  for (int i = 0, e; i < n && st == ML_OK; i = e) { /* runs of one iteration count */
    for (e = i + 1; e < n && iterations_of(o, param[e]) == iterations_of(o, param[i]);) e++;
    st = ml_orthogonalize(o->dtype, x + i, e - i, iterations_of(o, param[i]));
  }
  if (st == ML_OK) ml_parallel(n, muon_task, &(muon_job){o, x, param, s});
done:
  ml_free(x), ml_free(param);
  return st;
}

static int not_finite(const ml_optim *o, double norm) {
  for (int p = 0; p < o->nparams; p++) {
    const ml_tensor *t = o->param[p].param;
    if (!t->grad_valid) continue;
    double v;
    chunk all = {p, 0, 0};
    for (int64_t i = 0, n = ml_numel(t); i < n; i += CHUNK) {
      all.i0 = i, all.i1 = i + CHUNK < n ? i + CHUNK : n;
      if (grad_norm(o, &all, 1, &v) == ML_OK && !isfinite(v))
        return ml_fail(ML_ESTATE, "step: gradient norm is %g, first in parameter %d %s; nothing "
                       "was updated (opt:discard() drops the gradients)", norm, p + 1,
                       ml_shape(t).s);
    }
  }
  return ml_fail(ML_ESTATE, "step: gradient norm is %g; nothing was updated", norm);
}

int ml_optim_step(ml_optim *o, const ml_step *s, double *norm) {
  int64_t n = list_chunks(o, NULL);
  if (n == 0)
    return ml_fail(ML_ESTATE, "step: no parameter has a gradient (was backward called?)");
  chunk *c = ml_alloc(sizeof *c * (size_t)n);
  if (!c) return ML_ENOMEM;
  list_chunks(o, c);
  double raw = 0;
  int st = grad_norm(o, c, n, &raw);
  if (st != ML_OK) goto done;
  raw *= fabs(s->scale);
  if (!isfinite(raw)) { st = not_finite(o, raw); goto done; }
  double shrink = s->clip > 0 && s->clip / (raw + 1e-6) < 1 ? s->clip / (raw + 1e-6) : 1;
  ml_parallel(n, update_task, &(step_job){ml_k(o->dtype), o, c, s, s->scale * shrink});
  st = finish_muon(o, s);
  for (int p = 0; p < o->nparams; p++)
    if (o->param[p].param->grad_valid) o->param[p].steps++, ml_dirty(o->param[p].param);
  ml_optim_discard(o);
  *norm = raw;
done:
  ml_free(c);
  return st;
}

void ml_optim_discard(ml_optim *o) {
  for (int p = 0; p < o->nparams; p++) ml_discard_grad(o->param[p].param);
}
