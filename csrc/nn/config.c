/* config.c -- what a model is before any memory is taken: checks, the ordered list of parameters,
** and the estimate of work and bytes. Names are Hugging Face's. */
#include "nn/inner.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

ml_widths ml_config_widths(const ml_config *c) {
  int64_t A = c->heads * c->head_dim, KA = c->kv_heads * c->head_dim;
  int64_t gates = c->activation == ML_ACT_SWIGLU ? 2 : 1;
  return (ml_widths){c->dim, A, KA, A + 2 * KA, gates * c->hidden, c->hidden};
}

int64_t ml_config_activation_size(const ml_config *c) {
  return ml_dtype_size(ml_gemm_is_bf16(c->kind) ? ML_BF16 : c->dtype);
}

/* ---- checks ---- */

static int check_sizes(const ml_config *c) {
  const struct { const char *name; int64_t v; } size[] = {
    {"layers", c->layers}, {"heads", c->heads}, {"kv_heads", c->kv_heads}, {"dim", c->dim},
    {"head_dim", c->head_dim}, {"hidden", c->hidden}, {"vocab", c->vocab},
    {"context", c->context}};
  for (size_t i = 0; i < sizeof size / sizeof *size; i++)
    if (size[i].v < 1 || size[i].v > INT32_MAX)
      return ml_fail(ML_ERANGE, "model: %s must be from 1 to 2^31 - 1, got %lld", size[i].name,
                     (long long)size[i].v);
  if (c->layers > 4096)
    return ml_fail(ML_ERANGE, "model: layers must be at most 4096, got %lld",
                   (long long)c->layers);
  if (c->heads % c->kv_heads != 0)
    return ml_fail(ML_ESHAPE, "model: kv_heads must divide heads, got %lld and %lld",
                   (long long)c->kv_heads, (long long)c->heads);
  /* widths are used as plain products from here on */
  int64_t a;
  if (!ml_mul_ok(c->heads, c->head_dim, &a) || a > INT32_MAX / 3 || c->hidden > INT32_MAX / 2)
    return ml_fail(ML_ERANGE, "model: heads * head_dim or hidden is too large");
  return ML_OK;
}

static int check_numbers(const ml_config *c) {
  if (c->norm == ML_NORM_RMS && c->norm_bias)
    return ml_fail(ML_EARG, "model: rms norm has no bias");
  if (!(c->eps > 0))
    return ml_fail(ML_ERANGE, "model: eps must be positive, got %g", c->eps);
  if (c->positions == ML_POS_ROPE && c->head_dim % 2 != 0)
    return ml_fail(ML_ESHAPE, "model: rope needs an even head_dim, got %lld",
                   (long long)c->head_dim);
  if (c->positions == ML_POS_ROPE && !(c->theta > 0 && isfinite(c->theta)))
    return ml_fail(ML_ERANGE, "model: theta must be positive, got %g", c->theta);
  if (!(c->qk_scale > 0 && isfinite(c->qk_scale)))
    return ml_fail(ML_ERANGE, "model: qk_scale must be positive, got %g", c->qk_scale);
  if (!(c->softcap >= 0 && isfinite(c->softcap)))
    return ml_fail(ML_ERANGE, "model: softcap must not be negative, got %g", c->softcap);
  if (!(c->dropout >= 0 && c->dropout < 1))
    return ml_fail(ML_ERANGE, "model: dropout must be in [0, 1), got %g", c->dropout);
  if (c->head != 0 && c->head != 1)
    return ml_fail(ML_ERANGE, "model: head must be 0 or 1, got %lld", (long long)c->head);
  for (int i = 0; i < c->npattern; i++)
    if (c->window[i] < 0)
      return ml_fail(ML_ERANGE, "model: window must not be negative, got %lld",
                     (long long)c->window[i]);
  return ML_OK;
}

int ml_config_check(const ml_config *c) {
  if (!ml_is_real(c->dtype))
    return ml_fail(ML_ETYPE, "model: dtype must be f32 or f64, got %s", ml_dtype_name(c->dtype));
  if (c->kind != c->dtype && (c->dtype != ML_F32 || !ml_gemm_is_bf16(c->kind)))
    return ml_fail(ML_ETYPE, "model: products of bf16 go with f32 parameters, got %s",
                   ml_dtype_name(c->dtype));
  if (c->npattern < 0 || c->npattern > ML_MAX_PATTERN)
    return ml_fail(ML_ERANGE, "model: a window pattern has at most %d entries", ML_MAX_PATTERN);
  int st = check_sizes(c);
  if (st == ML_OK) st = check_numbers(c);
  if (st != ML_OK) return st;
  /* in doubles, so that no product can overflow before the answer is known */
  ml_widths w = ml_config_widths(c);
  double layer = (double)w.d * (double)(w.W + w.A + w.U + w.F);
  double all = layer * (double)c->layers + 2 * (double)w.d * (double)(c->vocab + c->context);
  if (all > 0x1p44)
    return ml_fail(ML_ERANGE, "model: %.3g parameters are more than an address space holds", all);
  return ML_OK;
}

