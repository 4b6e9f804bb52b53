/* lckpt.c -- core.ckpt: lists of named tensors to and from files, and what a run directory needs
** besides: directories that appear whole, written in the background; hashes of files. */
#include "bind/laux.h"
#include "ckpt/ckpt.h"

#define BUNDLE "moonlit.Bundle"
#define SAVE "moonlit.Save"

static void release(void *p) { ml_bundle_free(p); }
static void release_save(void *p) { ml_save_free(p); }

/* pushes a box that owns an empty bundle: whatever raises later, the collector frees it */
static ml_bundle *new_bundle(lua_State *L) {
  void **box = lml_newbox(L, BUNDLE);
  ml_bundle *b = NULL;
  lml_check(L, ml_bundle_new(&b), 0);
  *box = b;
  return b;
}

/* pushes the list of { name =, tensor = } and the table of metadata */
static void push_bundle(lua_State *L, const ml_bundle *b) {
  lua_createtable(L, (int)b->count, 0);
  for (int64_t i = 0; i < b->count; i++) {
    lua_createtable(L, 0, 2);
    lua_pushstring(L, b->item[i].name);
    lua_setfield(L, -2, "name");
    lml_pushtensor(L, ml_tensor_ref(b->item[i].tensor));
    lua_setfield(L, -2, "tensor");
    lua_seti(L, -2, i + 1);
  }
  lua_createtable(L, 0, (int)b->nmeta);
  for (int64_t i = 0; i < b->nmeta; i++) {
    lua_pushstring(L, b->meta[i].value);
    lua_setfield(L, -2, b->meta[i].key);
  }
}

/* load(path) -> list of { name, tensor } in the file's order, metadata */
static int ckpt_load(lua_State *L) {
  const char *path = lml_checkstring(L, 1, NULL);
  void **box = lml_newbox(L, BUNDLE);
  ml_bundle *b = NULL;
  int st = ml_ckpt_load(&b, path);
  *box = b;
  if (st != ML_OK) return lml_result(L, st, 0);
  push_bundle(L, b);
  *box = NULL; /* the tensors live on in the list */
  ml_bundle_free(b);
  lml_report_bytes(L);
  return 2;
}

/* the name and tensor of list[i], left on the stack while they are used */
static void add_entry(lua_State *L, ml_bundle *b, int list, lua_Integer i) {
  if (lua_geti(L, list, i) != LUA_TTABLE)
    lml_error(L, "ckpt.save: entry %d must be { name =, tensor = }, got %s", (int)i,
               luaL_typename(L, -1));
  lua_getfield(L, -1, "name");
  lua_getfield(L, -2, "tensor");
  const char *name = lua_tostring(L, -2);
  ml_tensor *t = lml_totensor(L, -1);
  if (!name || !t)
    lml_error(L, "ckpt.save: entry %d (\"%s\") needs a name and a tensor, got %s and %s", (int)i,
               name ? name : "?", luaL_typename(L, -2), luaL_typename(L, -1));
  lml_check(L, ml_bundle_add(b, name, t), 0);
  lua_pop(L, 3);
}

/* metadata comes as a list of { key, value }, so that its order is the caller's */
static void add_metadata(lua_State *L, ml_bundle *b, int list) {
  for (lua_Integer i = 1; lua_geti(L, list, i) == LUA_TTABLE; i++) {
    lua_geti(L, -1, 1);
    lua_geti(L, -2, 2);
    const char *key = lua_tostring(L, -2), *value = lua_tostring(L, -1);
    if (!key || !value) lml_error(L, "ckpt.save: metadata must be strings");
    lml_check(L, ml_bundle_meta(b, key, value), 0);
    lua_pop(L, 3);
  }
  lua_pop(L, 1);
}

