/* ljson.c -- core.json. Reading is jansson's (exact 64-bit integers, duplicate keys refused, depth
** limited, errors with a position). Writing is ours: keys sorted, so that equal tables give equal
** bytes, and floats in the fewest digits that read back to the same number. */
#include "bind/laux.h"

#include <jansson.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARSED "moonlit.Json"
#define OUTPUT "moonlit.JsonOutput"
#define ARRAY "moonlit.json.array"

enum { DEPTH_MAX = 1000 };

/* ---- reading ---- */

static void release_parsed(void *p) { json_decref(p); }

static void push_value(lua_State *L, json_t *v);

static void push_array(lua_State *L, json_t *v) {
  size_t n = json_array_size(v);
  lua_createtable(L, (int)n, 0);
  for (size_t i = 0; i < n; i++) {
    push_value(L, json_array_get(v, i));
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  luaL_setmetatable(L, ARRAY); /* so that an empty one is written as an array again */
}

static void push_object(lua_State *L, json_t *v) {
  const char *key;
  size_t len;
  json_t *value;
  lua_createtable(L, 0, (int)json_object_size(v));
  json_object_keylen_foreach(v, key, len, value) {
    lua_pushlstring(L, key, len);
    push_value(L, value);
    lua_rawset(L, -3);
  }
}

static void push_value(lua_State *L, json_t *v) {
  luaL_checkstack(L, 4, "json: too deep");
  switch (json_typeof(v)) {
    case JSON_OBJECT: push_object(L, v); break;
    case JSON_ARRAY: push_array(L, v); break;
    case JSON_STRING: lua_pushlstring(L, json_string_value(v), json_string_length(v)); break;
    case JSON_INTEGER: lua_pushinteger(L, json_integer_value(v)); break;
    case JSON_REAL: lua_pushnumber(L, json_real_value(v)); break;
    case JSON_TRUE: lua_pushboolean(L, 1); break;
    case JSON_FALSE: lua_pushboolean(L, 0); break;
    case JSON_NULL: lua_pushlightuserdata(L, NULL); break;
  }
}

/* no value may lie deeper than DEPTH_MAX; jansson itself stops at 2048 */
static bool too_deep(json_t *v, int depth) {
  size_t i;
  const char *key;
  json_t *value;
  if (depth > DEPTH_MAX) return true;
  json_array_foreach(v, i, value)
    if (too_deep(value, depth + 1)) return true;
  json_object_foreach(v, key, value)
    if (too_deep(value, depth + 1)) return true;
  return false;
}

/* decode(text) -> value; nil, message, "format" for text that is not JSON */
static int json_decode_text(lua_State *L) {
  size_t n;
  const char *text = lml_checkstring(L, 1, &n);
  json_error_t e;
  void **box = lml_newbox(L, PARSED);
  *box = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
  if (!*box)
    return lml_result(L, ml_fail(ML_EFORMAT, "json.decode: line %d, column %d, byte %d: %s",
                                 e.line, e.column, e.position, e.text), 0);
  if (too_deep(*box, 0))
    return lml_result(L, ml_fail(ML_EFORMAT, "json.decode: nested deeper than %d", DEPTH_MAX), 0);
  push_value(L, *box);
  json_decref(*box);
  *box = NULL;
  return 1;
}

/* ---- writing ---- */

typedef struct { /* lives in the box, so that an error on the way leaks nothing */
  char *p;
  size_t n, room;
  int indent; /* spaces a level; 0 is one line */
} output;

static void release_output(void *p) {
  output *o = p;
  ml_free(o->p);
  ml_free(o);
}

static void put(lua_State *L, output *o, const char *p, size_t n) {
  if (o->n + n > o->room) {
    size_t room = (o->n + n) * 2 + 256;
    char *more = ml_alloc(room);
    if (!more) lml_check(L, ML_ENOMEM, 0);
    if (o->n) memcpy(more, o->p, o->n);
    ml_free(o->p);
    o->p = more;
    o->room = room;
  }
  memcpy(o->p + o->n, p, n);
  o->n += n;
}

static void put_text(lua_State *L, output *o, const char *s) { put(L, o, s, strlen(s)); }

static void new_line(lua_State *L, output *o, int depth) {
  if (!o->indent) return;
  put(L, o, "\n", 1);
  for (int i = 0; i < depth * o->indent; i++) put(L, o, " ", 1);
}

/* length of the UTF-8 sequence at s, 0 if it is none (overlong, surrogate, beyond U+10FFFF) */
static size_t utf8_length(const unsigned char *s, size_t left) {
  static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
  if (s[0] < 0x80) return 1;
  size_t n = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : s[0] >= 0xC0 ? 2 : 0;
  if (n == 0 || n > left || s[0] > 0xF4) return 0;
  unsigned code = s[0] & (0xFFu >> (n + 1));
  for (size_t i = 1; i < n; i++) {
    if ((s[i] & 0xC0) != 0x80) return 0;
    code = code << 6 | (s[i] & 0x3Fu);
  }
  return code < least[n] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000) ? 0 : n;
}

