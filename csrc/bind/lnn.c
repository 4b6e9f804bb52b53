/* lnn.c -- core.nn: moonlit.Model, moonlit.Forward (one forward over a batch, or over a cache's
** sequences), moonlit.Cache. The face people use is lua/moonlit/nn/model.lua. */
#include "bind/laux.h"
#include "nn/nn.h"

#include <string.h>

#define MODEL "moonlit.CoreModel"
#define FORWARD "moonlit.Forward"
#define CACHE "moonlit.Cache"

static void free_model(void *p) { ml_model_free(p); }
static void free_plan(void *p) { ml_plan_free(p); }
static void free_cache(void *p) { ml_cache_free(p); }

/* ---- configuration ---- */

static int choice(lua_State *L, int arg, const char *key, const char *const *names) {
  const char *s = lml_optfield_string(L, arg, key, names[0]);
  for (int i = 0; names[i]; i++)
    if (strcmp(s, names[i]) == 0) return i;
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (int i = 0; names[i]; i++) {
    luaL_addstring(&b, i ? ", " : "");
    luaL_addstring(&b, names[i]);
  }
  luaL_pushresult(&b);
  return lml_error(L, "model: %s must be one of %s, got \"%s\"", key, lua_tostring(L, -1), s);
}

static int64_t window_size(lua_State *L) {
  int ok;
  int64_t n = lua_tointegerx(L, -1, &ok);
  const char *got = ok ? "" : lml_got(L, -1);
  if (!ok) lml_error(L, "model: window must be an integer or an array of them, got %s", got);
  return n;
}

/* window: 0 or absent = full attention, a number = every layer's, an array = a pattern */
static void read_window(lua_State *L, int arg, ml_config *c) {
  int type = lua_getfield(L, arg, "window");
  if (type == LUA_TTABLE) {
    lua_Unsigned n = lua_rawlen(L, -1);
    c->npattern = n > ML_MAX_PATTERN ? ML_MAX_PATTERN + 1 : (int)n;
    for (int i = 0; i < c->npattern && i < ML_MAX_PATTERN; i++) {
      lua_rawgeti(L, -1, i + 1);
      c->window[i] = window_size(L);
      lua_pop(L, 1);
    }
  } else if (type != LUA_TNIL) {
    c->npattern = 1;
    c->window[0] = window_size(L);
  }
  lua_pop(L, 1);
}

static void read_sizes(lua_State *L, int t, ml_config *c) {
  c->layers = lml_optfield_integer(L, t, "layers", 0);
  c->heads = lml_optfield_integer(L, t, "heads", 0);
  c->kv_heads = lml_optfield_integer(L, t, "kv_heads", c->heads);
  c->dim = lml_optfield_integer(L, t, "dim", 0);
  c->head_dim = lml_optfield_integer(L, t, "head_dim", c->heads > 0 ? c->dim / c->heads : 0);
  c->hidden = lml_optfield_integer(L, t, "hidden", c->dim < INT32_MAX ? 4 * c->dim : c->dim);
  c->vocab = lml_optfield_integer(L, t, "vocab", 0);
  c->context = lml_optfield_integer(L, t, "context", 0);
}

