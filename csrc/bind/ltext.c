/* ltext.c -- core.text: bpe(tokens, special, merges, pattern, ignore_merges) and trainer(pattern).
** Tokens are byte strings in the order of their ids; what files hold is Lua's business. */
#include "bind/laux.h"
#include "text/text.h"

#define BPE "moonlit.CoreBpe"
#define TRAINER "moonlit.CoreTrainer"
#define BLOCK "moonlit.TextBlock"

static ml_bpe *check_bpe(lua_State *L) { return lml_checkbox(L, 1, BPE); }

static ml_bytes check_bytes(lua_State *L, int arg) {
  ml_bytes s;
  s.p = (const uint8_t *)lml_checkstring(L, arg, &s.n);
  return s;
}

/* Memory that an error on the way must not lose, with room for one element more. */
static void *block(lua_State *L, int64_t n, size_t size) {
  void **box = lml_newbox(L, BLOCK);
  *box = ml_alloc((size_t)(n + 1) * size);
  if (!*box) lml_check(L, ML_ENOMEM, 0);
  return *box;
}

/* the strings of a list; they stay in it */
static ml_bytes *check_texts(lua_State *L, int arg, int64_t *n) {
  lml_checktype(L, arg, LUA_TTABLE);
  *n = (int64_t)lua_rawlen(L, arg);
  ml_bytes *texts = block(L, *n, sizeof *texts);
  for (int64_t i = 0; i < *n; i++) {
    if (lua_rawgeti(L, arg, i + 1) != LUA_TSTRING)
      lml_error(L, "text %I must be a string, got %s", (LUAI_UACINT)i + 1, lml_got(L, -1));
    texts[i].p = (const uint8_t *)lua_tolstring(L, -1, &texts[i].n);
    lua_pop(L, 1);
  }
  return texts;
}

/* ---- encoding ---- */

static int32_t *check_merges(lua_State *L, int arg, int64_t *n) {
  lml_checktype(L, arg, LUA_TTABLE);
  *n = (int64_t)lua_rawlen(L, arg) / 2;
  int32_t *merges = block(L, 2 * *n, sizeof *merges);
  for (int64_t i = 0; i < 2 * *n; i++) {
    int is_integer;
    lua_rawgeti(L, arg, i + 1);
    lua_Integer v = lua_tointegerx(L, -1, &is_integer);
    if (!is_integer || v < 0 || v > INT32_MAX)
      lml_error(L, "merge %I: expected an id, got %s", (LUAI_UACINT)(i / 2 + 1), lml_got(L, -1));
    merges[i] = (int32_t)v;
    lua_pop(L, 1);
  }
  return merges;
}

static int bpe(lua_State *L) {
  ml_bpe_spec spec = {0};
  lml_checktype(L, 2, LUA_TTABLE);
  lml_checktype(L, 3, LUA_TTABLE);
  spec.pattern = lml_checkstring(L, 4, &spec.pattern_size);
  spec.ignore_merges = lua_toboolean(L, 5);
  lua_settop(L, 5);
  spec.tokens = check_texts(L, 1, &spec.count);
  bool *special = block(L, spec.count, sizeof *special);
  for (int64_t i = 0; i < spec.count; i++) {
    lua_rawgeti(L, 2, i + 1);
    special[i] = lua_toboolean(L, -1);
    lua_pop(L, 1);
  }
  spec.special = special;
  spec.merges = check_merges(L, 3, &spec.merge_count);
  void **box = lml_newbox(L, BPE);
  return lml_result(L, ml_bpe_new((ml_bpe **)box, &spec), 1);
}

static void push_ids(lua_State *L, const ml_ids *ids) {
  lua_createtable(L, (int)ids->n, 0);
  for (int64_t i = 0; i < ids->n; i++) {
    lua_pushinteger(L, ids->ids[i]);
    lua_rawseti(L, -2, i + 1);
  }
}

/* encode(self, text, special) */
static int bpe_encode(lua_State *L) {
  ml_bpe *t = check_bpe(L);
  ml_bytes text = check_bytes(L, 2);
  bool special = lua_toboolean(L, 3);
  void **box = lml_newbox(L, BLOCK);
  ml_ids out = {0};
  int st = ml_bpe_encode(t, 0, text, special, &out);
  *box = out.ids;
  lml_check(L, st, 0);
  push_ids(L, &out);
  return 1;
}