static void put_escape(lua_State *L, output *o, unsigned char c) {
  static const char letters[] = "\b\t\n\f\r\"\\", names[] = "btnfr\"\\";
  const char *known = c ? strchr(letters, c) : NULL;
  char buf[8];
  if (known) snprintf(buf, sizeof buf, "\\%c", names[known - letters]);
  else snprintf(buf, sizeof buf, "\\u%04x", c);
  put_text(L, o, buf);
}

static void put_string(lua_State *L, output *o, const char *text, size_t n) {
  const unsigned char *s = (const unsigned char *)text;
  put(L, o, "\"", 1);
  for (size_t i = 0; i < n;) {
    size_t k = utf8_length(s + i, n - i);
    if (k == 0) lml_error(L, "json.encode: a string is not UTF-8 at byte %d", (int)i + 1);
    if (s[i] < 0x20 || s[i] == '"' || s[i] == '\\') put_escape(L, o, s[i]);
    else put(L, o, text + i, k);
    i += k;
  }
  put(L, o, "\"", 1);
}

/* the fewest of 15, 16, 17 digits that give the same number back; ".0" keeps a float a float */
static void put_float(lua_State *L, output *o, double v) {
  char buf[40];
  if (!isfinite(v)) lml_error(L, "json.encode: %f is not a JSON number", v);
  for (int digits = 15; digits <= 17; digits++) {
    snprintf(buf, sizeof buf, "%.*g", digits, v);
    if (strtod(buf, NULL) == v) break;
  }
  char *point = strchr(buf, localeconv()->decimal_point[0]);
  if (point) *point = '.';
  else if (!strchr(buf, 'e')) strcat(buf, ".0");
  put_text(L, o, buf);
}

static void put_value(lua_State *L, output *o, int depth);

/* is the table on the top an array? its length goes to *n */
static bool is_array(lua_State *L, lua_Integer *n) {
  lua_Integer keys = 0;
  *n = (lua_Integer)lua_rawlen(L, -1);
  bool marked = luaL_getmetafield(L, -1, "__name") != LUA_TNIL;
  if (marked) {
    marked = lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), ARRAY) == 0;
    lua_pop(L, 1);
  }
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    if (!lua_isinteger(L, -2)) {
      if (marked || *n > 0) lml_error(L, "json.encode: an array has a key that is no position");
      lua_pop(L, 2);
      return false;
    }
    keys++;
  }
  if (keys != *n) lml_error(L, "json.encode: an array has holes");
  return marked || keys > 0;
}

static void put_array(lua_State *L, output *o, lua_Integer n, int depth) {
  put(L, o, "[", 1);
  for (lua_Integer i = 1; i <= n; i++) {
    if (i > 1) put(L, o, ",", 1);
    new_line(L, o, depth + 1);
    lua_rawgeti(L, -1, i);
    put_value(L, o, depth + 1);
    lua_pop(L, 1);
  }
  if (n) new_line(L, o, depth);
  put(L, o, "]", 1);
}

typedef struct { const char *p; size_t n; } key_text;

static int by_bytes(const void *a, const void *b) {
  const key_text *x = a, *y = b;
  int c = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
  return c ? c : (x->n > y->n) - (x->n < y->n);
}