/* ---- parameters ---- */

static const char *const llama_names[ML_P_COUNT] = {
  "input_layernorm.weight", "input_layernorm.bias", "self_attn.q_proj.weight",
  "self_attn.k_proj.weight", "self_attn.v_proj.weight", "self_attn.q_proj.bias",
  "self_attn.k_proj.bias", "self_attn.v_proj.bias", "self_attn.q_norm.weight",
  "self_attn.k_norm.weight", "self_attn.o_proj.weight", "self_attn.o_proj.bias",
  "post_attention_layernorm.weight", "post_attention_layernorm.bias", "mlp.gate_proj.weight",
  "mlp.up_proj.weight", "mlp.gate_proj.bias", "mlp.up_proj.bias", "mlp.down_proj.weight",
  "mlp.down_proj.bias", "model.embed_tokens.weight", "model.embed_positions.weight",
  "model.norm.weight", "model.norm.bias", "lm_head.weight", "score.weight"};
static const char *const gpt2_names[ML_P_COUNT] = {
  "ln_1.weight", "ln_1.bias", "attn.c_attn.weight", NULL, NULL, "attn.c_attn.bias", NULL, NULL,
  "attn.q_norm.weight", "attn.k_norm.weight", "attn.c_proj.weight", "attn.c_proj.bias",
  "ln_2.weight", "ln_2.bias", "mlp.c_gate.weight", "mlp.c_fc.weight", "mlp.c_gate.bias",
  "mlp.c_fc.bias", "mlp.c_proj.weight", "mlp.c_proj.bias", "transformer.wte.weight",
  "transformer.wpe.weight", "transformer.ln_f.weight", "transformer.ln_f.bias",
  "lm_head.weight", "score.weight"};

void ml_module_name(const ml_config *c, int layer, char out[64]) {
  snprintf(out, 64, c->names == ML_NAMES_GPT2 ? "transformer.h.%d" : "model.layers.%d", layer);
}

static bool has(const ml_config *c, int role) {
  bool fused = c->names == ML_NAMES_GPT2, gated = c->activation == ML_ACT_SWIGLU;
  switch (role) {
    case ML_P_LN1: case ML_P_LN2: case ML_P_NORM: return c->norm_gain;
    case ML_P_LN1_BIAS: case ML_P_LN2_BIAS: case ML_P_NORM_BIAS: return c->norm_bias;
    case ML_P_K: case ML_P_V: return !fused;
    case ML_P_Q_BIAS: return c->attn_bias;
    case ML_P_K_BIAS: case ML_P_V_BIAS: return c->attn_bias && !fused;
    case ML_P_Q_NORM: case ML_P_K_NORM: return c->qk_norm == ML_QK_GAIN;
    case ML_P_O_BIAS: return c->out_bias;
    case ML_P_GATE: return gated;
    case ML_P_GATE_BIAS: return gated && c->mlp_bias;
    case ML_P_UP_BIAS: case ML_P_DOWN_BIAS: return c->mlp_bias;
    case ML_P_WPE: return c->positions == ML_POS_LEARNED;
    case ML_P_HEAD: return !c->tied;
    case ML_P_SCORE: return c->head > 0;
    default: return true;
  }
}

/* size[1] of 0 marks a vector */
static void shape_of(const ml_config *c, int role, int64_t size[2]) {
  ml_widths w = ml_config_widths(c);
  int64_t q = c->names == ML_NAMES_GPT2 ? w.W : w.A;
  int64_t rows = w.d, cols = 0;
  switch (role) {
    case ML_P_Q: rows = q, cols = w.d; break;
    case ML_P_K: case ML_P_V: rows = w.KA, cols = w.d; break;
    case ML_P_Q_BIAS: rows = q; break;
    case ML_P_K_BIAS: case ML_P_V_BIAS: rows = w.KA; break;
    case ML_P_Q_NORM: case ML_P_K_NORM: rows = c->head_dim; break;
    case ML_P_O: rows = w.d, cols = w.A; break;
    case ML_P_GATE: case ML_P_UP: rows = w.F, cols = w.d; break;
    case ML_P_GATE_BIAS: case ML_P_UP_BIAS: rows = w.F; break;
    case ML_P_DOWN: rows = w.d, cols = w.F; break;
    case ML_P_WTE: case ML_P_HEAD: rows = c->vocab, cols = w.d; break;
    case ML_P_SCORE: rows = c->head, cols = w.d; break;
    case ML_P_WPE: rows = c->context, cols = w.d; break;
    default: break; /* gains and biases as wide as the stream */
  }
  size[0] = rows, size[1] = cols;
}