static void push_all(lua_State *L, ml_ids *out, int64_t n) {
  lua_createtable(L, (int)n, 0);
  for (int64_t i = 0; i < n; i++) {
    void **box = lml_newbox(L, BLOCK); /* from here on an error loses nothing */
    *box = out[i].ids;
    push_ids(L, &out[i]);
    lua_rawseti(L, -3, i + 1);
    lua_pop(L, 1);
    ml_free(*box), *box = NULL;
  }
}

/* encode_all(self, texts, special) */
static int bpe_encode_all(lua_State *L) {
  ml_bpe *t = check_bpe(L);
  int64_t n;
  ml_bytes *texts = check_texts(L, 2, &n);
  ml_ids *out = block(L, n, sizeof *out);
  for (int64_t i = 0; i < n; i++) out[i] = (ml_ids){0};
  int st = ml_bpe_encode_all(t, texts, n, lua_toboolean(L, 3), out);
  if (st != ML_OK) {
    for (int64_t i = 0; i < n; i++) ml_free(out[i].ids);
    return lml_check(L, st, 0);
  }
  push_all(L, out, n);
  return 1;
}

/* parts of a text that are encoded apart; without `cut`, the text itself */
static int parts_of(ml_bytes text, bool cut, ml_bytes **parts, int64_t *n) {
  int64_t room = 0;
  int st = ML_OK;
  for (size_t at = 0; at < text.n && st == ML_OK;) {
    ml_bytes left = {text.p + at, text.n - at};
    if (cut) left.n = ml_pretok_cut(left, 1 << 18);
    st = ml_room((void **)parts, &room, *n + 1, sizeof **parts);
    if (st == ML_OK) (*parts)[(*n)++] = left;
    at += left.n;
  }
  return st;
}

static int join(const ml_ids *ids, int64_t n, ml_tensor **out) {
  int64_t total = 0;
  for (int64_t i = 0; i < n; i++) total += ids[i].n;
  int st = ml_tensor_new(out, ML_I64, 1, &total);
  if (st != ML_OK) return st;
  int64_t *to = ml_data(*out);
  for (int64_t i = 0; i < n; i++)
    for (int64_t k = 0; k < ids[i].n; k++) *to++ = ids[i].ids[k];
  return ML_OK;
}

static int encode_parts(ml_bpe *t, ml_bytes text, bool cut, ml_tensor **out) {
  ml_bytes *parts = NULL;
  int64_t n = 0;
  int st = parts_of(text, cut, &parts, &n);
  ml_ids *ids = st == ML_OK ? ml_alloc0((size_t)(n + 1) * sizeof *ids) : NULL;
  if (st == ML_OK && !ids) st = ML_ENOMEM;
  if (st == ML_OK) st = ml_bpe_encode_all(t, parts, n, false, ids);
  if (st == ML_OK) st = join(ids, n, out);
  for (int64_t i = 0; ids && i < n; i++) ml_free(ids[i].ids);
  ml_free(ids), ml_free(parts);
  return st;
}

/* encode_file(self, path, cut) -> i64 tensor; cut: the text may be cut for the threads */
static int bpe_encode_file(lua_State *L) {
  ml_bpe *t = check_bpe(L);
  const char *path = lml_checkstring(L, 2, NULL);
  bool cut = lua_toboolean(L, 3);
  ml_tensor **box = lml_newtensor(L);
  ml_file f = {.fd = -1};
  int st = ml_file_map(&f, path);
  if (st == ML_OK) {
    st = encode_parts(t, (ml_bytes){f.data, f.size}, cut, box);
    ml_file_unmap(&f);
  }
  lml_report_bytes(L);
  return lml_result(L, st, 1);
}

/* token(self, id) -> bytes, special; nil where there is no such id */
static int bpe_token(lua_State *L) {
  ml_bytes s;
  bool special;
  if (!ml_bpe_token(check_bpe(L), lml_checkinteger(L, 2), &s, &special)) return 0;
  lua_pushlstring(L, (const char *)s.p, s.n);
  lua_pushboolean(L, special);
  return 2;
}