static void read_config(lua_State *L, int t, ml_config *c) {
  static const char *const dtypes[] = {"f32", "f64", "bf16", "bf16-amx", NULL};
  static const int kinds[] = {ML_F32, ML_F64, ML_GEMM_PAIRS, ML_GEMM_TILES};
  static const char *const names[] = {"llama", "gpt2", NULL};
  static const char *const norms[] = {"rms", "layer", NULL};
  static const char *const positions[] = {"rope", "learned", "none", NULL};
  static const char *const qk[] = {"none", "plain", "gain", NULL};
  static const char *const acts[] = {"swiglu", "gelu", "gelu_tanh", "relu2", NULL};
  static const char *const inits[] = {"normal", "gpt2", "speedrun", NULL};
  lml_checktype(L, t, LUA_TTABLE);
  memset(c, 0, sizeof *c);
  read_sizes(L, t, c);
  int dtype = choice(L, t, "dtype", dtypes);
  c->kind = kinds[dtype], c->dtype = dtype == 1 ? ML_F64 : ML_F32;
  c->names = choice(L, t, "names", names);
  c->norm = choice(L, t, "norm", norms);
  c->norm_gain = lml_optfield_boolean(L, t, "norm_gain", true);
  c->norm_bias = lml_optfield_boolean(L, t, "norm_bias", false);
  c->eps = lml_optfield_number(L, t, "eps", 1e-6);
  c->positions = choice(L, t, "positions", positions);
  c->theta = lml_optfield_number(L, t, "theta", 10000);
  c->qk_norm = choice(L, t, "qk_norm", qk);
  c->qk_scale = lml_optfield_number(L, t, "qk_scale", 1);
  c->activation = choice(L, t, "activation", acts);
  c->attn_bias = lml_optfield_boolean(L, t, "attn_bias", false);
  c->out_bias = lml_optfield_boolean(L, t, "out_bias", false);
  c->mlp_bias = lml_optfield_boolean(L, t, "mlp_bias", false);
  c->tied = lml_optfield_boolean(L, t, "tied", false);
  c->embed_norm = lml_optfield_boolean(L, t, "embed_norm", false);
  c->recompute = lml_optfield_boolean(L, t, "recompute", false);
  c->softcap = lml_optfield_number(L, t, "softcap", 0);
  c->dropout = lml_optfield_number(L, t, "dropout", 0);
  c->head = lml_optfield_integer(L, t, "head", 0);
  c->init = choice(L, t, "init", inits);
  read_window(L, t, c);
}

/* ---- model ---- */

/* model(config [, seed]) */
static int nn_model(lua_State *L) {
  ml_config c;
  read_config(L, 1, &c);
  uint64_t seed = lua_isnoneornil(L, 2) ? lml_rng(L)->seed : (uint64_t)lml_checkinteger(L, 2);
  void **box = lml_newbox(L, MODEL);
  ml_model *m = NULL;
  int st = ml_model_new(&m, &c, seed);
  *box = m;
  lml_check(L, st, 0);
  lml_report_bytes(L);
  return 1;
}

/* what the Lua twin of the block calls a layer's parameters */
static const char *const roles[] = {
  "norm1", "norm1_bias", "q", "k", "v", "q_bias", "k_bias", "v_bias", "q_norm", "k_norm", "o",
  "o_bias", "norm2", "norm2_bias", "gate", "up", "gate_bias", "up_bias", "down", "down_bias",
  "embedding", "positions", "norm", "norm_bias", "head", "score"};

/* parameters(self) -> list of { name =, tensor =, role =, layer = 1-based or nil }, in order */
static int model_parameters(lua_State *L) {
  ml_model *m = lml_checkbox(L, 1, MODEL);
  int n = ml_model_count(m);
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    const ml_param_spec *s = ml_model_spec(m, i);
    lua_createtable(L, 0, 4);
    lua_pushstring(L, s->name), lua_setfield(L, -2, "name");
    lua_pushstring(L, roles[s->role]), lua_setfield(L, -2, "role");
    lml_pushtensor(L, ml_tensor_ref(ml_model_param(m, i))), lua_setfield(L, -2, "tensor");
    if (s->layer >= 0) lua_pushinteger(L, s->layer + 1), lua_setfield(L, -2, "layer");
    lua_seti(L, -2, i + 1);
  }
  return 1;
}

/* estimate(config, rows, length) -> table of numbers */
static int nn_estimate(lua_State *L) {
  ml_config c;
  ml_estimate e;
  read_config(L, 1, &c);
  lml_check(L, ml_config_estimate(&c, lml_checkinteger(L, 2), lml_checkinteger(L, 3), &e), 0);
  const struct { const char *key; int64_t v; } whole[] = {
    {"params", e.params}, {"matmul_params", e.matmul_params}, {"weights", e.weight_bytes},
    {"gradients", e.gradient_bytes}, {"moments", e.moment_bytes},
    {"activations", e.activation_bytes}, {"cache", e.cache_bytes}};
  lua_createtable(L, 0, 9);
  for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
    lua_pushinteger(L, whole[i].v), lua_setfield(L, -2, whole[i].key);
  lua_pushnumber(L, e.flops_forward), lua_setfield(L, -2, "forward");
  lua_pushnumber(L, e.flops_train), lua_setfield(L, -2, "train");
  return 1;
}

