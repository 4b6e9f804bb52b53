/* plan.c -- one slab per live forward: what its nodes save, and the workspaces of their backward.
** A plan is checked out of its model, held by the nodes, and returned when the last one drops;
** the model keeps at most two idle ones. The residual stream itself is ordinary tensors, so a tap
** may keep or replace it. */
#include "nn/inner.h"

#include <stdatomic.h>
#include <string.h>

static _Atomic int64_t live;
int64_t ml_plans_live(void) { return live; }

/* ---- layout: the same walk measures (base NULL) and assigns ---- */

typedef struct { char *base; size_t at; bool bad; } arena;

static char *take(arena *a, int64_t count, int64_t width, int64_t size) {
  int64_t n, bytes;
  if (!ml_mul_ok(count, width, &n) || !ml_mul_ok(n, size, &bytes) || bytes > INT64_MAX / 64) {
    a->bad = true;
    return NULL;
  }
  char *p = a->base ? a->base + a->at : NULL;
  a->at += ((size_t)bytes + 63) & ~(size_t)63;
  if (a->at > SIZE_MAX / 64) a->bad = true;
  return p;
}

static int64_t max3(int64_t a, int64_t b, int64_t c) {
  int64_t m = a > b ? a : b;
  return m > c ? m : c;
}

static ml_slot take_slot(arena *a, const ml_config *c, int64_t N) {
  ml_widths w = ml_config_widths(c);
  int64_t es = ml_dtype_size(c->dtype), as = ml_config_activation_size(c);
  ml_slot s;
  s.h1 = take(a, N, w.d, as);
  s.qkv = take(a, N, w.W, as);
  /* without QK-norm, rope turns q and k where the product left them */
  s.qk = c->qk_norm == ML_QK_NONE ? s.qkv : take(a, N, w.A + w.KA, as);
  s.o = take(a, N, w.A, as);
  s.lse = take(a, N, c->heads, es);
  s.x2 = take(a, N, w.d, es);
  s.h2 = take(a, N, w.d, as);
  s.u = take(a, N, w.U, as);
  return s;
}

/* what blocks use one after another; the head has its pieces in between */
static void take_block_backward(arena *a, ml_plan *p, const ml_config *c) {
  ml_widths w = ml_config_widths(c);
  int64_t es = ml_dtype_size(c->dtype), as = ml_config_activation_size(c), N = p->N;
  p->dqkv = take(a, N, w.W, as);
  p->dqk = c->qk_norm == ML_QK_NONE ? p->dqkv : take(a, N, w.A + w.KA, as);
  p->dout = take(a, N, w.A, as);
  p->du = take(a, N, w.U, as);
  p->act = take(a, N, w.F, as); /* and its gradient: no slot keeps it, backward makes it again */
  p->dm = c->dropout > 0 ? take(a, N, w.d, es) : NULL;
  p->dy = as != es ? take(a, N, w.d, as) : NULL;
}

static void take_backward(arena *a, ml_plan *p, const ml_config *c) {
  ml_widths w = ml_config_widths(c);
  int64_t es = ml_dtype_size(c->dtype), N = p->N;
  p->dh = take(a, N, w.d, es);
  /* partial column sums: of chunks of rows, or of each token's heads */
  int64_t chunks = (N + ML_DET_ROWS - 1) / ML_DET_ROWS;
  int64_t columns = max3(w.W, w.U, w.d), gains = 0;
  if (c->qk_norm == ML_QK_GAIN)
    gains = (ml_gain_parts(c->heads) + ml_gain_parts(c->kv_heads)) * c->head_dim;
  p->partial = take(a, 1, max3(chunks * columns, N * gains, 0), es);
  p->order = (int64_t *)take(a, N, 1, 8);
  p->start = (int64_t *)take(a, max3(c->vocab, c->context, 0) + 1, 1, 8);
}