/* the bundle of a list of { name, tensor }, then a list of { key, value }, then keep_order */
static ml_bundle *check_bundle(lua_State *L, int first) {
  lml_checktype(L, first, LUA_TTABLE);
  lml_checktype(L, first + 1, LUA_TTABLE);
  ml_bundle *b = new_bundle(L);
  lua_Integer n = luaL_len(L, first);
  for (lua_Integer i = 1; i <= n; i++) add_entry(L, b, first, i);
  add_metadata(L, b, first + 1);
  b->keep_order = lua_toboolean(L, first + 2);
  return b;
}

/* save(path, list of { name, tensor }, list of { key, value }, keep_order) -> true */
static int ckpt_save(lua_State *L) {
  const char *path = lml_checkstring(L, 1, NULL);
  lua_settop(L, 4);
  int st = ml_ckpt_save(check_bundle(L, 2), path);
  lua_pushboolean(L, 1);
  return lml_result(L, st, 1);
}

/* hash_file(path) -> SHA-256 in hex, bytes, CRC-32C of every chunk in hex */
static int ckpt_hash_file(lua_State *L) {
  ml_digest d;
  int st = ml_digest_file(&d, lml_checkstring(L, 1, NULL), false);
  if (st != ML_OK) return lml_result(L, st, 0);
  lua_pushstring(L, d.sha256);
  lua_pushinteger(L, d.bytes);
  lua_pushstring(L, d.crc32c);
  ml_digest_free(&d);
  return 3;
}

/* ---- a directory that appears whole ---- */

/* begin(dir) -> Save */
static int ckpt_begin(lua_State *L) {
  const char *dir = lml_checkstring(L, 1, NULL);
  void **box = lml_newbox(L, SAVE);
  ml_save *s = NULL;
  lml_check(L, ml_save_new(&s, dir), 0);
  *box = s;
  return 1;
}

static int save_text(lua_State *L) {
  size_t n;
  ml_save *s = lml_checkbox(L, 1, SAVE);
  const char *name = lml_checkstring(L, 2, NULL), *text = lml_checkstring(L, 3, &n);
  return lml_check(L, ml_save_bytes(s, name, text, n), 0);
}

static int save_tensors(lua_State *L) {
  ml_save *s = lml_checkbox(L, 1, SAVE);
  const char *name = lml_checkstring(L, 2, NULL);
  lua_settop(L, 5);
  return lml_check(L, ml_save_tensors(s, name, check_bundle(L, 3)), 0);
}

static int save_file(lua_State *L) {
  ml_save *s = lml_checkbox(L, 1, SAVE);
  return lml_check(L, ml_save_file(s, lml_checkstring(L, 2, NULL)), 0);
}

static int save_log(lua_State *L) {
  ml_save *s = lml_checkbox(L, 1, SAVE);
  return lml_check(L, ml_save_log(s, lml_checkstring(L, 2, NULL)), 0);
}

static int save_start(lua_State *L) {
  ml_save *s = lml_checkbox(L, 1, SAVE);
  const char *about = lml_checkstring(L, 2, NULL);
  return lml_check(L, ml_save_start(s, about, lua_toboolean(L, 3)), 0);
}

static int save_busy(lua_State *L) {
  lua_pushboolean(L, ml_save_busy(lml_checkbox(L, 1, SAVE)));
  return 1;
}

static int save_wait(lua_State *L) {
  int st = ml_save_wait(lml_checkbox(L, 1, SAVE));
  lua_pushboolean(L, 1);
  return lml_result(L, st, 1);
}

void lml_open_ckpt(lua_State *L) {
  static const luaL_Reg functions[] = {
    {"load", ckpt_load}, {"save", ckpt_save}, {"hash_file", ckpt_hash_file},
    {"begin", ckpt_begin}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
    {"text", save_text}, {"tensors", save_tensors}, {"file", save_file}, {"log", save_log},
    {"start", save_start}, {"busy", save_busy}, {"wait", save_wait}, {NULL, NULL}};
  lml_newtype(L, BUNDLE, NULL, release);
  lml_newtype(L, SAVE, methods, release_save);
  luaL_newlib(L, functions);
  lua_setfield(L, -2, "ckpt");
}
