/* ltext.c -- core.text: bpe(spec) and trainer(pattern, linear, cut). Tokens are byte strings in
** the order of their ids; what files hold is Lua's business. */
#include "bind/ltext.h"

#define BPE     "moonlit.CoreBpe"
#define TRAINER "moonlit.CoreTrainer"

static ml_bpe *check_bpe(lua_State *L) { return lml_checkbox(L, 1, BPE); }

static int bpe(lua_State *L) {
  ml_bpe_spec spec = {0};
  lml_checkspec(L, &spec);
  void **box = lml_newbox(L, BPE);
  return lml_result(L, ml_bpe_new((ml_bpe **)box, &spec), 1);
}

/* ---- encoding ---- */

static void push_ids(lua_State *L, const ml_ids *ids) {
  lua_createtable(L, (int)ids->n, 0);
  for (int64_t i = 0; i < ids->n; i++) {
    lua_pushinteger(L, ids->ids[i]);
    lua_rawseti(L, -2, i + 1);
  }
}

/* first and last byte of each token in the text, as string.sub wants them */
static void push_spans(lua_State *L, const ml_ids *ids) {
  lua_createtable(L, (int)(2 * ids->n), 0);
  for (int64_t i = 0; i < ids->n; i++) {
    lua_pushinteger(L, (lua_Integer)ids->spans[i].start + 1);
    lua_rawseti(L, -2, 2 * i + 1);
    lua_pushinteger(L, (lua_Integer)ids->spans[i].end);
    lua_rawseti(L, -2, 2 * i + 2);
  }
}

/* from here on an error loses nothing of `out`; two boxes are pushed */
static void keep(lua_State *L, ml_ids *out) {
  void **ids = lml_newbox(L, LML_TEXT_BLOCK);
  *ids = out->ids;
  void **spans = lml_newbox(L, LML_TEXT_BLOCK);
  *spans = out->spans;
}

static ml_encode_options options_at(lua_State *L, int arg) {
  return (ml_encode_options){lua_toboolean(L, arg), lua_toboolean(L, arg + 1)};
}

/* encode(self, text, special, spans) -> ids, spans or nothing */
static int bpe_encode(lua_State *L) {
  ml_bpe *t = check_bpe(L);
  ml_bytes text = lml_checkbytes(L, 2);
  ml_encode_options o = options_at(L, 3);
  ml_ids out = {0};
  int st = ml_bpe_encode(t, 0, text, o, &out);
  keep(L, &out);
  lml_check(L, st, 0);
  push_ids(L, &out);
  if (o.spans) push_spans(L, &out);
  return o.spans ? 2 : 1;
}

static void free_all(ml_ids *out, int64_t n) {
  for (int64_t i = 0; i < n; i++) ml_free(out[i].ids), ml_free(out[i].spans);
}

/* lists of ids, and lists of spans where they are asked for */
static int push_all(lua_State *L, ml_ids *out, int64_t n, bool spans) {
  lua_createtable(L, (int)n, 0);
  if (spans) lua_createtable(L, (int)n, 0);
  int lists = spans ? lua_gettop(L) - 1 : lua_gettop(L);
  for (int64_t i = 0; i < n; i++) {
    keep(L, &out[i]);
    push_ids(L, &out[i]);
    lua_rawseti(L, lists, i + 1);
    if (spans) {
      push_spans(L, &out[i]);
      lua_rawseti(L, lists + 1, i + 1);
    }
    for (int k = -2; k < 0; k++) {
      void **box = lua_touserdata(L, k);
      ml_free(*box), *box = NULL;
    }
    lua_pop(L, 2);
  }
  return spans ? 2 : 1;
}

/* encode_all(self, texts, special, spans) */
static int bpe_encode_all(lua_State *L) {
  ml_bpe *t = check_bpe(L);
  ml_encode_options o = options_at(L, 3);
  int64_t n;
  ml_bytes *texts = lml_checktexts(L, 2, &n);
  ml_ids *out = lml_textblock(L, n, sizeof *out);
  int st = ml_bpe_encode_all(t, texts, n, o, out);
  if (st != ML_OK) {
    free_all(out, n);
    return lml_check(L, st, 0);
  }
  return push_all(L, out, n, o.spans);
}

