/* ldata.c -- core.data: lines of a file, a file of lines, token files, and rows of ids. */
#include "bind/laux.h"
#include "data/data.h"

#define LINES "moonlit.Lines"
#define OUT "moonlit.Out"
#define BUILDER "moonlit.ShardBuilder"
#define SHARD "moonlit.Shard"
#define ROWS "moonlit.Rows"

static void free_lines(void *p) { ml_lines_close(p); }
static void free_out(void *p) { ml_out_abort(p); }
static void free_builder(void *p) { ml_shard_builder_free(p); }
static void free_shard(void *p) { ml_shard_free(p); }
static void free_rows(void *p) { ml_rows_free(p); }

/* ---- lines ---- */

/* lines(path, limit) */
static int data_lines(lua_State *L) {
  const char *path = lml_checkstring(L, 1, NULL);
  int64_t limit = lml_checkinteger(L, 2);
  lml_argcheck(L, limit >= 1 && limit <= INT64_C(1) << 40, 2, "bytes, from 1 to 2^40");
  void **box = lml_newbox(L, LINES);
  ml_lines *l = NULL;
  int st = ml_lines_open(&l, path, limit);
  *box = l;
  return lml_result(L, st, 1);
}

/* next(self) -> line, its number; nil after the last; nil, message, code */
static int lines_next(lua_State *L) {
  ml_lines *l = lml_checkbox(L, 1, LINES);
  const char *p = NULL;
  size_t n = 0;
  int st = ml_lines_next(l, &p, &n);
  if (st != ML_OK) return lml_result(L, st, 0);
  if (!p) return lua_pushnil(L), 1;
  lua_pushlstring(L, p, n);
  lua_pushinteger(L, ml_lines_number(l));
  return 2;
}

/* skip(self) -> bytes, the first of them, the line's number */
static int lines_skip(lua_State *L) {
  ml_lines *l = lml_checkbox(L, 1, LINES);
  char head[1024];
  size_t room = sizeof head;
  int64_t bytes = 0;
  int st = ml_lines_skip(l, head, &room, &bytes);
  if (st != ML_OK) return lml_result(L, st, 0);
  lua_pushinteger(L, bytes);
  lua_pushlstring(L, head, room);
  lua_pushinteger(L, ml_lines_number(l));
  return 3;
}

/* rest(self) -> what follows the line given last */
static int lines_rest(lua_State *L) {
  const char *p = NULL;
  size_t n = 0;
  int st = ml_lines_rest(lml_checkbox(L, 1, LINES), &p, &n);
  if (st == ML_OK) lua_pushlstring(L, p, n);
  return lml_result(L, st, 1);
}

/* ---- out ---- */

/* out(path, gzip) */
static int data_out(lua_State *L) {
  const char *path = lml_checkstring(L, 1, NULL);
  bool gzip = lua_toboolean(L, 2);
  void **box = lml_newbox(L, OUT);
  ml_out *o = NULL;
  int st = ml_out_open(&o, path, gzip);
  *box = o;
  return lml_result(L, st, 1);
}

static int out_put(lua_State *L) {
  size_t n;
  ml_out *o = lml_checkbox(L, 1, OUT);
  const char *s = lml_checkstring(L, 2, &n);
  int st = ml_out_put(o, s, n);
  lua_pushboolean(L, 1);
  return lml_result(L, st, 1);
}

static int out_commit(lua_State *L) {
  ml_out *o = lml_checkbox(L, 1, OUT);
  *(void **)lua_touserdata(L, 1) = NULL; /* the commit frees it */
  int st = ml_out_commit(o);
  lua_pushboolean(L, 1);
  return lml_result(L, st, 1);
}

/* ---- building a shard ---- */

static int data_builder(lua_State *L) {
  void **box = lml_newbox(L, BUILDER);
  ml_shard_builder *b = NULL;
  int st = ml_shard_builder_new(&b);
  *box = b;
  return lml_check(L, st, 1);
}