/* find(self, bytes, special) -> id or nil */
static int bpe_find(lua_State *L) {
  int64_t id = ml_bpe_find(check_bpe(L), check_bytes(L, 2), lua_toboolean(L, 3));
  if (id < 0) return 0;
  lua_pushinteger(L, id);
  return 1;
}

static int bpe_count(lua_State *L) {
  lua_pushinteger(L, ml_bpe_count(check_bpe(L)));
  return 1;
}

/* decode(self, ids, show): show writes special tokens' text, else they are left out */
static int bpe_decode(lua_State *L) {
  ml_bpe *t = check_bpe(L);
  bool show = lua_toboolean(L, 3);
  lml_checktype(L, 2, LUA_TTABLE);
  luaL_Buffer b;
  int64_t n = (int64_t)lua_rawlen(L, 2);
  luaL_buffinit(L, &b);
  for (int64_t i = 0; i < n; i++) {
    ml_bytes s;
    bool special;
    lua_rawgeti(L, 2, i + 1);
    int is_integer;
    lua_Integer id = lua_tointegerx(L, -1, &is_integer);
    if (!is_integer || !ml_bpe_token(t, id, &s, &special))
      return lml_error(L, "decode: id %s (number %I) is outside 0..%I", luaL_tolstring(L, -1, NULL),
                       (LUAI_UACINT)i + 1, (LUAI_UACINT)ml_bpe_count(t) - 1);
    lua_pop(L, 1);
    if (show || !special) luaL_addlstring(&b, (const char *)s.p, s.n);
  }
  luaL_pushresult(&b);
  return 1;
}

/* ---- training ---- */

static int trainer(lua_State *L) {
  size_t n;
  const char *pattern = lml_checkstring(L, 1, &n);
  void **box = lml_newbox(L, TRAINER);
  return lml_result(L, ml_trainer_new((ml_trainer **)box, pattern, n), 1);
}

/* add(self, texts) */
static int trainer_add(lua_State *L) {
  ml_trainer *t = lml_checkbox(L, 1, TRAINER);
  int64_t n;
  ml_bytes *texts = check_texts(L, 2, &n);
  return lml_check(L, ml_trainer_add(t, texts, n), 0);
}

/* run(self, alphabet, first, vocab, min_frequency) -> a, b, id of each merge in one list */
static int trainer_run(lua_State *L) {
  ml_trainer *t = lml_checkbox(L, 1, TRAINER);
  ml_bytes alphabet = check_bytes(L, 2);
  lml_argcheck(L, alphabet.n == 256, 2, "a string of 256 bytes");
  int64_t first = lml_checksize(L, 3), vocab = lml_checksize(L, 4), least = lml_checksize(L, 5);
  lml_argcheck(L, first < INT32_MAX - 256, 3, "below 2^31");
  ml_merge *merges = NULL;
  int64_t count;
  void **box = lml_newbox(L, BLOCK);
  int st = ml_trainer_run(t, alphabet.p, (int32_t)first, vocab, least, &merges, &count);
  *box = merges;
  lml_check(L, st, 0);
  lua_createtable(L, (int)(3 * count), 0);
  for (int64_t i = 0; i < count; i++) {
    const int32_t v[3] = {merges[i].a, merges[i].b, merges[i].id};
    for (int j = 0; j < 3; j++) {
      lua_pushinteger(L, v[j]);
      lua_rawseti(L, -2, 3 * i + j + 1);
    }
  }
  return 1;
}

static void free_bpe(void *p) { ml_bpe_free(p); }
static void free_trainer(void *p) { ml_trainer_free(p); }

void lml_open_text(lua_State *L) {
  static const luaL_Reg bpe_methods[] = {
    {"encode", bpe_encode}, {"encode_all", bpe_encode_all},
    {"encode_file", bpe_encode_file}, {"token", bpe_token}, {"find", bpe_find},
    {"count", bpe_count}, {"decode", bpe_decode}, {NULL, NULL}};
  static const luaL_Reg trainer_methods[] = {
    {"add", trainer_add}, {"run", trainer_run}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"bpe", bpe}, {"trainer", trainer}, {NULL, NULL}};
  lml_newtype(L, BPE, bpe_methods, free_bpe);
  lml_newtype(L, TRAINER, trainer_methods, free_trainer);
  lml_newtype(L, BLOCK, NULL, ml_free);
  luaL_newlib(L, functions);
  lua_setfield(L, -2, "text");
}
