/* lstats.c -- core.stats: counts of a text for the filters of curation; core.shingles: hashes
** of words in a row, for near-duplicates. A set of shingles is a string of 8 bytes a hash,
** ascending. */
#include "bind/laux.h"
#include "data/stats.h"

#include <string.h>

#define BLOCK "moonlit.Block" /* memory that an error on the way must not lose */

static ml_span check_text(lua_State *L, int arg) {
  ml_span s;
  s.p = (const uint8_t *)lml_checkstring(L, arg, &s.n);
  return s;
}

static void set_integer(lua_State *L, const char *name, int64_t v) {
  lua_pushinteger(L, v);
  lua_setfield(L, -2, name);
}

/* ---- stats ---- */

/* quality(text, stop_words) */
static int stats_quality(lua_State *L) {
  uint64_t stops[ML_STOP_WORDS_MAX];
  ml_span text = check_text(L, 1);
  lml_checktype(L, 2, LUA_TTABLE);
  int count = (int)lua_rawlen(L, 2);
  if (count > ML_STOP_WORDS_MAX)
    return lml_error(L, "quality: at most %d stop words, got %d", ML_STOP_WORDS_MAX, count);
  for (int i = 0; i < count; i++) {
    size_t n;
    lua_rawgeti(L, 2, i + 1);
    const uint8_t *p = (const uint8_t *)lml_checkstring(L, lua_gettop(L), &n);
    stops[i] = ml_hash_bytes(p, n);
    lua_pop(L, 1);
  }
  ml_quality q;
  lml_check(L, ml_quality_of(&q, text.p, text.n, stops, count), 0);
  lua_createtable(L, 0, 10);
  set_integer(L, "words", q.words), set_integer(L, "plain", q.plain);
  set_integer(L, "plain_chars", q.plain_chars), set_integer(L, "alpha", q.alpha);
  set_integer(L, "stops", q.stops), set_integer(L, "hashes", q.hashes);
  set_integer(L, "ellipses", q.ellipses), set_integer(L, "lines", q.lines);
  set_integer(L, "bullets", q.bullets), set_integer(L, "trailing", q.trailing);
  return 1;
}

static void set_repeats(lua_State *L, const char *name, const ml_repeats *r) {
  lua_createtable(L, 0, 3);
  set_integer(L, "count", r->count), set_integer(L, "again", r->again);
  set_integer(L, "again_chars", r->again_chars);
  lua_setfield(L, -2, name);
}

/* repetition(text) */
static int stats_repetition(lua_State *L) {
  ml_span text = check_text(L, 1);
  ml_repetition r;
  lml_check(L, ml_repetition_of(&r, text.p, text.n), 0);
  lua_createtable(L, 0, 5);
  set_integer(L, "chars", r.chars);
  set_repeats(L, "paragraphs", &r.paragraphs);
  set_repeats(L, "lines", &r.lines);
  lua_newtable(L);
  for (int n = ML_TOP_MIN; n <= ML_TOP_MAX; n++) {
    lua_pushinteger(L, r.top[n]);
    lua_rawseti(L, -2, n);
  }
  lua_setfield(L, -2, "top");
  lua_newtable(L);
  for (int n = ML_TOP_MAX + 1; n <= ML_GRAM_MAX; n++) {
    lua_pushinteger(L, r.gram[n]);
    lua_rawseti(L, -2, n);
  }
  lua_setfield(L, -2, "grams");
  return 1;
}

/* layout(text, brief) */
static int stats_layout(lua_State *L) {
  ml_span text = check_text(L, 1);
  ml_layout l;
  lml_check(L, ml_layout_of(&l, text.p, text.n, lml_checksize(L, 2)), 0);
  lua_createtable(L, 0, 6);
  set_repeats(L, "lines", &l.lines);
  set_integer(L, "ended", l.ended), set_integer(L, "brief", l.brief);
  set_integer(L, "chars", l.chars), set_integer(L, "breaks", l.breaks);
  set_integer(L, "words", l.words);
  return 1;
}