/* ---- forward ---- */

/* Forwards whose loss was dropped wait for the collector, which cannot see how much they hold:
** with two of them alive it is time to look. A stopped collector stays stopped. */
static void make_room(lua_State *L) {
  if (ml_plans_live() >= 2 && lua_gc(L, LUA_GCISRUNNING) == 1) lua_gc(L, LUA_GCCOLLECT);
}

static ml_tensor *optional_tensor(lua_State *L, int arg) {
  return lua_isnoneornil(L, arg) ? NULL : lml_checktensor(L, arg);
}

/* the state's random numbers, and a number for "since the last seed or rekey" */
static const ml_rng *current_rng(lua_State *L) {
  static _Atomic uint64_t epochs;
  ml_rng *rng = lml_rng(L);
  if (rng->epoch == 0) rng->epoch = ++epochs;
  return rng;
}

/* forward(model, ids, doc, mask, targets, fused) */
static int nn_forward(lua_State *L) {
  ml_model *m = lml_checkbox(L, 1, MODEL);
  const ml_rng *rng = current_rng(L);
  ml_batch b = {.ids = lml_checktensor(L, 2), .doc = optional_tensor(L, 3),
                .mask = optional_tensor(L, 4), .targets = lua_toboolean(L, 5),
                .fused = lua_toboolean(L, 6), .seed = rng->seed, .step = rng->step,
                .epoch = rng->epoch};
  make_room(L);
  void **box = lml_newbox(L, FORWARD);
  ml_plan *p = NULL;
  int st = ml_forward_batch(&p, m, &b);
  *box = p;
  return lml_check(L, st, 1);
}

static int64_t item_at(lua_State *L, int table, int64_t i) {
  int ok;
  lua_geti(L, table, i);
  int64_t v = lua_tointegerx(L, -1, &ok);
  if (!ok) lml_error(L, "decode: ids and slots must be integers, got %s", luaL_typename(L, -1));
  lua_pop(L, 1);
  return v;
}

/* pushes sequence i's ids and returns how many */
static int64_t push_ids(lua_State *L, int list, int64_t i) {
  if (lua_geti(L, list, i) != LUA_TTABLE || lua_getfield(L, -1, "ids") != LUA_TTABLE)
    lml_error(L, "decode: sequence %I must be { slot =, ids = {...} }", (lua_Integer)i);
  lua_remove(L, -2);
  return (int64_t)lua_rawlen(L, -1);
}

static int64_t slot_at(lua_State *L, int list, int64_t i) {
  int ok;
  lua_geti(L, list, i);
  lua_getfield(L, -1, "slot");
  int64_t slot = lua_tointegerx(L, -1, &ok);
  if (!ok) lml_error(L, "decode: sequence %I has no slot", (lua_Integer)i);
  lua_pop(L, 2);
  return slot - 1;
}

/* decode(model, cache, { { slot =, ids = {...} }, ... }) */
static int nn_decode(lua_State *L) {
  ml_model *m = lml_checkbox(L, 1, MODEL);
  ml_cache *c = lml_checkbox(L, 2, CACHE);
  lml_checktype(L, 3, LUA_TTABLE);
  lua_settop(L, 3);
  int64_t n = (int64_t)lua_rawlen(L, 3), total = 0;
  for (int64_t i = 1; i <= n; i++) {
    total += push_ids(L, 3, i);
    lua_pop(L, 1);
  }
  /* Lua's own memory: freed by the collector whatever is raised below */
  int64_t *slot = lua_newuserdatauv(L, sizeof *slot * (size_t)(2 * n + total + 1), 0);
  int64_t *len = slot + n, *ids = len + n, at = 0;
  for (int64_t i = 0; i < n; i++) {
    slot[i] = slot_at(L, 3, i + 1);
    len[i] = push_ids(L, 3, i + 1);
    for (int64_t t = 1; t <= len[i] && at < total; t++) ids[at++] = item_at(L, 5, t);
    lua_pop(L, 1);
  }
  void **box = lml_newbox(L, FORWARD);
  ml_plan *p = NULL;
  int st = ml_forward_cached(&p, m, c, n, slot, len, ids);
  *box = p;
  return lml_check(L, st, 1);
}