/* Pieces of logits: HEAD_ROWS rows, or all, by a block of the vocabulary. With a backward to come
** as many as HEAD_BYTES hold are kept for it; one more serves all others. A row ends with a line
** nobody uses: at powers of two apart, a tile's rows would meet in one set of the cache. */
enum { HEAD_ROWS = 8 * ML_DET_GEMM_K, HEAD_BYTES = 72 << 20, HEAD_GAP = 16 };

static void take_head(arena *a, ml_plan *p, const ml_config *c) {
  int64_t es = ml_dtype_size(c->dtype);
  int64_t blocks = (c->vocab + ML_DET_HEAD_VOCAB - 1) / ML_DET_HEAD_VOCAB;
  p->chunk = p->N < HEAD_ROWS ? p->N : HEAD_ROWS;
  p->ldz = (c->vocab < ML_DET_HEAD_VOCAB ? c->vocab : ML_DET_HEAD_VOCAB) + HEAD_GAP;
  int64_t fit = HEAD_BYTES / (p->chunk * p->ldz * es);
  bool keep = p->grad && p->targets && p->N == p->chunk;
  p->kept = !keep ? 0 : fit >= blocks ? blocks : fit > 1 ? fit - 1 : 0;
  bool wanted = p->targets || p->grad;
  p->z = take(a, wanted ? p->kept + (p->kept < blocks) : 0, p->chunk * p->ldz, es);
}

static void layout(arena *a, ml_plan *p, const ml_config *c) {
  int64_t es = ml_dtype_size(c->dtype), N = p->N;
  p->seg = (ml_segment *)take(a, p->nseg, 1, sizeof(ml_segment));
  p->kvslot = (int64_t *)take(a, p->nseg, 1, 8);
  p->ids = (int64_t *)take(a, N, 1, 8);
  p->target = (int64_t *)take(a, N, 1, 8);
  p->pos64 = (int64_t *)take(a, N, 1, 8);
  p->pos = (int32_t *)take(a, N, 1, 4);
  p->valid = take(a, N, 1, es), p->weight = take(a, N, 1, es);
  p->logp = take(a, N, 1, es), p->g = take(a, N, 1, es);
  p->tmp = take(a, N, c->dim, es);
  p->sum = c->embed_norm ? take(a, N, c->dim, es) : NULL;
  size_t at = a->at;
  if (p->slots > 0) p->first = take_slot(a, c, N);
  p->slot_bytes = a->at - at;
  if (p->slots > 1) take(a, p->slots - 1, (int64_t)p->slot_bytes, 1);
  if (p->grad) take_backward(a, p, c);
  p->hn = take(a, N, c->dim, ml_config_activation_size(c));
  at = a->at; /* one room for the two */
  if (p->grad) take_block_backward(a, p, c);
  else if (p->slots > 0) p->act = take(a, N, ml_config_widths(c).F, ml_config_activation_size(c));
  size_t end = a->at;
  a->at = at;
  take_head(a, p, c);
  if (a->at < end) a->at = end;
}

static int64_t slots_for(const ml_config *c, bool grad) {
  return grad && !c->recompute ? c->layers : 1;
}

size_t ml_plan_bytes(const ml_config *c, int64_t rows, int64_t segments, bool grad) {
  ml_plan p = {.N = rows, .nseg = segments, .grad = grad, .targets = grad,
               .slots = slots_for(c, grad)};
  arena a = {0};
  layout(&a, &p, c);
  return a.bad ? (size_t)INT64_MAX / 4 : a.at;
}

/* ---- checking out and returning ---- */