/* symbols(text) */
static int stats_symbols(lua_State *L) {
  ml_span text = check_text(L, 1);
  ml_symbols s;
  ml_symbols_of(&s, text.p, text.n);
  lua_createtable(L, 0, 6);
  set_integer(L, "chars", s.chars), set_integer(L, "plain", s.plain);
  set_integer(L, "digits", s.digits), set_integer(L, "blank", s.blank);
  set_integer(L, "brackets", s.brackets), set_integer(L, "url", s.url);
  return 1;
}

/* scripts(text) -> { script = letters }, letters */
static int stats_scripts(lua_State *L) {
  static const char *const names[ML_SCRIPTS] = {
      "latin", "greek", "cyrillic", "armenian", "hebrew", "arabic", "devanagari", "bengali",
      "tamil", "thai", "georgian", "hangul", "kana", "han", "other"};
  ml_span text = check_text(L, 1);
  int64_t counts[ML_SCRIPTS], letters = 0;
  ml_scripts_of(counts, text.p, text.n);
  lua_newtable(L);
  for (int i = 0; i < ML_SCRIPTS; i++) {
    letters += counts[i];
    if (counts[i]) set_integer(L, names[i], counts[i]);
  }
  lua_pushinteger(L, letters);
  return 2;
}

static int stats_chars(lua_State *L) {
  ml_span text = check_text(L, 1);
  lua_pushinteger(L, ml_char_count(text.p, text.n));
  return 1;
}

static int stats_sentences(lua_State *L) {
  ml_span text = check_text(L, 1);
  lua_pushinteger(L, ml_sentences(text.p, text.n));
  return 1;
}

/* words(text) -> array of strings */
static int stats_words(lua_State *L) {
  ml_span text = check_text(L, 1);
  void **box = lml_newbox(L, BLOCK);
  ml_words words;
  lml_check(L, ml_words_of(&words, text.p, text.n), 0);
  *box = words.w;
  lua_createtable(L, (int)words.n, 0);
  for (int64_t i = 0; i < words.n; i++) {
    lua_pushlstring(L, (const char *)text.p + words.w[i].at, words.w[i].bytes);
    lua_rawseti(L, -2, i + 1);
  }
  ml_free(words.w);
  *box = NULL;
  return 1;
}

/* lines(text) -> lines without white space around them, words of each, longest word of each */
static int stats_lines(lua_State *L) {
  ml_span rest = check_text(L, 1), line;
  lua_newtable(L);
  lua_newtable(L);
  lua_newtable(L);
  for (lua_Integer i = 1; ml_next_line(&rest, &line); i++) {
    int64_t words, longest;
    line = ml_strip(line);
    ml_line_words(line, &words, &longest);
    lua_pushlstring(L, (const char *)line.p, line.n);
    lua_rawseti(L, -4, i);
    lua_pushinteger(L, words);
    lua_rawseti(L, -3, i);
    lua_pushinteger(L, longest);
    lua_rawseti(L, -2, i);
  }
  return 3;
}

/* pieces(text, unit) -> where each ends, a hash of its words, how many they are */
static int stats_pieces(lua_State *L) {
  static const char *const units[] = {"line", "paragraph", "sentence", NULL};
  ml_span text = check_text(L, 1);
  int unit = lml_checkoption(L, 2, units);
  ml_piece piece = {0};
  for (int i = 0; i < 3; i++) lua_newtable(L);
  for (lua_Integer i = 1; piece.end < text.n; i++) {
    lml_check(L, ml_piece_at(&piece, text.p, text.n, piece.end, unit), 0);
    lua_pushinteger(L, (lua_Integer)piece.end);
    lua_rawseti(L, -4, i);
    lua_pushinteger(L, (lua_Integer)piece.key);
    lua_rawseti(L, -3, i);
    lua_pushinteger(L, piece.words);
    lua_rawseti(L, -2, i);
  }
  return 3;
}

/* ---- shingles ---- */

/* pushes a copy, aligned, of the hashes in the string at arg */
static uint64_t *check_hashes(lua_State *L, int arg, int64_t *count) {
  size_t n;
  const char *s = lml_checkstring(L, arg, &n);
  if (n % sizeof(uint64_t) != 0) lml_argerror(L, arg, "not a set of shingles");
  uint64_t *v = lua_newuserdatauv(L, n + 1, 0);
  if (n) memcpy(v, s, n);
  *count = (int64_t)(n / sizeof *v);
  return v;
}

