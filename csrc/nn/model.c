/* model.c -- parameters as views of one arena, their initialisation, and weights packed for
** decoding. The gradient arena is made by the first forward that records, so that a model that
** only generates never pays for it. */
#include "nn/inner.h"
#include "ops/ops.h"

#include <math.h>
#include <string.h>

/* ---- arena ---- */

/* element offsets of the parameters; returns the arena's length */
static int64_t layout(const ml_model *m, int64_t *offset) {
  int64_t at = 0, line = 64 / m->es;
  for (int i = 0; i < m->count; i++) {
    const ml_param_spec *s = &m->spec[i];
    if (!s->follows) at = (at + line - 1) / line * line;
    if (offset) offset[i] = at;
    at += s->size[0] * (s->ndim == 2 ? s->size[1] : 1);
  }
  return (at + line - 1) / line * line;
}

static int new_arena(const ml_model *m, ml_storage **out) {
  return ml_storage_new(out, (size_t)(layout(m, NULL) * m->es));
}

static int view_of(const ml_model *m, int i, ml_storage *arena, int64_t offset, ml_tensor **out) {
  const ml_param_spec *s = &m->spec[i];
  int64_t stride[2] = {s->ndim == 2 ? s->size[1] : 1, 1};
  return ml_tensor_on(out, arena, m->c.dtype, s->ndim, s->size, stride, offset);
}

static int make_params(ml_model *m) {
  int64_t *offset = ml_alloc((size_t)m->count * sizeof *offset);
  if (!offset) return ML_ENOMEM;
  layout(m, offset);
  int st = ML_OK;
  for (int i = 0; i < m->count && st == ML_OK; i++) {
    st = view_of(m, i, m->weights, offset[i], &m->param[i]);
    if (st == ML_OK) m->param[i]->requires_grad = true;
  }
  ml_free(offset);
  return st;
}

/* Gives every parameter its view of the gradient arena, holding no value yet: its pages are
** touched by the tasks that write the first gradients. */
int ml_model_ready_grads(ml_model *m) {
  if (m->grads) return ML_OK;
  ml_storage *arena = NULL;
  int64_t *offset = ml_alloc((size_t)m->count * sizeof *offset);
  int st = offset ? new_arena(m, &arena) : ML_ENOMEM;
  if (st == ML_OK) layout(m, offset);
  for (int i = 0; i < m->count && st == ML_OK; i++)
    if (!m->param[i]->grad) st = view_of(m, i, arena, offset[i], &m->param[i]->grad);
  ml_free(offset);
  if (st == ML_OK) m->grads = arena;
  else if (arena) ml_storage_unref(arena); /* views made so far hold their own references */
  return st;
}

/* ---- who uses which parameter ---- */

static void add_part(ml_linear *l, ml_tensor *w, ml_tensor *b) {
  if (!w) return;
  l->w[l->parts] = w, l->b[l->parts] = b;
  l->parts++;
  l->out += w->size[0], l->in = w->size[1];
}

static void connect_layer(ml_layer *y, ml_tensor *const *p) {
  y->norm1 = (ml_norm){p[ML_P_LN1], p[ML_P_LN1_BIAS]};
  y->norm2 = (ml_norm){p[ML_P_LN2], p[ML_P_LN2_BIAS]};
  y->q_norm = p[ML_P_Q_NORM], y->k_norm = p[ML_P_K_NORM];
  for (int i = 0; i < 3; i++) add_part(&y->qkv, p[ML_P_Q + i], p[ML_P_Q_BIAS + i]);
  add_part(&y->o, p[ML_P_O], p[ML_P_O_BIAS]);
  for (int i = 0; i < 2; i++) add_part(&y->up, p[ML_P_GATE + i], p[ML_P_GATE_BIAS + i]);
  add_part(&y->down, p[ML_P_DOWN], p[ML_P_DOWN_BIAS]);
}

static void connect(ml_model *m) {
  ml_tensor *top[ML_P_COUNT] = {0};
  for (int i = 0; i < m->count;) {
    int layer = m->spec[i].layer;
    ml_tensor *p[ML_P_COUNT] = {0};
    for (; i < m->count && m->spec[i].layer == layer; i++)
      (layer < 0 ? top : p)[m->spec[i].role] = m->param[i];
    if (layer >= 0) connect_layer(&m->layer[layer], p);
  }
  m->wte = top[ML_P_WTE], m->wpe = top[ML_P_WPE];
  m->norm = (ml_norm){top[ML_P_NORM], top[ML_P_NORM_BIAS]};
  add_part(&m->head, m->c.tied ? m->wte : top[ML_P_HEAD], NULL);
}

/* ---- start values: a stream per parameter name, so adding one moves no other ---- */

enum { CHUNK = 1 << 16 };
typedef struct {
  const ml_kernels *k;
  char *y;
  int64_t es, n;
  uint64_t seed;
  uint32_t site;
  bool uniform;
  double scale;
} start_job;