static int result(lua_State *L, int st, int nresults) {
  lml_check(L, st, 0);
  lml_report_bytes(L);
  return nresults;
}

static int forward_embed(lua_State *L) {
  ml_plan *p = lml_checkbox(L, 1, FORWARD);
  return result(L, ml_embed(lml_newtensor(L), p), 1);
}

/* blocks(self, first, last, x): 1-based, inclusive */
static int forward_blocks(lua_State *L) {
  ml_plan *p = lml_checkbox(L, 1, FORWARD);
  int64_t first = lml_checkinteger(L, 2), last = lml_checkinteger(L, 3);
  lml_argcheck(L, first >= 1 && first <= INT32_MAX, 2, "a block, counted from 1");
  lml_argcheck(L, last >= 1 && last <= INT32_MAX, 3, "a block, counted from 1");
  ml_tensor *x = lml_checktensor(L, 4);
  return result(L, ml_blocks(lml_newtensor(L), p, (int)first - 1, (int)last - 1, x), 1);
}

/* logprobs(self, x, temperature, entropy) */
static int forward_logprobs(lua_State *L) {
  ml_plan *p = lml_checkbox(L, 1, FORWARD);
  ml_tensor *x = lml_checktensor(L, 2);
  double t = lml_optnumber(L, 3, 1);
  bool entropy = lua_toboolean(L, 4);
  return result(L, ml_head_logprobs(lml_newtensor(L), p, x, t, entropy), 1);
}

/* kl(self, x, teacher, its x, kind, beta, temperature) */
static int forward_kl(lua_State *L) {
  static const char *const kinds[] = {"forward", "reverse", "js", NULL};
  ml_plan *p = lml_checkbox(L, 1, FORWARD), *q = lml_checkbox(L, 3, FORWARD);
  ml_tensor *x = lml_checktensor(L, 2), *tx = lml_checktensor(L, 4);
  ml_divergence how = {.beta = lml_optnumber(L, 6, 0.5), .temperature = lml_optnumber(L, 7, 1)};
  const char *kind = lml_checkstring(L, 5, NULL);
  while (kinds[how.kind] && strcmp(kinds[how.kind], kind) != 0) how.kind++;
  if (!kinds[how.kind])
    return lml_error(L, "kl: kind must be forward, reverse or js, got \"%s\"", kind);
  return result(L, ml_head_kl(lml_newtensor(L), p, x, q, tx, &how), 1);
}

/* loss(self, x, mean) -> tensor, sum of weights */
static int forward_loss(lua_State *L) {
  ml_plan *p = lml_checkbox(L, 1, FORWARD);
  ml_tensor *x = lml_checktensor(L, 2);
  double count = 0;
  int st = ml_head_loss(lml_newtensor(L), &count, p, x, lua_toboolean(L, 3));
  lua_pushnumber(L, count);
  return result(L, st, 2);
}

static int forward_hidden(lua_State *L) {
  ml_plan *p = lml_checkbox(L, 1, FORWARD);
  ml_tensor *x = lml_checktensor(L, 2);
  return result(L, ml_head_hidden(lml_newtensor(L), p, x), 1);
}

static int forward_logits(lua_State *L) {
  ml_plan *p = lml_checkbox(L, 1, FORWARD);
  ml_tensor *x = lml_checktensor(L, 2);
  return result(L, ml_head_logits(lml_newtensor(L), p, x), 1);
}

