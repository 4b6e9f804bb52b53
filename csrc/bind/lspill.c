/* lspill.c -- core.data.spill and core.data.groups: what does not fit into memory (spill.h). */
#include "bind/laux.h"
#include "data/spill.h"

#include <string.h>

#define SPILL "moonlit.Spill"
#define GROUPS "moonlit.Groups"

static void free_spill(void *p) { ml_spill_free(p); }
static void free_groups(void *p) { ml_groups_free(p); }

/* spill(dir) */
static int data_spill(lua_State *L) {
  const char *dir = lml_checkstring(L, 1, NULL);
  void **box = lml_newbox(L, SPILL);
  ml_spill *s = NULL;
  int st = ml_spill_new(&s, dir);
  *box = s;
  return lml_result(L, st, 1);
}

/* put(self, bytes) -> where they are */
static int spill_put(lua_State *L) {
  ml_spill *s = lml_checkbox(L, 1, SPILL);
  size_t n;
  const char *p = lml_checkstring(L, 2, &n);
  int64_t at = 0;
  int st = ml_spill_put(s, p, n, &at);
  lua_pushinteger(L, at);
  return lml_result(L, st, 1);
}

/* get(self, at, bytes) -> the bytes */
static int spill_get(lua_State *L) {
  ml_spill *s = lml_checkbox(L, 1, SPILL);
  int64_t at = lml_checkinteger(L, 2), n = lml_checkinteger(L, 3);
  luaL_Buffer b;
  lml_argcheck(L, n >= 0 && n <= ml_spill_size(s), 3, "bytes, no more than there are");
  char *to = luaL_buffinitsize(L, &b, (size_t)n);
  int st = ml_spill_get(s, at, to, (size_t)n);
  luaL_pushresultsize(&b, st == ML_OK ? (size_t)n : 0);
  return lml_result(L, st, 1);
}

/* groups(dir) */
static int data_groups(lua_State *L) {
  const char *dir = lml_checkstring(L, 1, NULL);
  void **box = lml_newbox(L, GROUPS);
  ml_groups *g = NULL;
  int st = ml_groups_new(&g, dir);
  *box = g;
  return lml_result(L, st, 1);
}

/* add(self, value, keys): the value under each of the keys, 8 bytes each */
static int groups_add(lua_State *L) {
  ml_groups *g = lml_checkbox(L, 1, GROUPS);
  int64_t value = lml_checkinteger(L, 2);
  size_t n;
  const char *keys = lml_checkstring(L, 3, &n);
  lml_argcheck(L, n % 8 == 0, 3, "keys of 8 bytes each");
  int st = ML_OK;
  for (size_t i = 0; i < n && st == ML_OK; i += 8) {
    uint64_t key;
    memcpy(&key, keys + i, sizeof key);
    st = ml_groups_add(g, key, value);
  }
  lua_pushboolean(L, 1);
  return lml_result(L, st, 1);
}

/* next(self) -> values, their key; nil after the last */
static int groups_next(lua_State *L) {
  ml_groups *g = lml_checkbox(L, 1, GROUPS);
  uint64_t key = 0;
  const int64_t *values = NULL;
  int64_t n = 0;
  int st = ml_groups_next(g, &key, &values, &n);
  if (st != ML_OK) return lml_result(L, st, 0);
  if (n == 0) return lua_pushnil(L), 1;
  lua_createtable(L, n < 1 << 20 ? (int)n : 1 << 20, 0);
  for (int64_t i = 0; i < n; i++) {
    lua_pushinteger(L, values[i]);
    lua_rawseti(L, -2, i + 1);
  }
  lua_pushinteger(L, (lua_Integer)key);
  return 2;
}

void lml_open_spill(lua_State *L) {
  static const luaL_Reg spill[] = {{"put", spill_put}, {"get", spill_get}, {NULL, NULL}};
  static const luaL_Reg groups[] = {{"add", groups_add}, {"next", groups_next}, {NULL, NULL}};
  static const luaL_Reg functions[] = {
    {"spill", data_spill}, {"groups", data_groups}, {NULL, NULL}};
  lml_newtype(L, SPILL, spill, free_spill);
  lml_newtype(L, GROUPS, groups, free_groups);
  lua_getfield(L, -1, "data");
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