/* the integers at arg, an array or a tensor in one dimension; what holds them stays on the stack */
static int64_t *integers(lua_State *L, int arg, int64_t *n) {
  ml_tensor *t = lml_totensor(L, arg);
  if (t) {
    lml_argcheck(L, t->ndim == 1 && !ml_is_float(t->dtype), arg, "integers in one dimension");
    ml_tensor **own = lml_newtensor(L);
    lml_check(L, ml_to_dtype(own, t, ML_I64), 0);
    ml_tensor **flat = lml_newtensor(L); /* a tensor of this type may be a view */
    lml_check(L, ml_contiguous(flat, *own), 0);
    *n = ml_numel(*flat);
    return ml_data(*flat);
  }
  lml_checktype(L, arg, LUA_TTABLE);
  *n = (int64_t)lua_rawlen(L, arg);
  int64_t *p = lua_newuserdatauv(L, (size_t)(*n + 1) * sizeof *p, 0);
  for (int64_t i = 0; i < *n; i++) {
    int ok;
    lua_rawgeti(L, arg, i + 1);
    p[i] = lua_tointegerx(L, -1, &ok);
    if (!ok || lua_type(L, -1) != LUA_TNUMBER)
      lml_error(L, "%s: argument %d: element %I must be an integer, got %s", lml_who(L),
                lml_as_written(L, arg), (lua_Integer)i + 1, luaL_typename(L, -1));
    lua_pop(L, 1);
  }
  return p;
}

/* add(self, ids, mask, name) */
static int builder_add(lua_State *L) {
  ml_shard_builder *b = lml_checkbox(L, 1, BUILDER);
  size_t name_bytes = 0;
  const char *name = lua_isnoneornil(L, 4) ? NULL : lml_checkstring(L, 4, &name_bytes);
  int64_t n, masks;
  uint8_t *mask = NULL;
  lua_settop(L, 4);
  int64_t *ids = integers(L, 2, &n);
  if (!lua_isnil(L, 3)) {
    int64_t *given = integers(L, 3, &masks);
    if (masks != n)
      return lml_error(L, "add: %I ids and %I numbers in the mask", (lua_Integer)n,
                       (lua_Integer)masks);
    mask = lua_newuserdatauv(L, (size_t)n + 1, 0);
    for (int64_t i = 0; i < n; i++) mask[i] = given[i] != 0;
  }
  return lml_check(L, ml_shard_builder_add(b, ids, mask, n, name, name_bytes), 0);
}

/* save(self, path) -> true */
static int builder_save(lua_State *L) {
  ml_shard_builder *b = lml_checkbox(L, 1, BUILDER);
  const char *path = lml_checkstring(L, 2, NULL);
  uint8_t *p = NULL;
  size_t n = 0;
  ml_writer *w = NULL;
  int st = ml_shard_builder_image(b, &p, &n);
  if (st == ML_OK) st = ml_writer_open(&w, path);
  if (st == ML_OK) st = ml_writer_put(w, p, n);
  if (st == ML_OK) st = ml_writer_commit(w);
  else ml_writer_abort(w);
  ml_free(p);
  lua_pushboolean(L, 1);
  return lml_result(L, st, 1);
}

/* shard(self): the same without a file */
static int builder_shard(lua_State *L) {
  ml_shard_builder *b = lml_checkbox(L, 1, BUILDER);
  void **box = lml_newbox(L, SHARD);
  ml_shard *s = NULL;
  uint8_t *p = NULL;
  size_t n = 0;
  int st = ml_shard_builder_image(b, &p, &n);
  if (st == ML_OK) st = ml_shard_of(&s, p, n, true, false);
  *box = s;
  return lml_check(L, st, 1);
}

/* ---- a shard ---- */

/* shard(path, verify) */
static int data_shard(lua_State *L) {
  const char *path = lml_checkstring(L, 1, NULL);
  bool verify = lua_isnoneornil(L, 2) || lua_toboolean(L, 2);
  void **box = lml_newbox(L, SHARD);
  ml_shard *s = NULL;
  int st = ml_shard_open(&s, path, verify);
  *box = s;
  return lml_result(L, st, 1);
}

static int shard_documents(lua_State *L) {
  lua_pushinteger(L, ml_shard_documents(lml_checkbox(L, 1, SHARD)));
  return 1;
}

static int shard_tokens(lua_State *L) {
  lua_pushinteger(L, ml_shard_tokens(lml_checkbox(L, 1, SHARD)));
  return 1;
}

static int shard_vocab(lua_State *L) {
  lua_pushinteger(L, ml_shard_vocab(lml_checkbox(L, 1, SHARD)));
  return 1;
}

static int shard_hash(lua_State *L) {
  lua_pushstring(L, ml_shard_hash(lml_checkbox(L, 1, SHARD)));
  return 1;
}