/* the smallest idle plan that is large enough, or a new one */
static ml_plan *pick(ml_model *m, size_t bytes) {
  int best = -1;
  for (int i = 0; i < m->nidle; i++)
    if (m->idle[i]->bytes >= bytes && (best < 0 || m->idle[i]->bytes < m->idle[best]->bytes))
      best = i;
  ml_plan *p = NULL;
  if (best >= 0) {
    p = m->idle[best];
    m->idle[best] = m->idle[--m->nidle];
    return p;
  }
  /* too small ones only take room from the one to come, be they kept for blocks of their size */
  bool grows = m->nidle > 0;
  while (m->nidle > 0) {
    ml_plan *old = m->idle[--m->nidle];
    ml_free(old->slab);
    ml_free(old);
  }
  if (grows) ml_mem_trim();
  p = ml_alloc0(sizeof *p);
  if (!p) return NULL;
  p->slab = ml_alloc(bytes), p->bytes = bytes;
  if (p->slab) return p;
  ml_free(p);
  return NULL;
}

/* want: the fields that decide the layout */
static int check_out(ml_plan **out, ml_model *m, const ml_plan *want) {
  ml_plan p = *want;
  arena a = {0};
  layout(&a, &p, &m->c);
  if (a.bad) return ml_fail(ML_ERANGE, "model: a forward over %lld tokens is too large",
                            (long long)p.N);
  ml_plan *got = pick(m, a.at);
  if (!got) return ML_ENOMEM;
  int st = ml_scratch_reserve(ml_model_stage(m));
  if (st != ML_OK) {
    ml_free(got->slab), ml_free(got);
    return st;
  }
  p.refs = 1, p.m = m, p.slab = got->slab, p.bytes = got->bytes;
  p.version = m->weights->version;
  a = (arena){.base = p.slab};
  layout(&a, &p, &m->c);
  *got = p;
  ml_model_ref(m);
  live++;
  *out = got;
  return ML_OK;
}

void ml_plan_ref(ml_plan *p) { p->refs++; }

void ml_plan_free(ml_plan *p) {
  if (!p || --p->refs > 0) return;
  ml_model *m = p->m;
  ml_cache_free(p->cache);
  p->cache = NULL;
  live--;
  if (m->nidle < 2) {
    m->idle[m->nidle++] = p;
  } else {
    ml_free(p->slab);
    ml_free(p);
  }
  ml_model_free(m);
}

ml_slot ml_plan_slot(const ml_plan *p, int64_t i) {
  ml_slot s = p->first;
  char **f[] = {&s.h1, &s.qkv, &s.qk, &s.o, &s.lse, &s.x2, &s.h2, &s.u};
  for (size_t j = 0; j < sizeof f / sizeof *f; j++) *f[j] += (size_t)i * p->slot_bytes;
  return s;
}

int ml_plan_positions(ml_tensor **out, const ml_plan *p) {
  int64_t size[2] = {p->B, p->N / p->B};
  int st = ml_tensor_new(out, ML_I32, 2, size);
  if (st == ML_OK) memcpy(ml_data(*out), p->pos, (size_t)p->N * sizeof *p->pos);
  return st;
}

int ml_plan_fresh(const ml_plan *p, const ml_node *n) {
  if (p->version == p->m->weights->version) return ML_OK;
  return ml_fail(ML_ESTATE, "backward: the parameters of %s were changed after the forward",
                 n->where);
}

int ml_plan_stream(ml_tensor **y, const ml_plan *p, int64_t width) {
  int64_t rect[3] = {p->B, p->N / p->B, width}, flat[2] = {p->N, width};
  return p->cache ? ml_tensor_new(y, p->m->c.dtype, 2, flat)
                  : ml_tensor_new(y, p->m->c.dtype, 3, rect);
}

int ml_plan_check_stream(const ml_plan *p, const ml_tensor *x, const char *who) {
  int64_t d = p->m->c.dim;
  bool fits = x->ndim >= 1 && x->size[x->ndim - 1] == d && ml_numel(x) == p->N * d;
  if (!fits || !ml_is_contiguous(x))
    return ml_fail(ML_ESHAPE, "%s: the residual stream must hold %lld contiguous rows of %lld, "
                   "got %s", who, (long long)p->N, (long long)d, ml_shape(x).s);
  if (x->dtype != p->m->c.dtype)
    return ml_fail(ML_ETYPE, "%s: the residual stream must be %s, got %s", who,
                   ml_dtype_name(p->m->c.dtype), ml_dtype_name(x->dtype));
  return ML_OK;
}