/* pushes a block with the keys of the table on the top, sorted; the table keeps them alive */
static key_text *sorted_keys(lua_State *L, size_t *count) {
  size_t n = 0;
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING)
      lml_error(L, "json.encode: keys must be strings, got a %s", luaL_typename(L, -2));
    n++;
  }
  key_text *keys = lua_newuserdatauv(L, sizeof *keys * (n + 1), 0);
  *count = 0;
  for (lua_pushnil(L); lua_next(L, -3); lua_pop(L, 1)) {
    keys[*count].p = lua_tolstring(L, -2, &keys[*count].n);
    ++*count;
  }
  qsort(keys, n, sizeof *keys, by_bytes);
  return keys;
}

static void put_object(lua_State *L, output *o, int depth) {
  size_t n;
  key_text *keys = sorted_keys(L, &n); /* on the stack, above the table */
  put(L, o, "{", 1);
  for (size_t i = 0; i < n; i++) {
    if (i) put(L, o, ",", 1);
    new_line(L, o, depth + 1);
    put_string(L, o, keys[i].p, keys[i].n);
    put(L, o, ": ", o->indent ? 2 : 1);
    lua_pushlstring(L, keys[i].p, keys[i].n);
    lua_rawget(L, -3);
    put_value(L, o, depth + 1);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  if (n) new_line(L, o, depth);
  put(L, o, "}", 1);
}

static void put_table(lua_State *L, output *o, int depth) {
  lua_Integer n;
  if (depth >= DEPTH_MAX) lml_error(L, "json.encode: nested deeper than %d (a cycle?)", DEPTH_MAX);
  if (is_array(L, &n)) put_array(L, o, n, depth);
  else put_object(L, o, depth);
}

/* writes the value on the top of the stack and leaves it there */
static void put_value(lua_State *L, output *o, int depth) {
  size_t n;
  char buf[32];
  luaL_checkstack(L, 8, "json: too deep");
  switch (lua_type(L, -1)) {
    case LUA_TTABLE: put_table(L, o, depth); return;
    case LUA_TBOOLEAN: put_text(L, o, lua_toboolean(L, -1) ? "true" : "false"); return;
    case LUA_TSTRING: {
      const char *s = lua_tolstring(L, -1, &n);
      put_string(L, o, s, n);
      return;
    }
    case LUA_TNUMBER:
      if (!lua_isinteger(L, -1)) return put_float(L, o, lua_tonumber(L, -1));
      snprintf(buf, sizeof buf, LUA_INTEGER_FMT, (LUAI_UACINT)lua_tointeger(L, -1));
      return put_text(L, o, buf);
    case LUA_TLIGHTUSERDATA:
      if (!lua_touserdata(L, -1)) return put_text(L, o, "null");
  }
  lml_error(L, "json.encode: a %s has no JSON form", luaL_typename(L, -1));
}

/* encode(value, indent) -> text */
static int json_encode_value(lua_State *L) {
  if (lua_isnone(L, 1)) return lml_wrong(L, 1, "a value");
  int indent = (int)lml_optinteger(L, 2, 0);
  void **box = lml_newbox(L, OUTPUT);
  output *o = ml_alloc0(sizeof *o);
  if (!o) return lml_check(L, ML_ENOMEM, 0);
  *box = o;
  o->indent = indent > 0 ? indent : 0;
  lua_pushvalue(L, 1);
  put_value(L, o, 0);
  lua_pushlstring(L, o->p, o->n);
  return 1;
}

/* array(t) -> t, written as an array even when empty */
static int json_mark_array(lua_State *L) {
  if (lua_isnoneornil(L, 1)) {
    lua_settop(L, 0);
    lua_newtable(L);
  }
  lml_checktype(L, 1, LUA_TTABLE);
  luaL_setmetatable(L, ARRAY);
  lua_settop(L, 1);
  return 1;
}

void lml_open_json(lua_State *L) {
  static const luaL_Reg functions[] = {{"decode", json_decode_text}, {"encode", json_encode_value},
                                       {"array", json_mark_array}, {NULL, NULL}};
  lml_newtype(L, PARSED, NULL, release_parsed);
  lml_newtype(L, OUTPUT, NULL, release_output);
  luaL_newmetatable(L, ARRAY); /* sets __name, which is all it is for */
  lua_pop(L, 1);
  luaL_newlib(L, functions);
  lua_pushlightuserdata(L, NULL);
  lua_setfield(L, -2, "null");
  lua_setfield(L, -2, "json");
}