/* parts of a text that are encoded apart; without `cut`, the text itself */
static int parts_of(ml_bytes text, bool cut, ml_bytes **parts, int64_t *n) {
  int64_t room = 0;
  int st = ML_OK;
  for (size_t at = 0; at < text.n && st == ML_OK;) {
    ml_bytes left = {text.p + at, text.n - at};
    if (cut) left.n = ml_text_cut(left, 1 << 18);
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
  if (st == ML_OK) st = ml_bpe_encode_all(t, parts, n, (ml_encode_options){0}, ids);
  if (st == ML_OK) st = join(ids, n, out);
  if (ids) free_all(ids, n);
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

/* token(self, id) -> bytes, kind, what decode writes; nil where there is no such id */
static int bpe_token(lua_State *L) {
  ml_bytes s, shown;
  int kind;
  if (!ml_bpe_token(check_bpe(L), lml_checkinteger(L, 2), &s, &shown, &kind)) return 0;
  lua_pushlstring(L, (const char *)s.p, s.n);
  lua_pushinteger(L, kind);
  lua_pushlstring(L, (const char *)shown.p, shown.n);
  return 3;
}

/* find(self, bytes, added) -> id or nil */
static int bpe_find(lua_State *L) {
  int64_t id = ml_bpe_find(check_bpe(L), lml_checkbytes(L, 2), lua_toboolean(L, 3));
  if (id < 0) return 0;
  lua_pushinteger(L, id);
  return 1;
}

static int bpe_count(lua_State *L) {
  lua_pushinteger(L, ml_bpe_count(check_bpe(L)));
  return 1;
}

/* merges(self) -> ids a, b of each, the best first */
static int bpe_merges(lua_State *L) {
  int64_t n;
  const int32_t *m = ml_bpe_merges(check_bpe(L), &n);
  lua_createtable(L, (int)(2 * n), 0);
  for (int64_t i = 0; i < 2 * n; i++) {
    lua_pushinteger(L, m[i]);
    lua_rawseti(L, -2, i + 1);
  }
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
    int kind;
    lua_rawgeti(L, 2, i + 1);
    int is_integer;
    lua_Integer id = lua_tointegerx(L, -1, &is_integer);
    if (!is_integer || !ml_bpe_token(t, id, NULL, &s, &kind))
      return lml_error(L, "decode: id %s (number %I) is outside 0..%I", luaL_tolstring(L, -1, NULL),
                       (LUAI_UACINT)i + 1, (LUAI_UACINT)ml_bpe_count(t) - 1);
    lua_pop(L, 1);
    if (show || kind != ML_TOKEN_SPECIAL) luaL_addlstring(&b, (const char *)s.p, s.n);
  }
  luaL_pushresult(&b);
  return 1;
}

/* ---- training ---- */

static int trainer(lua_State *L) {
  ml_bytes pattern = lml_checkbytes(L, 1);
  void **box = lml_newbox(L, TRAINER);
  bool linear = lua_toboolean(L, 2), cut = lua_toboolean(L, 3);
  return lml_result(L, ml_trainer_new((ml_trainer **)box, pattern, linear, cut), 1);
}

/* add(self, texts) */
static int trainer_add(lua_State *L) {
  ml_trainer *t = lml_checkbox(L, 1, TRAINER);
  int64_t n;
  ml_bytes *texts = lml_checktexts(L, 2, &n);
  return lml_check(L, ml_trainer_add(t, texts, n), 0);
}

/* run(self, alphabet, first, vocab, min_frequency) -> a, b, id of each merge in one list */
static int trainer_run(lua_State *L) {
  ml_trainer *t = lml_checkbox(L, 1, TRAINER);
  ml_bytes alphabet = lml_checkbytes(L, 2);
  lml_argcheck(L, alphabet.n == 256, 2, "a string of 256 bytes");
  int64_t first = lml_checksize(L, 3), vocab = lml_checksize(L, 4), least = lml_checksize(L, 5);
  lml_argcheck(L, first < INT32_MAX - 256, 3, "below 2^31");
  ml_merge *merges = NULL;
  int64_t count;
  void **box = lml_newbox(L, LML_TEXT_BLOCK);
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
  static const luaL_Reg bpe_methods[] = {{"encode", bpe_encode},
                                         {"encode_all", bpe_encode_all},
                                         {"encode_file", bpe_encode_file},
                                         {"token", bpe_token},
                                         {"find", bpe_find},
                                         {"count", bpe_count},
                                         {"merges", bpe_merges},
                                         {"decode", bpe_decode},
                                         {NULL, NULL}};
  static const luaL_Reg trainer_methods[] = {
      {"add", trainer_add}, {"run", trainer_run}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"bpe", bpe}, {"trainer", trainer}, {NULL, NULL}};
  lml_newtype(L, BPE, bpe_methods, free_bpe);
  lml_newtype(L, TRAINER, trainer_methods, free_trainer);
  lml_newtype(L, LML_TEXT_BLOCK, NULL, ml_free);
  luaL_newlib(L, functions);
  lua_setfield(L, -2, "text");
}