/* ---- dropout: a mask of (seed, step, row in the step, column), the same under any split ---- */

enum { DROP_CHUNK = 1 << 14 };
typedef struct { const ml_plan *p; char *y; const char *x; uint32_t site; int64_t n; } drop_job;

static void drop_task(void *ctx, int64_t task, int worker) {
  const drop_job *j = ctx;
  (void)worker;
  const ml_model *m = j->p->m;
  int64_t i0 = task * DROP_CHUNK, i1 = i0 + DROP_CHUNK < j->n ? i0 + DROP_CHUNK : j->n;
  m->k->dropout(j->y, j->x, i0, i1, m->c.dropout, j->p->seed, ML_STREAM_DROPOUT,
                (uint64_t)(j->p->row0 * m->c.dim), j->p->step, j->site);
}

void ml_plan_dropout(const ml_plan *p, void *y, const void *x, uint32_t site) {
  drop_job j = {p, y, x, site, p->N * p->m->c.dim};
  ml_parallel((j.n + DROP_CHUNK - 1) / DROP_CHUNK, drop_task, &j);
}

static void count_rows(ml_plan *p, const ml_batch *b) {
  ml_model *m = p->m;
  p->seed = b->seed, p->step = b->step;
  if (!ml_plan_drops(p)) return;
  if (m->epoch != b->epoch) m->epoch = b->epoch, m->rows_seen = 0;
  p->row0 = m->rows_seen;
  m->rows_seen += p->N;
}

/* ---- a batch of rows ---- */

/* contiguous: i64, i64, the model's dtype */
typedef struct { ml_tensor *ids, *doc, *mask; } inputs;

static void free_inputs(inputs *in) {
  ml_tensor_free(in->ids), ml_tensor_free(in->doc), ml_tensor_free(in->mask);
}

static int convert(ml_tensor **out, const ml_tensor *t, int dtype) {
  ml_tensor *same = NULL;
  int st = ml_to_dtype(&same, (ml_tensor *)t, dtype);
  if (st == ML_OK) st = ml_contiguous(out, same);
  ml_tensor_free(same);
  return st;
}

static bool is_integer(const ml_tensor *t) {
  return t->dtype == ML_I64 || t->dtype == ML_I32 || t->dtype == ML_U8;
}

static int check_inputs(const ml_model *m, const ml_batch *b) {
  const ml_tensor *ids = b->ids;
  if (ids->ndim != 2 || !is_integer(ids))
    return ml_fail(ids->ndim != 2 ? ML_ESHAPE : ML_ETYPE,
                   "model: ids must be (B, T) of i64 or i32, got %s %s", ml_shape(ids).s,
                   ml_dtype_name(ids->dtype));
  int64_t T = ids->size[1], limit = m->c.context + b->targets;
  if (ids->size[0] < 1 || T < 1 + b->targets)
    return ml_fail(ML_ESHAPE, "model: a batch needs rows of at least %d ids, got %s",
                   1 + b->targets, ml_shape(ids).s);
  if (T > limit)
    return ml_fail(ML_ESHAPE, "model: rows of %lld ids are longer than the context of %lld%s",
                   (long long)T, (long long)m->c.context,
                   b->targets ? " and its last target" : "");
  if (ml_numel(ids) > INT32_MAX)
    return ml_fail(ML_ERANGE, "model: a batch holds fewer than 2^31 ids, got %s",
                   ml_shape(ids).s);
  if (b->doc && (!ml_same_shape(ids, b->doc) || !is_integer(b->doc)))
    return ml_fail(ML_ESHAPE, "model: doc must be %s integers like ids, got %s %s",
                   ml_shape(ids).s, ml_shape(b->doc).s, ml_dtype_name(b->doc->dtype));
  if (b->mask && !ml_same_shape(ids, b->mask))
    return ml_fail(ML_ESHAPE, "model: mask must be %s like ids, got %s", ml_shape(ids).s,
                   ml_shape(b->mask).s);
  return ML_OK;
}