static void start_task(void *ctx, int64_t task, int worker) {
  const start_job *j = ctx;
  (void)worker;
  int64_t i0 = task * CHUNK, i1 = i0 + CHUNK < j->n ? i0 + CHUNK : j->n;
  char *y = j->y + i0 * j->es;
  double low = -j->scale;
  float low32 = (float)low;
  if (!j->uniform) {
    j->k->normal(j->y, i0, i1, j->seed, ML_STREAM_INIT, 0, 0, j->site);
    j->k->scale(y, y, 1, i1 - i0, j->scale);
  } else { /* [0, 1) -> [-scale, scale) */
    j->k->uniform(j->y, i0, i1, j->seed, ML_STREAM_INIT, 0, 0, j->site);
    j->k->scale(y, y, 1, i1 - i0, 2 * j->scale);
    j->k->add(y, y, 1, j->es == 8 ? (void *)&low : (void *)&low32, 0, i1 - i0);
  }
}

static uint32_t name_hash(const char *s) { /* FNV-1a */
  uint32_t h = 2166136261u;
  for (; *s; s++) h = (h ^ (uint8_t)*s) * 16777619u;
  return h;
}

/* how wide role starts; *uniform: U(-w, w) instead of N(0, w). 0: the zeros of the arena */
static double start_width(const ml_config *c, int role, bool *uniform) {
  bool speedrun = c->init == ML_INIT_SPEEDRUN;
  double s = sqrt(3) / sqrt((double)c->dim);
  *uniform = speedrun && role < ML_P_LAYER;
  if (role == ML_P_O || role == ML_P_DOWN) /* what writes into the residual stream */
    return speedrun ? 0 : c->init == ML_INIT_GPT2 ? 0.02 / sqrt(2 * (double)c->layers) : 0.02;
  if (!speedrun || role == ML_P_SCORE) return 0.02;
  if (role == ML_P_WTE || role == ML_P_WPE) return 0.8;
  if (role == ML_P_HEAD) return 0.001;
  return role == ML_P_UP || role == ML_P_GATE ? 0.4 * s : s;
}

static bool is_gain(int role) {
  return role == ML_P_LN1 || role == ML_P_LN2 || role == ML_P_NORM || role == ML_P_Q_NORM ||
         role == ML_P_K_NORM;
}

static void start(ml_model *m, uint64_t seed) {
  for (int i = 0; i < m->count; i++) {
    ml_tensor *t = m->param[i];
    int role = m->spec[i].role;
    int64_t n = ml_numel(t);
    if (is_gain(role)) m->k->fill(ml_data(t), n, 1);
    if (t->ndim != 2) continue;
    start_job j = {m->k, ml_data(t), m->es, n, seed, name_hash(m->spec[i].name), false, 0};
    j.scale = start_width(&m->c, role, &j.uniform);
    if (j.scale > 0) ml_parallel((n + CHUNK - 1) / CHUNK, start_task, &j);
  }
}

/* ---- life ---- */

int ml_model_new(ml_model **out, const ml_config *c, uint64_t seed) {
  int st = ml_config_check(c);
  if (st != ML_OK) return st;
  ml_model *m = ml_alloc0(sizeof *m);
  if (!m) return ML_ENOMEM;
  m->refs = 1, m->c = *c, m->w = ml_config_widths(c), m->es = ml_dtype_size(c->dtype);
  m->half = ml_gemm_is_bf16(c->kind), m->as = m->half ? ml_dtype_size(ML_BF16) : m->es;
  m->k = ml_k(c->dtype), m->packed_isa = -1;
  st = ml_config_params(c, &m->spec, &m->count);
  if (st != ML_OK) goto fail;
  st = ML_ENOMEM;
  m->param = ml_alloc0((size_t)m->count * sizeof *m->param);
  m->layer = ml_alloc0((size_t)c->layers * sizeof *m->layer);
  if (!m->param || !m->layer) goto fail;
  if ((st = new_arena(m, &m->weights)) != ML_OK) goto fail;
  ml_storage_zero(m->weights); /* biases start there; the padding stays */
  if ((st = make_params(m)) != ML_OK) goto fail;
  if (c->positions == ML_POS_ROPE) {
    size_t bytes = (size_t)(c->context * (c->head_dim / 2) * m->es);
    m->cos = ml_alloc(bytes), m->sin = ml_alloc(bytes);
    st = m->cos && m->sin ? ML_OK : ML_ENOMEM;
    if (st != ML_OK) goto fail;
    ml_rope_tables(c->dtype, m->cos, m->sin, c->context, c->head_dim, c->theta);
  }
  connect(m);
  start(m, seed);
  *out = m;
  return ML_OK;
fail:
  ml_model_free(m);
  return st;
}

void ml_model_ref(ml_model *m) { m->refs++; }

static int64_t linear_count(const ml_model *m) { return 4 * m->c.layers + 1; }
static ml_linear *linear_at(ml_model *m, int64_t i) {
  ml_layer *y = &m->layer[i / 4];
  if (i == 4 * m->c.layers) return &m->head;
  return i % 4 == 0 ? &y->qkv : i % 4 == 1 ? &y->o : i % 4 == 2 ? &y->up : &y->down;
}