static void add_param(const ml_config *c, ml_param_spec *list, int *n, int layer, int role) {
  if (!has(c, role)) return;
  ml_param_spec *s = &list[(*n)++];
  const char *name = (c->names == ML_NAMES_GPT2 ? gpt2_names : llama_names)[role];
  char module[64];
  ml_module_name(c, layer, module);
  if (layer < 0) snprintf(s->name, sizeof s->name, "%s", name);
  else snprintf(s->name, sizeof s->name, "%.40s.%s", module, name);
  s->layer = layer, s->role = role;
  shape_of(c, role, s->size);
  s->ndim = s->size[1] ? 2 : 1;
  s->follows = role == ML_P_K || role == ML_P_V || role == ML_P_K_BIAS || role == ML_P_V_BIAS ||
               (c->activation == ML_ACT_SWIGLU && (role == ML_P_UP || role == ML_P_UP_BIAS));
}

int ml_config_params(const ml_config *c, ml_param_spec **out, int *count) {
  size_t room = (size_t)(c->layers * ML_P_LAYER + ML_P_COUNT - ML_P_LAYER);
  ml_param_spec *list = ml_alloc0(room * sizeof *list);
  if (!list) return ML_ENOMEM;
  int n = 0;
  add_param(c, list, &n, -1, ML_P_WTE);
  add_param(c, list, &n, -1, ML_P_WPE);
  for (int l = 0; l < c->layers; l++)
    for (int role = 0; role < ML_P_LAYER; role++) add_param(c, list, &n, l, role);
  for (int role = ML_P_NORM; role < ML_P_COUNT; role++) add_param(c, list, &n, -1, role);
  *out = list, *count = n;
  return ML_OK;
}

/* ---- estimate ---- */

/* keys a query sees on average over a causal document of `length` */
static double mean_keys(int64_t length, int64_t window) {
  double T = (double)length, w = (double)window;
  if (window == 0 || window >= length) return (T + 1) / 2;
  return (w * (w + 1) / 2 + (T - w) * w) / T;
}

static double attention_flops(const ml_config *c, int64_t length) {
  double keys = 0;
  for (int64_t l = 0; l < c->layers; l++)
    keys += mean_keys(length, c->npattern ? c->window[l % c->npattern] : 0);
  return 4 * keys * (double)(c->heads * c->head_dim); /* q.k and p.v, two each */
}

int ml_config_estimate(const ml_config *c, int64_t rows, int64_t length, ml_estimate *e) {
  int st = ml_config_check(c);
  if (st != ML_OK) return st;
  int64_t N;
  if (rows < 1 || length < 1 || !ml_mul_ok(rows, length, &N) || N > INT32_MAX)
    return ml_fail(ML_ERANGE, "estimate: batch and length must be positive, their product below "
                   "2^31, got %lld and %lld", (long long)rows, (long long)length);
  ml_param_spec *spec;
  int n;
  st = ml_config_params(c, &spec, &n);
  if (st != ML_OK) return st;
  *e = (ml_estimate){0};
  for (int i = 0; i < n; i++) {
    int64_t numel = spec[i].size[0] * (spec[i].ndim == 2 ? spec[i].size[1] : 1);
    bool table = spec[i].role == ML_P_WTE || spec[i].role == ML_P_WPE;
    e->params += numel;
    if (spec[i].ndim == 2 && !table && spec[i].role != ML_P_SCORE) e->matmul_params += numel;
  }
  ml_free(spec);
  if (c->tied) e->matmul_params += c->vocab * c->dim;
  int64_t es = ml_dtype_size(c->dtype);
  e->flops_forward = 2 * (double)e->matmul_params + attention_flops(c, length);
  e->flops_train = 3 * e->flops_forward;
  e->weight_bytes = e->gradient_bytes = e->params * es;
  if (ml_gemm_is_bf16(c->kind)) /* packed for both directions */
    e->weight_bytes += 2 * e->matmul_params * ml_config_activation_size(c);
  e->moment_bytes = 2 * e->params * es;
  /* the plan, and the residual stream between the blocks: L + 1 outputs, two gradients */
  e->activation_bytes = (int64_t)ml_plan_bytes(c, N, rows, true);
  e->activation_bytes += (c->layers + 3) * N * c->dim * es;
  e->cache_bytes = 2 * c->layers * c->kv_heads * c->head_dim * ml_config_activation_size(c);
  return ML_OK;
}
