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
  if (!speedrun) return 0.02;
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

static void unpack(ml_linear *l) {
  ml_free(l->packed), ml_free(l->packed_dx);
  l->packed = l->packed_dx = NULL;
}

static void unpack_all(ml_model *m) {
  m->packed_isa = -1;
  for (int64_t i = 0; m->layer && i < m->c.layers; i++) {
    unpack(&m->layer[i].qkv), unpack(&m->layer[i].o);
    unpack(&m->layer[i].up), unpack(&m->layer[i].down);
  }
  unpack(&m->head);
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

static int pack_into(const ml_model *m, void **packed, const ml_tensor *w, int64_t k, int64_t n,
                     int64_t brs, int64_t bcs) {
  if (!*packed) *packed = ml_alloc(ml_gemm_packed_bytes(m->c.kind, k, n));
  if (!*packed) return ML_ENOMEM;
  return ml_gemm_pack(m->c.kind, *packed, ml_data(w), m->c.dtype, brs, bcs, k, n);
}

static int pack(const ml_model *m, ml_linear *l, bool both) {
  int st = pack_into(m, &l->packed, l->w[0], l->in, l->out, 1, l->in);
  if (st == ML_OK && both) st = pack_into(m, &l->packed_dx, l->w[0], l->out, l->in, l->in, 1);
  return st;
}

/* the head's backward goes by blocks of the vocabulary, which is k there: panels of each */
static int pack_head(const ml_model *m, ml_linear *l, bool both) {
  int st = pack_into(m, &l->packed, l->w[0], l->in, l->out, 1, l->in);
  if (st != ML_OK || !both) return st;
  int64_t block = ML_DET_HEAD_VOCAB, blocks = (l->out + block - 1) / block;
  size_t bytes = ml_gemm_packed_bytes(m->c.kind, block, l->in);
  if (!l->packed_dx) l->packed_dx = ml_alloc(bytes * (size_t)blocks);
  if (!l->packed_dx) return ML_ENOMEM;
  for (int64_t i = 0; i < blocks && st == ML_OK; i++) {
    int64_t left = l->out - i * block;
    const char *w = (const char *)ml_data(l->w[0]) + i * block * l->in * m->es;
    st = ml_gemm_pack(m->c.kind, (char *)l->packed_dx + (size_t)i * bytes, w, m->c.dtype, l->in, 1,
                      left < block ? left : block, l->in);
  }
  return st;
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
  int st = ML_OK;
  for (int64_t i = 0; i < m->c.layers && st == ML_OK; i++) {
    ml_layer *y = &m->layer[i];
    ml_linear *l[] = {&y->qkv, &y->o, &y->up, &y->down};
    for (int j = 0; j < 4 && st == ML_OK; j++) st = pack(m, l[j], both);
  }
  if (st == ML_OK) st = pack_head(m, &m->head, both);
  if (st != ML_OK) return st;
  m->packed_isa = ml_isa(), m->packed_version = m->weights->version, m->packed_both = both;
  return ML_OK;
}