static void unpack_all(ml_model *m) {
  m->packed_isa = -1;
  for (int64_t i = 0; m->layer && i < linear_count(m); i++)
    linear_at(m, i)->packed = linear_at(m, i)->packed_dx = NULL;
  for (int dx = 0; dx < 2; dx++) ml_free(m->panels[dx]), m->panels[dx] = NULL;
}

void ml_model_free(ml_model *m) {
  if (!m || --m->refs > 0) return;
  unpack_all(m);
  for (int i = 0; i < m->nidle; i++) { /* idle plans hold no reference on their model */
    ml_free(m->idle[i]->slab);
    ml_free(m->idle[i]);
  }
  for (int i = 0; m->param && i < m->count; i++) ml_tensor_free(m->param[i]);
  if (m->weights) ml_storage_unref(m->weights);
  if (m->grads) ml_storage_unref(m->grads);
  ml_free(m->param), ml_free(m->spec), ml_free(m->layer);
  ml_free(m->cos), ml_free(m->sin);
  ml_free(m);
}

const ml_config *ml_model_config(const ml_model *m) { return &m->c; }
int ml_model_count(const ml_model *m) { return m->count; }
const ml_param_spec *ml_model_spec(const ml_model *m, int i) { return &m->spec[i]; }
ml_tensor *ml_model_param(const ml_model *m, int i) { return m->param[i]; }

/* ---- packed weights ---- */

/* The head's backward goes by blocks of the vocabulary, which is k there: panels of each */
static size_t panel_bytes(ml_model *m, const ml_linear *l, int dx) {
  int64_t block = ML_DET_HEAD_VOCAB, blocks = (l->out + block - 1) / block;
  if (!dx) return ml_gemm_packed_bytes(m->c.kind, l->in, l->out);
  if (l != &m->head) return ml_gemm_packed_bytes(m->c.kind, l->out, l->in);
  return ml_gemm_packed_bytes(m->c.kind, block, l->in) * (size_t)blocks;
}

/* one stretch of memory for all: decoding sweeps over it, on huge pages */
static int make_panels(ml_model *m, int dx) {
  size_t at = 0;
  if (m->panels[dx]) return ML_OK;
  for (int64_t i = 0; i < linear_count(m); i++)
    at += (panel_bytes(m, linear_at(m, i), dx) + 63) & ~(size_t)63;
  m->panels[dx] = ml_alloc(at);
  if (!m->panels[dx]) return ML_ENOMEM;
  at = 0;
  for (int64_t i = 0; i < linear_count(m); i++) {
    ml_linear *l = linear_at(m, i);
    *(dx ? &l->packed_dx : &l->packed) = m->panels[dx] + at;
    at += (panel_bytes(m, l, dx) + 63) & ~(size_t)63;
  }
  return ML_OK;
}

static int pack_head_dx(const ml_model *m) {
  const ml_linear *l = &m->head;
  size_t bytes = ml_gemm_packed_bytes(m->c.kind, ML_DET_HEAD_VOCAB, l->in);
  int st = ML_OK;
  for (int64_t v = 0, i = 0; v < l->out && st == ML_OK; v += ML_DET_HEAD_VOCAB, i++) {
    int64_t left = l->out - v;
    const char *w = (const char *)ml_data(l->w[0]) + v * l->in * m->es;
    st = ml_gemm_pack(m->c.kind, (char *)l->packed_dx + (size_t)i * bytes, w, m->c.dtype, l->in, 1,
                      left < ML_DET_HEAD_VOCAB ? left : ML_DET_HEAD_VOCAB, l->in);
  }
  return st;
}

static int pack(const ml_model *m, const ml_linear *l, bool both) {
  const void *w = ml_data(l->w[0]);
  int st = ml_gemm_pack(m->c.kind, l->packed, w, m->c.dtype, 1, l->in, l->in, l->out);
  if (st != ML_OK || !both) return st;
  if (l == &m->head) return pack_head_dx(m);
  return ml_gemm_pack(m->c.kind, l->packed_dx, ml_data(l->w[0]), m->c.dtype, l->in, 1, l->out,
                      l->in);
}

/* another engine reads the weights as they are */
static bool engine_reads(const ml_model *m) {
  return m->c.kind == ML_F64 ? ml_gemm_engine_f64 != NULL
                             : m->c.kind == ML_F32 && ml_gemm_engine_f32 != NULL;
}

int ml_model_pack(ml_model *m, bool both) {
  if (engine_reads(m)) {
    unpack_all(m);
    return ML_OK;
  }
  bool fresh = m->packed_isa == ml_isa() && m->packed_version == m->weights->version;
  if (fresh && (m->packed_both || !both)) return ML_OK;
  if (m->packed_isa != ml_isa()) unpack_all(m); /* panels have another size there */
  m->packed_isa = -1;
  int st = make_panels(m, 0);
  if (st == ML_OK && both) st = make_panels(m, 1);
  for (int64_t i = 0; i < linear_count(m) && st == ML_OK; i++) st = pack(m, linear_at(m, i), both);
  if (st != ML_OK) return st;
  m->packed_isa = ml_isa(), m->packed_version = m->weights->version, m->packed_both = both;
  return ML_OK;
}