/* at(self, token) -> the document it is in, its place there; tokens count from 0 */
static int shard_at(lua_State *L) {
  ml_shard *s = lml_checkbox(L, 1, SHARD);
  int64_t token = lml_checkinteger(L, 2), low = 0, high = ml_shard_documents(s);
  lml_argcheck(L, token >= 0 && token < ml_shard_tokens(s), 2, "one of the shard's tokens, from 0");
  while (high - low > 1) { /* document low begins at or before the token, high behind it */
    int64_t middle = low + (high - low) / 2;
    if (ml_shard_begin(s, middle) <= token) low = middle;
    else high = middle;
  }
  lua_pushinteger(L, low + 1);
  lua_pushinteger(L, token - ml_shard_begin(s, low) + 1);
  return 2;
}

/* document(self, i) -> ids, mask or nil, name or nil */
static int shard_document(lua_State *L) {
  ml_shard *s = lml_checkbox(L, 1, SHARD);
  int64_t i = lml_checkinteger(L, 2);
  lml_argcheck(L, i >= 1 && i <= ml_shard_documents(s), 2, "one of the shard's documents");
  int64_t from = ml_shard_begin(s, i - 1), n = ml_shard_begin(s, i) - from;
  ml_tensor **ids = lml_newtensor(L);
  lml_check(L, ml_tensor_new(ids, ML_I64, 1, &n), 0);
  ml_shard_ids(s, from, n, ml_data(*ids));
  if (ml_shard_masked(s)) {
    ml_tensor **mask = lml_newtensor(L);
    lml_check(L, ml_tensor_new(mask, ML_F32, 1, &n), 0);
    ml_shard_mask(s, from, n, ml_data(*mask));
  } else lua_pushnil(L);
  size_t bytes;
  const char *name = ml_shard_name(s, i - 1, &bytes);
  if (bytes) lua_pushlstring(L, name, bytes);
  else lua_pushnil(L);
  lml_report_bytes(L);
  return 3;
}

/* ---- rows ---- */

/* rows(shard, length, whole) */
static int data_rows(lua_State *L) {
  ml_shard *s = lml_checkbox(L, 1, SHARD);
  int64_t length = lml_checkinteger(L, 2);
  bool whole = lua_toboolean(L, 3);
  void **box = lml_newbox(L, ROWS);
  ml_rows *r = NULL;
  int st = ml_rows_new(&r, s, length, whole);
  *box = r;
  return lml_check(L, st, 1);
}

static int rows_count(lua_State *L) {
  lua_pushinteger(L, ml_rows_count(lml_checkbox(L, 1, ROWS)));
  return 1;
}

/* batch(self, list of row numbers from 1) -> ids, mask, doc */
static int rows_batch(lua_State *L) {
  ml_rows *r = lml_checkbox(L, 1, ROWS);
  lml_checktype(L, 2, LUA_TTABLE);
  int64_t n;
  int64_t *row = integers(L, 2, &n); /* a copy */
  for (int64_t i = 0; i < n; i++) row[i]--;
  ml_tensor **ids = lml_newtensor(L), **mask = lml_newtensor(L), **doc = lml_newtensor(L);
  lml_check(L, ml_rows_fill(r, row, n, ids, mask, doc), 0);
  lml_report_bytes(L);
  return 3;
}

void lml_open_data(lua_State *L) {
  static const luaL_Reg lines[] = {{"next", lines_next}, {"skip", lines_skip},
                                    {"rest", lines_rest}, {NULL, NULL}};
  static const luaL_Reg out[] = {{"put", out_put}, {"commit", out_commit}, {NULL, NULL}};
  static const luaL_Reg builder[] = {
    {"add", builder_add}, {"save", builder_save}, {"shard", builder_shard}, {NULL, NULL}};
  static const luaL_Reg shard[] = {
    {"documents", shard_documents}, {"tokens", shard_tokens}, {"vocab", shard_vocab},
    {"hash", shard_hash}, {"at", shard_at}, {"document", shard_document}, {NULL, NULL}};
  static const luaL_Reg rows[] = {{"count", rows_count}, {"batch", rows_batch}, {NULL, NULL}};
  static const luaL_Reg functions[] = {
    {"lines", data_lines}, {"out", data_out}, {"builder", data_builder}, {"shard", data_shard},
    {"rows", data_rows}, {NULL, NULL}};
  lml_newtype(L, LINES, lines, free_lines);
  lml_newtype(L, OUT, out, free_out);
  lml_newtype(L, BUILDER, builder, free_builder);
  lml_newtype(L, SHARD, shard, free_shard);
  lml_newtype(L, ROWS, rows, free_rows);
  luaL_newlib(L, functions);
  lua_setfield(L, -2, "data");
}
