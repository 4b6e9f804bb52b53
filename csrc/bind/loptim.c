/* loptim.c -- moonlit.Optimizer: groups, step, discard, state. The Lua face (option names,
** schedules) is lua/moonlit/optim. Also core.math: the bit-stable scalar functions. */
#include "bind/laux.h"
#include "optim/optim.h"

#include <math.h>
#include <string.h>

#define OPTIM "moonlit.Optimizer"

static void release(void *p) { ml_optim_free(p); }

static int optim_new(lua_State *L) {
  void **box = lml_newbox(L, OPTIM);
  ml_optim *o = NULL;
  int st = ml_optim_new(&o);
  *box = o;
  return lml_check(L, st, 1);
}

static int one_of(lua_State *L, int arg, const char *key, const char *const *names) {
  const char *s = lml_optfield_string(L, arg, key, names[0]);
  for (int i = 0; names[i]; i++)
    if (strcmp(s, names[i]) == 0) return i;
  return lml_error(L, "optim: %s must be \"%s\"%s, got \"%s\"", key, names[0],
                   names[1] ? lua_pushfstring(L, " or \"%s\"", names[1]) : "", s);
}

static ml_group read_group(lua_State *L, int arg) {
  static const char *const kinds[] = {"adamw", "muon", "sgd", NULL};
  static const char *const scales[] = {"original", "match_rms", NULL};
  return (ml_group){
    .kind = one_of(L, arg, "kind", kinds),
    .lr = lml_optfield_number(L, arg, "lr", 1e-3),
    .weight_decay = lml_optfield_number(L, arg, "weight_decay", 0),
    .beta1 = lml_optfield_number(L, arg, "beta1", 0.9),
    .beta2 = lml_optfield_number(L, arg, "beta2", 0.999),
    .eps = lml_optfield_number(L, arg, "eps", 1e-8),
    .momentum = lml_optfield_number(L, arg, "momentum", 0),
    .nesterov = lml_optfield_boolean(L, arg, "nesterov", false),
    .scale = one_of(L, arg, "scale", scales),
    .iterations = (int)lml_optfield_integer(L, arg, "iterations", 5),
  };
}

/* group(self, options, tensors, splits) */
static int optim_group(lua_State *L) {
  ml_optim *o = lml_checkbox(L, 1, OPTIM);
  lml_checktype(L, 2, LUA_TTABLE);
  lml_checktype(L, 3, LUA_TTABLE);
  lml_checktype(L, 4, LUA_TTABLE);
  ml_group g = read_group(L, 2);
  int n = (int)luaL_len(L, 3);
  lml_argcheck(L, n > 0, 3, "an array of at least one parameter");
  ml_tensor **p = lua_newuserdatauv(L, sizeof *p * (size_t)n, 0); /* freed by the collector */
  int *split = lua_newuserdatauv(L, sizeof *split * (size_t)n, 0);
  for (int i = 0; i < n; i++) {
    lua_geti(L, 3, i + 1);
    p[i] = lml_totensor(L, -1);
    if (p[i] == NULL)
      lml_error(L, "optim: parameter %d must be a tensor, got %s", i + 1, lml_got(L, -1));
    lua_geti(L, 4, i + 1);
    split[i] = lua_isnil(L, -1) ? 1 : (int)lua_tointeger(L, -1);
    lua_pop(L, 2);
    lml_argcheck(L, split[i] > 0, 4, "an array of positive integers");
  }
  int st = ml_optim_group(o, &g, n, p, split);
  lml_report_bytes(L);
  return lml_check(L, st, 0);
}

/* step(self, { lr, lr_scale, clip, scale, momentum }) -> gradient norm */
static int optim_step(lua_State *L) {
  static const char *const known[] = {"lr", "lr_scale", "clip", "scale", "momentum", NULL};
  ml_optim *o = lml_checkbox(L, 1, OPTIM);
  lml_checkoptions(L, 2, "step", known);
  ml_step s = {
    .lr = lml_optfield_number(L, 2, "lr", NAN),
    .lr_scale = lml_optfield_number(L, 2, "lr_scale", 1),
    .clip = lml_optfield_number(L, 2, "clip", 0),
    .scale = lml_optfield_number(L, 2, "scale", 1),
    .momentum = lml_optfield_number(L, 2, "momentum", NAN),
  };
  double norm = 0;
  lml_check(L, ml_optim_step(o, &s, &norm), 0);
  lua_pushnumber(L, norm);
  return 1;
}

static int optim_discard(lua_State *L) {
  ml_optim_discard(lml_checkbox(L, 1, OPTIM));
  return 0;
}

/* at(self, i) -> m, v or nil, steps, group: the state of parameter i */
static int optim_at(lua_State *L) {
  ml_optim *o = lml_checkbox(L, 1, OPTIM);
  lua_Integer i = lml_checkinteger(L, 2);
  lml_argcheck(L, i >= 1 && i <= ml_optim_count(o), 2, "the number of a parameter");
  ml_optim_param *p = ml_optim_at(o, (int)i - 1);
  lml_pushtensor(L, ml_tensor_ref(p->m));
  if (p->v) lml_pushtensor(L, ml_tensor_ref(p->v));
  else lua_pushnil(L);
  lua_pushinteger(L, p->steps);
  lua_pushinteger(L, p->group + 1);
  return 4;
}

static int optim_set_steps(lua_State *L) {
  ml_optim *o = lml_checkbox(L, 1, OPTIM);
  lua_Integer i = lml_checkinteger(L, 2), steps = lml_checkinteger(L, 3);
  lml_argcheck(L, i >= 1 && i <= ml_optim_count(o), 2, "the number of a parameter");
  lml_argcheck(L, steps >= 0, 3, "an integer from 0");
  ml_optim_at(o, (int)i - 1)->steps = steps;
  return 0;
}

static int optim_count(lua_State *L) {
  lua_pushinteger(L, ml_optim_count(lml_checkbox(L, 1, OPTIM)));
  return 1;
}

/* ---- core.math ---- */

static int det_exp(lua_State *L) { return lua_pushnumber(L, ml_exp(lml_checknumber(L, 1))), 1; }
static int det_log(lua_State *L) { return lua_pushnumber(L, ml_log(lml_checknumber(L, 1))), 1; }
static int det_sin(lua_State *L) { return lua_pushnumber(L, ml_sin(lml_checknumber(L, 1))), 1; }
static int det_cos(lua_State *L) { return lua_pushnumber(L, ml_cos(lml_checknumber(L, 1))), 1; }
static int det_pow(lua_State *L) {
  lua_Number x = lml_checknumber(L, 1);
  lml_argcheck(L, x > 0, 1, "positive");
  return lua_pushnumber(L, ml_pow(x, lml_checknumber(L, 2))), 1;
}

void lml_open_optim(lua_State *L) {
  static const luaL_Reg methods[] = {
    {"group", optim_group}, {"step", optim_step}, {"discard", optim_discard},
    {"at", optim_at}, {"set_steps", optim_set_steps}, {"count", optim_count}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"new", optim_new}, {NULL, NULL}};
  static const luaL_Reg scalars[] = {{"exp", det_exp}, {"log", det_log}, {"sin", det_sin},
                                     {"cos", det_cos}, {"pow", det_pow}, {NULL, NULL}};
  lml_newtype(L, OPTIM, methods, release);
  luaL_newlib(L, functions);
  lua_setfield(L, -2, "optim");
  luaL_newlib(L, scalars);
  lua_setfield(L, -2, "math");
}