static int forward_next(lua_State *L) {
  ml_plan *p = lml_checkbox(L, 1, FORWARD);
  ml_tensor *x = lml_checktensor(L, 2);
  return result(L, ml_head_next(lml_newtensor(L), p, x), 1);
}

static int forward_positions(lua_State *L) {
  ml_plan *p = lml_checkbox(L, 1, FORWARD);
  return lml_check(L, ml_plan_positions(lml_newtensor(L), p), 1);
}

/* ---- cache: slots count from 1 ---- */

/* cache(model, slots, capacity) */
static int nn_cache(lua_State *L) {
  ml_model *m = lml_checkbox(L, 1, MODEL);
  int64_t slots = lml_checkinteger(L, 2), capacity = lml_checkinteger(L, 3);
  void **box = lml_newbox(L, CACHE);
  ml_cache *c = NULL;
  int st = ml_cache_new(&c, m, slots, capacity);
  *box = c;
  return lml_check(L, st, 1);
}

static int cache_length(lua_State *L) {
  ml_cache *c = lml_checkbox(L, 1, CACHE);
  int64_t slot = lml_checkinteger(L, 2);
  lml_argcheck(L, slot >= 1 && slot <= ml_cache_slots(c), 2, "one of the cache's slots");
  lua_pushinteger(L, ml_cache_length(c, slot - 1));
  return 1;
}

static int64_t slot_arg(lua_State *L, int arg) {
  int64_t slot = lml_checkinteger(L, arg);
  lml_argcheck(L, slot >= 1, arg, "a slot, counted from 1");
  return slot - 1;
}

/* truncate(self, slot [, length = 0]) */
static int cache_truncate(lua_State *L) {
  ml_cache *c = lml_checkbox(L, 1, CACHE);
  return lml_check(L, ml_cache_truncate(c, slot_arg(L, 2), lml_optinteger(L, 3, 0)), 0);
}

/* copy(self, from, to) */
static int cache_copy(lua_State *L) {
  ml_cache *c = lml_checkbox(L, 1, CACHE);
  return lml_check(L, ml_cache_copy(c, slot_arg(L, 2), slot_arg(L, 3)), 0);
}

static int cache_slots(lua_State *L) {
  lua_pushinteger(L, ml_cache_slots(lml_checkbox(L, 1, CACHE)));
  return 1;
}

static int cache_capacity(lua_State *L) {
  lua_pushinteger(L, ml_cache_capacity(lml_checkbox(L, 1, CACHE)));
  return 1;
}

/* plans() -> forwards alive in the process */
static int nn_plans(lua_State *L) {
  lua_pushinteger(L, ml_plans_live());
  return 1;
}

/* ---- registration ---- */

static const luaL_Reg model_methods[] = {{"parameters", model_parameters}, {NULL, NULL}};
static const luaL_Reg forward_methods[] = {
  {"embed", forward_embed}, {"blocks", forward_blocks}, {"logprobs", forward_logprobs},
  {"kl", forward_kl}, {"loss", forward_loss}, {"hidden", forward_hidden},
  {"logits", forward_logits}, {"next", forward_next},
  {"positions", forward_positions}, {NULL, NULL}};
static const luaL_Reg cache_methods[] = {
  {"length", cache_length}, {"truncate", cache_truncate}, {"copy", cache_copy},
  {"slots", cache_slots}, {"capacity", cache_capacity}, {NULL, NULL}};
static const luaL_Reg functions[] = {
  {"model", nn_model}, {"estimate", nn_estimate}, {"forward", nn_forward},
  {"decode", nn_decode}, {"cache", nn_cache}, {"plans", nn_plans}, {NULL, NULL}};

void lml_open_nn(lua_State *L) {
  lml_newtype(L, MODEL, model_methods, free_model);
  lml_newtype(L, FORWARD, forward_methods, free_plan);
  lml_newtype(L, CACHE, cache_methods, free_cache);
  luaL_newlib(L, functions);
  lua_setfield(L, -2, "nn");
}
