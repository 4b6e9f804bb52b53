/* ltext_spec.c -- a tokenizer as a table, see core.text.bpe in lua/moonlit/meta/text.lua. */
#include "bind/ltext.h"

#include <string.h>

ml_bytes lml_checkbytes(lua_State *L, int arg) {
  ml_bytes s;
  s.p = (const uint8_t *)lml_checkstring(L, arg, &s.n);
  return s;
}

void *lml_textblock(lua_State *L, int64_t n, size_t size) {
  void **box = lml_newbox(L, LML_TEXT_BLOCK);
  *box = ml_alloc0((size_t)(n + 1) * size);
  if (!*box) lml_check(L, ML_ENOMEM, 0);
  return *box;
}

ml_bytes *lml_checktexts(lua_State *L, int arg, int64_t *n) {
  lml_checktype(L, arg, LUA_TTABLE);
  *n = (int64_t)lua_rawlen(L, arg);
  ml_bytes *texts = lml_textblock(L, *n, sizeof *texts);
  for (int64_t i = 0; i < *n; i++) {
    if (lua_rawgeti(L, arg, i + 1) != LUA_TSTRING)
      lml_error(L, "text %I must be a string, got %s", (LUAI_UACINT)i + 1, lml_got(L, -1));
    texts[i].p = (const uint8_t *)lua_tolstring(L, -1, &texts[i].n);
    lua_pop(L, 1);
  }
  return texts;
}

/* ---- fields of the table at `at`, which stays where it is ---- */

static bool flag(lua_State *L, int at, const char *name) {
  lua_getfield(L, at, name);
  bool set = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return set;
}

/* a list's place on the stack, 0 if there is none; it is pushed either way */
static int list(lua_State *L, int at, const char *name) {
  if (lua_getfield(L, at, name) == LUA_TNIL) return 0;
  if (!lua_istable(L, -1)) lml_error(L, "%s must be a list, got %s", name, lml_got(L, -1));
  return lua_gettop(L);
}

static ml_bytes string(lua_State *L, int at, const char *name) {
  ml_bytes s = {(const uint8_t *)"", 0};
  if (lua_getfield(L, at, name) == LUA_TSTRING)
    s.p = (const uint8_t *)lua_tolstring(L, -1, &s.n); /* it stays in the table */
  lua_pop(L, 1);
  return s;
}

static int64_t number(lua_State *L, int at, int64_t i, const char *what, int64_t def) {
  int is_integer = 1;
  lua_Integer v = lua_rawgeti(L, at, i + 1) == LUA_TNIL ? def : lua_tointegerx(L, -1, &is_integer);
  if (!is_integer || v < -1 || v > INT32_MAX)
    lml_error(L, "%s %I: expected an id, got %s", what, (LUAI_UACINT)i + 1, lml_got(L, -1));
  lua_pop(L, 1);
  return v;
}

static int32_t *ids(lua_State *L, int at, int64_t n, const char *what) {
  int32_t *v = lml_textblock(L, n, sizeof *v);
  for (int64_t i = 0; i < n; i++) v[i] = (int32_t)number(L, at, i, what, -1);
  return v;
}

/* small numbers of some of the tokens, 0 of the others */
static uint8_t *marks(lua_State *L, const char *name, int64_t n) {
  int at = list(L, 1, name);
  uint8_t *v = lml_textblock(L, n, 1);
  for (int64_t i = 0; at && i < n; i++) v[i] = (uint8_t)number(L, at, i, name, 0);
  return v;
}

static ml_bytes *shown(lua_State *L, int64_t n) {
  int at = list(L, 1, "shown");
  ml_bytes *v = lml_textblock(L, n, sizeof *v);
  for (int64_t i = 0; at && i < n; i++) {
    if (lua_rawgeti(L, at, i + 1) == LUA_TSTRING)
      v[i].p = (const uint8_t *)lua_tolstring(L, -1, &v[i].n);
    lua_pop(L, 1);
  }
  return v;
}

/* ---- steps ---- */

static int option(lua_State *L, int at, const char *name, const char *const *names) {
  lua_getfield(L, at, name);
  const char *s = lua_tostring(L, -1);
  for (int i = 0; s && names[i]; i++)
    if (strcmp(s, names[i]) == 0) {
      lua_pop(L, 1);
      return i;
    }
  return lml_error(L, "%s of a step: %s is none", name, lml_got(L, -1));
}

static ml_step step_at(lua_State *L, int at) {
  static const char *const kinds[] = {"form", "prepend", "replace", "cut", NULL};
  static const char *const hows[][6] = {
      {"NFC", "NFD", "NFKC", "NFKD", NULL},
      {"always", "unless", "first", NULL},
      {"all", NULL},
      {"isolated", "removed", "previous", "next", "contiguous", NULL}};
  ml_step s = {.kind = option(L, at, "kind", kinds)};
  s.how = option(L, at, "how", hows[s.kind]);
  s.invert = flag(L, at, "invert"), s.linear = flag(L, at, "linear");
  s.pattern = string(L, at, "pattern"), s.with = string(L, at, "with");
  return s;
}

static ml_step *steps(lua_State *L, const char *name, int64_t *n) {
  int at = list(L, 1, name);
  *n = at ? (int64_t)lua_rawlen(L, at) : 0;
  ml_step *v = lml_textblock(L, *n, sizeof *v);
  for (int64_t i = 0; i < *n; i++) {
    if (lua_rawgeti(L, at, i + 1) != LUA_TTABLE)
      lml_error(L, "%s: step %I must be a table, got %s", name, (LUAI_UACINT)i + 1, lml_got(L, -1));
    v[i] = step_at(L, lua_gettop(L));
    lua_pop(L, 1);
  }
  return v;
}

void lml_checkspec(lua_State *L, ml_bpe_spec *spec) {
  lml_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  luaL_checkstack(L, 40, "a tokenizer");
  int at = list(L, 1, "tokens");
  if (!at) lml_error(L, "tokens must be a list, got nothing");
  spec->tokens = lml_checktexts(L, at, &spec->count);
  if (spec->count > INT32_MAX / 2) lml_error(L, "too many tokens");
  spec->shown = shown(L, spec->count);
  spec->kinds = marks(L, "kinds", spec->count);
  spec->flags = marks(L, "flags", spec->count);
  spec->normal = (const bool *)marks(L, "normal", spec->count);
  at = list(L, 1, "merges");
  spec->by_rank = !at;
  spec->merge_count = at ? (int64_t)lua_rawlen(L, at) / 2 : 0;
  if (at) spec->merges = ids(L, at, 2 * spec->merge_count, "number in merges");
  spec->ignore_merges = flag(L, 1, "ignore_merges");
  spec->chars = flag(L, 1, "chars");
  spec->fuse = flag(L, 1, "fuse");
  at = list(L, 1, "fallback");
  if (at) spec->fallback = ids(L, at, 256, "number in fallback");
  lua_getfield(L, 1, "unknown");
  spec->unknown = lua_isinteger(L, -1) ? (int32_t)lua_tointeger(L, -1) : -1;
  spec->rewrite = steps(L, "rewrite", &spec->rewrites);
  spec->cut = steps(L, "cut", &spec->cuts);
}