static int push_hashes(lua_State *L, const uint64_t *v, int64_t n) {
  lua_pushlstring(L, n ? (const char *)v : "", (size_t)n * sizeof *v);
  return 1;
}

/* of(text, words) -> set */
static int shingles_of(lua_State *L) {
  ml_span text = check_text(L, 1);
  int64_t words = lml_checkinteger(L, 2), count;
  lml_argcheck(L, words >= 1 && words <= 1000, 2, "from 1 to 1000");
  void **box = lml_newbox(L, BLOCK);
  uint64_t *v;
  int st = ml_shingles(&v, &count, text.p, text.n, (int)words);
  *box = v;
  lml_check(L, st, 0);
  push_hashes(L, v, count);
  ml_free(v);
  *box = NULL;
  return 1;
}

/* signature(set, bands, rows, seed) -> 8 bytes a band */
static int shingles_signature(lua_State *L) {
  enum { MOST = 1024 };
  uint64_t bands_of[MOST];
  int64_t count, bands = lml_checkinteger(L, 2), rows = lml_checkinteger(L, 3);
  uint64_t seed = (uint64_t)lml_checkinteger(L, 4);
  lml_argcheck(L, bands >= 1 && bands <= MOST, 2, "from 1 to 1024");
  lml_argcheck(L, rows >= 1 && rows <= MOST, 3, "from 1 to 1024");
  const uint64_t *v = check_hashes(L, 1, &count);
  ml_signature(bands_of, v, count, (int)bands, (int)rows, seed);
  return push_hashes(L, bands_of, bands);
}

/* shared(a, b) -> how many are in both */
static int shingles_shared(lua_State *L) {
  int64_t na, nb;
  const uint64_t *a = check_hashes(L, 1, &na), *b = check_hashes(L, 2, &nb);
  lua_pushinteger(L, ml_shared(a, na, b, nb));
  return 1;
}

/* union(list of sets) -> set */
static int shingles_union(lua_State *L) {
  lml_checktype(L, 1, LUA_TTABLE);
  luaL_Buffer all;
  lua_settop(L, 1);
  luaL_buffinit(L, &all);
  for (lua_Integer i = 1; lua_rawgeti(L, 1, i) != LUA_TNIL; i++) {
    if (lua_type(L, -1) != LUA_TSTRING)
      return lml_error(L, "union: item %I is a %s, not a set of shingles", i, luaL_typename(L, -1));
    luaL_addvalue(&all);
  }
  lua_pop(L, 1);
  luaL_pushresult(&all);
  int64_t count;
  uint64_t *v = check_hashes(L, lua_gettop(L), &count);
  return push_hashes(L, v, ml_sort_unique(v, count));
}

/* ids(set, n) -> i64 tensor of each hash modulo n */
static int shingles_ids(lua_State *L) {
  int64_t count, n = lml_checkinteger(L, 2);
  lml_argcheck(L, n >= 1, 2, "at least 1");
  const uint64_t *v = check_hashes(L, 1, &count);
  ml_tensor **ids = lml_newtensor(L);
  lml_check(L, ml_tensor_new(ids, ML_I64, 1, &count), 0);
  int64_t *to = ml_data(*ids);
  for (int64_t i = 0; i < count; i++) to[i] = (int64_t)(v[i] % (uint64_t)n);
  return 1;
}

void lml_open_stats(lua_State *L) {
  static const luaL_Reg stats[] = {
      {"quality", stats_quality}, {"repetition", stats_repetition}, {"layout", stats_layout},
      {"chars", stats_chars}, {"sentences", stats_sentences}, {"words", stats_words},
      {"lines", stats_lines}, {"pieces", stats_pieces}, {"symbols", stats_symbols},
      {"scripts", stats_scripts},
      {NULL, NULL}};
  static const luaL_Reg shingles[] = {
      {"of", shingles_of}, {"signature", shingles_signature}, {"shared", shingles_shared},
      {"union", shingles_union}, {"ids", shingles_ids}, {NULL, NULL}};
  lml_newtype(L, BLOCK, NULL, ml_free);
  luaL_newlib(L, stats);
  lua_setfield(L, -2, "stats");
  luaL_newlib(L, shingles);
  lua_setfield(L, -2, "shingles");
}