static int check_id(const ml_config *c, int64_t id, int64_t row, int64_t position) {
  if (id >= 0 && id < c->vocab) return ML_OK;
  return ml_fail(ML_ERANGE, "%s: row %lld, position %lld: id %lld is not in a vocabulary of %lld",
                 c->names == ML_NAMES_GPT2 ? "transformer.wte" : "model.embed_tokens",
                 (long long)row + 1, (long long)position + 1, (long long)id,
                 (long long)c->vocab);
}

static int check_ids(const ml_model *m, const ml_tensor *ids) {
  const int64_t *id = ml_data(ids);
  int64_t n = ml_numel(ids), T = ids->size[1];
  for (int64_t i = 0; i < n; i++)
    if (id[i] < 0 || id[i] >= m->c.vocab) return check_id(&m->c, id[i], i / T, i % T);
  return ML_OK;
}

/* a new document begins at i of its row? */
static bool begins(const int64_t *doc, int64_t t) {
  return t == 0 || (doc && doc[t] != doc[t - 1]);
}

static int64_t count_segments(const inputs *in, int64_t B, int64_t T, int64_t run) {
  const int64_t *doc = in->doc ? ml_data(in->doc) : NULL;
  int64_t n = 0;
  for (int64_t b = 0; b < B; b++)
    for (int64_t t = 0; t < run; t++) n += begins(doc ? doc + b * T : NULL, t);
  return n;
}

static void set_real(int dtype, char *p, int64_t i, double v) {
  if (dtype == ML_F64) ((double *)(void *)p)[i] = v;
  else ((float *)(void *)p)[i] = (float)v;
}

/* what row n (position t of batch row b) is asked to predict, and with which weight */
static void fill_target(ml_plan *p, int64_t n, int64_t b, int64_t t, const int64_t *ids,
                        const int64_t *doc, const ml_tensor *mask) {
  int dtype = p->m->c.dtype;
  bool valid = !begins(doc, t + 1);
  p->target[n] = ids[t + 1];
  set_real(dtype, p->valid, n, valid);
  double w = !valid ? 0 : mask ? ml_item(mask, b * p->T + t + 1) : 1;
  set_real(dtype, p->weight, n, w);
}

static void fill_row(ml_plan *p, const inputs *in, int64_t b, int64_t *seg) {
  int64_t run = p->N / p->B;
  const int64_t *ids = (int64_t *)ml_data(in->ids) + b * p->T;
  const int64_t *doc = in->doc ? (int64_t *)ml_data(in->doc) + b * p->T : NULL;
  for (int64_t t = 0; t < run; t++) {
    int64_t n = b * run + t;
    if (begins(doc, t)) p->seg[(*seg)++] = (ml_segment){n, n, 0, 0};
    ml_segment *s = &p->seg[*seg - 1];
    p->pos64[n] = s->len++;
    p->pos[n] = (int32_t)p->pos64[n];
    p->ids[n] = ids[t];
    if (p->targets) fill_target(p, n, b, t, ids, doc, in->mask);
  }
}

