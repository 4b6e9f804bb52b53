/* lsample.c -- core.sample(logits, options, prompt, sample, position) -> ids, log-probabilities.
** logits (rows, V); the three lists say who each draw belongs to. The logits are not changed. */
#include "bind/laux.h"
#include "ops/sample.h"

static int64_t item(lua_State *L, int arg, int64_t i) {
  lua_geti(L, arg, i + 1);
  int ok;
  int64_t v = lua_tointegerx(L, -1, &ok);
  if (!ok) lml_error(L, "sample: argument %d must hold integers, got %s", arg, lml_got(L, -1));
  lua_pop(L, 1);
  return v;
}

static ml_sampling read_options(lua_State *L, int arg) {
  static const char *const known[] = {"temperature", "top_k", "top_p", "min_p", "seed", "rollout",
                                      NULL};
  lml_checkoptions(L, arg, "sample", known);
  ml_sampling how = {lml_optfield_number(L, arg, "temperature", 1),
                     lml_optfield_integer(L, arg, "top_k", 0),
                     lml_optfield_number(L, arg, "top_p", 1),
                     lml_optfield_number(L, arg, "min_p", 0)};
  if (!(how.temperature >= 0)) lml_error(L, "sample: temperature must be 0 or more, got %f",
                                           how.temperature);
  if (how.top_k < 0) lml_error(L, "sample: top_k must be 0 (all) or more, got %I",
                                (LUAI_UACINT)how.top_k);
  if (!(how.top_p > 0 && how.top_p <= 1)) 
    lml_error(L, "sample: top_p must be in (0, 1], got %f", how.top_p);
  if (!(how.min_p >= 0 && how.min_p < 1)) 
    lml_error(L, "sample: min_p must be in [0, 1), got %f", how.min_p);
  return how;
}

static int sample(lua_State *L) {
  ml_tensor *x = lml_checktensor(L, 1);
  if (x->ndim != 2 || !ml_is_real(x->dtype) || x->size[1] == 0)
    return lml_error(L, "sample: logits must be (rows, V), f32 or f64, got %s %s", ml_shape(x).s,
                     ml_dtype_name(x->dtype));
  ml_sampling how = read_options(L, 2);
  uint64_t seed = (uint64_t)lml_optfield_integer(L, 2, "seed", 0);
  uint32_t rollout = (uint32_t)lml_optfield_integer(L, 2, "rollout", 0);
  int64_t rows = x->size[0];
  for (int i = 3; i <= 5; i++) {
    lml_checktype(L, i, LUA_TTABLE);
    if (luaL_len(L, i) != rows)
      lml_error(L, "sample: argument %d must hold one integer a row, %I, got %I", i,
                (LUAI_UACINT)rows, (LUAI_UACINT)luaL_len(L, i));
  }
  ml_draw *draw = lua_newuserdatauv(L, sizeof *draw * (size_t)(rows + 1), 0);
  int64_t *ids = lua_newuserdatauv(L, sizeof *ids * (size_t)(rows + 1), 0);
  double *lp = lua_newuserdatauv(L, sizeof *lp * (size_t)(rows + 1), 0);
  for (int64_t i = 0; i < rows; i++)
    draw[i] = (ml_draw){item(L, 3, i), item(L, 4, i), item(L, 5, i)};
  ml_tensor **flat = lml_newtensor(L);
  lml_check(L, ml_contiguous(flat, x), 0);
  lml_check(L, ml_sample_rows(x->dtype, ml_data(*flat), rows, x->size[1], &how, seed, rollout, draw,
                              ids, lp), 0);
  lua_createtable(L, (int)rows, 0);
  lua_createtable(L, (int)rows, 0);
  for (int64_t i = 0; i < rows; i++) {
    lua_pushinteger(L, ids[i]);
    lua_seti(L, -3, i + 1);
    lua_pushnumber(L, x->dtype == ML_F64 ? lp[i] : (double)((float *)lp)[i]);
    lua_seti(L, -2, i + 1);
  }
  return 2;
}

void lml_open_sample(lua_State *L) {
  lua_pushcfunction(L, sample);
  lua_setfield(L, -2, "sample");
}
