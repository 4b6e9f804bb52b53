/* lckpt.c -- core.ckpt: lists of named tensors to and from files, and what a run directory needs
** besides: publishing a directory, hashes of files. */
#include "bind/laux.h"
#include "ckpt/ckpt.h"

#define BUNDLE "moonlit.Bundle"

static void release(void *p) { ml_bundle_free(p); }

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

/* save(path, list of { name, tensor }, list of { key, value }, keep_order) -> true */
static int ckpt_save(lua_State *L) {
  const char *path = lml_checkstring(L, 1, NULL);
  lml_checktype(L, 2, LUA_TTABLE);
  lml_checktype(L, 3, LUA_TTABLE);
  ml_bundle *b = new_bundle(L);
  lua_Integer n = luaL_len(L, 2);
  for (lua_Integer i = 1; i <= n; i++) add_entry(L, b, 2, i);
  add_metadata(L, b, 3);
  b->keep_order = lua_toboolean(L, 4);
  int st = ml_ckpt_save(b, path);
  lua_pushboolean(L, 1);
  return lml_result(L, st, 1);
}

/* publish(from, to) -> true: a finished directory takes its name durably */
static int ckpt_publish(lua_State *L) {
  int st = ml_publish_dir(lml_checkstring(L, 1, NULL), lml_checkstring(L, 2, NULL));
  lua_pushboolean(L, 1);
  return lml_result(L, st, 1);
}

static int hash_bytes(char hex[65], const void *p, size_t n) {
  ml_sha256 *h = NULL;
  int st = ml_sha256_new(&h);
  if (st == ML_OK) st = ml_sha256_add(h, p, n);
  if (st == ML_OK) return ml_sha256_hex(h, hex);
  ml_sha256_free(h);
  return st;
}

/* hash_file(path) -> SHA-256 in hex, bytes */
static int ckpt_hash_file(lua_State *L) {
  char hex[65] = "";
  ml_file f = {.fd = -1};
  int st = ml_file_map(&f, lml_checkstring(L, 1, NULL));
  size_t size = f.size;
  if (st == ML_OK) {
    st = hash_bytes(hex, f.data, f.size);
    ml_file_unmap(&f);
  }
  lua_pushstring(L, hex);
  lua_pushinteger(L, (lua_Integer)size);
  return lml_result(L, st, 2);
}

void lml_open_ckpt(lua_State *L) {
  static const luaL_Reg functions[] = {
    {"load", ckpt_load}, {"save", ckpt_save}, {"publish", ckpt_publish},
    {"hash_file", ckpt_hash_file}, {NULL, NULL}};
  lml_newtype(L, BUNDLE, NULL, release);
  luaL_newlib(L, functions);
  lua_setfield(L, -2, "ckpt");
}