int ml_forward_batch(ml_plan **out, ml_model *m, const ml_batch *b) {
  int st = check_inputs(m, b);
  if (st != ML_OK) return st;
  inputs in = {0};
  st = convert(&in.ids, b->ids, ML_I64);
  if (st == ML_OK && b->doc) st = convert(&in.doc, b->doc, ML_I64);
  if (st == ML_OK && b->mask) st = convert(&in.mask, b->mask, m->c.dtype);
  if (st == ML_OK) st = check_ids(m, in.ids);
  if (st == ML_OK && ml_grad_enabled) st = ml_model_ready_grads(m);
  if (st == ML_OK && m->half) st = ml_model_pack(m, ml_grad_enabled);
  if (st != ML_OK) goto done;
  int64_t B = b->ids->size[0], T = b->ids->size[1], run = T - b->targets;
  ml_plan want = {.B = B, .T = T, .N = B * run, .nseg = count_segments(&in, B, T, run),
                  .grad = ml_grad_enabled, .fused = b->fused, .targets = b->targets,
                  .learned = b->doc || b->mask};
  want.slots = b->fused ? slots_for(&m->c, want.grad) : 0;
  ml_plan *p = NULL;
  st = check_out(&p, m, &want);
  if (st != ML_OK) goto done;
  int64_t seg = 0;
  for (int64_t row = 0; row < B; row++) fill_row(p, &in, row, &seg);
  count_rows(p, b);
  *out = p;
done:
  free_inputs(&in);
  return st;
}

/* ---- sequences that continue a cache ---- */

static int check_sequence(const ml_model *m, const ml_cache *c, int64_t i, int64_t slot,
                          int64_t len) {
  if (slot < 0 || slot >= c->slots)
    return ml_fail(ML_ERANGE, "decode: sequence %lld: slot %lld is not among the cache's %lld",
                   (long long)i + 1, (long long)slot + 1, (long long)c->slots);
  if (len < 1)
    return ml_fail(ML_EARG, "decode: sequence %lld has no id to run", (long long)i + 1);
  if (len > c->capacity - c->length[slot])
    return ml_fail(ML_ERANGE, "decode: sequence %lld: %lld ids after %lld do not fit a cache of "
                   "%lld", (long long)i + 1, (long long)len, (long long)c->length[slot],
                   (long long)c->capacity);
  (void)m;
  return ML_OK;
}

static int check_sequences(const ml_model *m, const ml_cache *c, int64_t n, const int64_t *slot,
                           const int64_t *len, const int64_t *ids) {
  if (c->m != m) return ml_fail(ML_EARG, "decode: the cache belongs to another model");
  if (n < 1) return ml_fail(ML_EARG, "decode: no sequence given");
  for (int64_t i = 0; i < n; i++) {
    int st = check_sequence(m, c, i, slot[i], len[i]);
    for (int64_t j = 0; j < i && st == ML_OK; j++)
      if (slot[j] == slot[i])
        st = ml_fail(ML_EARG, "decode: slot %lld is given twice", (long long)slot[i] + 1);
    for (int64_t t = 0; t < len[i] && st == ML_OK; t++) st = check_id(&m->c, ids[t], i, t);
    if (st != ML_OK) return st;
    ids += len[i];
  }
  return ML_OK;
}

int ml_forward_cached(ml_plan **out, ml_model *m, ml_cache *c, int64_t n, const int64_t *slot,
                      const int64_t *len, const int64_t *ids) {
  int st = check_sequences(m, c, n, slot, len, ids);
  if (st == ML_OK) st = ml_model_pack(m, false);
  if (st != ML_OK) return st;
  ml_plan want = {.B = 1, .nseg = n, .fused = true, .slots = 1, .cache = c};
  for (int64_t i = 0; i < n; i++) want.N += len[i];
  want.T = want.N;
  ml_plan *p = NULL;
  st = check_out(&p, m, &want);
  if (st != ML_OK) return st;
  c->refs++;
  memcpy(p->ids, ids, (size_t)p->N * sizeof *ids);
  for (int64_t i = 0, row = 0; i < n; i++) {
    int64_t past = c->length[slot[i]];
    p->seg[i] = (ml_segment){row, ml_cache_row(c, slot[i]), len[i], past};
    p->kvslot[i] = slot[i];
    for (int64_t t = 0; t < len[i]; t++, row++)
      p->pos64[row] = past + t, p->pos[row] = (int32_t)(past + t);
  }
  *out = p;
  return ML_OK;
}
