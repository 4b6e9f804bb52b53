/* lindex.c -- t[k] and t[k] = v. k is one selector for the first dimension, or an array of
** them, one a dimension. A selector is
**   an integer                   that position; the dimension goes away
**   { first, last [, step] }     a range, both ends included
**   ml.all (any function)        the whole dimension
**   a tensor (alone only)        i64: positions along the first dimension; bool or u8: a mask
**                                of t's own sizes, or of its first dimension
** Positions are 1-based, -1 is the last. A table of nothing but integers is a range. */
#include <string.h>

#include "bind/laux.h"

/* ---- selectors ---- */
typedef struct { int64_t start, len, step; bool one, all; } selector;

static int64_t whole(lua_State *L, int arg, const char *what) {
  int ok;
  lua_Integer v = lua_tointegerx(L, arg, &ok);
  if (!ok || lua_type(L, arg) != LUA_TNUMBER)
    lml_error(L, "index: %s must be an integer, got %s", what, luaL_tolstring(L, arg, NULL));
  return v;
}

static int64_t position(lua_State *L, int64_t p, int64_t n, int dim) {
  if (p == 0 || p > n || p < -n)
    lml_error(L, "index: position %I is outside dimension %d of %I", (LUAI_UACINT)p, dim + 1,
              (LUAI_UACINT)n);
  return p > 0 ? p - 1 : p + n;
}

/* { first, last [, step] } at arg; last = first - 1 is an empty range */
static selector read_range(lua_State *L, int arg, int64_t n, int dim) {
  selector s = {.step = 1};
  lua_Unsigned count = lua_rawlen(L, arg);
  if (count < 2 || count > 3)
    lml_error(L, "index: a range is { first, last [, step] }, got %I numbers",
              (LUAI_UACINT)count);
  lua_rawgeti(L, arg, 1), lua_rawgeti(L, arg, 2), lua_rawgeti(L, arg, 3);
  int64_t first = whole(L, -3, "first"), last = whole(L, -2, "last");
  if (count == 3) s.step = whole(L, -1, "step");
  lua_pop(L, 3);
  if (s.step < 1) lml_error(L, "index: step must be at least 1, got %I", (LUAI_UACINT)s.step);
  bool empty = first >= 1 && first <= n + 1 && last == first - 1;
  if (empty) return s.start = first - 1, s;
  s.start = position(L, first, n, dim);
  int64_t end = position(L, last, n, dim);
  if (end < s.start)
    lml_error(L, "index: range %I to %I runs backwards", (LUAI_UACINT)first,
              (LUAI_UACINT)last);
  s.len = (end - s.start) / s.step + 1;
  return s;
}

static selector read_selector(lua_State *L, int arg, int64_t n, int dim) {
  selector s = {.step = 1};
  switch (lua_type(L, arg)) {
    case LUA_TNUMBER:
      s.one = true;
      s.start = position(L, whole(L, arg, "a position"), n, dim);
      break;
    case LUA_TTABLE: return read_range(L, arg, n, dim);
    case LUA_TFUNCTION: s.all = true; break;
    default:
      lml_error(L, "index: expected a position, a range or ml.all, got %s",
                lml_got(L, arg));
  }
  return s;
}

/* how many selectors the key holds, and whether it is an array of them: a table of nothing
** but numbers is one range */
static int count_selectors(lua_State *L, int key, bool *array) {
  *array = false;
  if (!lua_istable(L, key)) return 1;
  int n = (int)lua_rawlen(L, key), numbers = 0;
  if (n > ML_MAX_DIMS) lml_error(L, "index: at most %d selectors, got %d", ML_MAX_DIMS, n);
  for (int i = 1; i <= n; i++) {
    numbers += lua_rawgeti(L, key, i) == LUA_TNUMBER;
    lua_pop(L, 1);
  }
  *array = numbers < n;
  return *array ? n : 1;
}

/* s[i] for the key's selectors; sizes are x's. Returns how many. */
static int read_key(lua_State *L, int key, const ml_tensor *x, selector *s) {
  bool array;
  int n = count_selectors(L, key, &array);
  if (n > x->ndim)
    lml_error(L, "index: %d selectors for %s, at most one a dimension", n, ml_shape(x).s);
  for (int i = 0; i < n; i++) {
    if (array) lua_rawgeti(L, key, i + 1);
    else lua_pushvalue(L, key);
    s[i] = read_selector(L, lua_gettop(L), x->size[i], i);
    lua_pop(L, 1);
  }
  return n;
}

/* ---- views: straight from C when no gradient has to be recorded ---- */
static int view_step(ml_tensor **out, const ml_tensor *x, int dim, const selector *s) {
  if (s->one) return ml_view_select(out, x, dim, s->start);
  return ml_view_narrow(out, x, dim, s->start, s->len, s->step);
}

static int view_of(ml_tensor **out, ml_tensor *x, const selector *s, int n) {
  ml_tensor *cur = ml_tensor_ref(x);
  int st = ML_OK, dim = 0;
  for (int i = 0; i < n && st == ML_OK; i++) {
    ml_tensor *next;
    if (!s[i].all) {
      st = view_step(&next, cur, dim, &s[i]);
      if (st != ML_OK) break;
      ml_tensor_free(cur);
      cur = next;
    }
    dim += !s[i].one;
  }
  if (st == ML_OK && cur == x) { /* t[ml.all]: another header, not x itself */
    ml_tensor_free(cur);
    return ml_view_alias(out, x);
  }
  if (st == ML_OK) *out = cur;
  else ml_tensor_free(cur);
  return st;
}

/* ---- recorded: the ops of the same names, called as Lua would ---- */
static void push_method(lua_State *L, const char *name) {
  lml_pushmethods(L);
  if (lua_getfield(L, -1, name) == LUA_TNIL) lml_error(L, "index: no op named %s", name);
  lua_remove(L, -2);
}

/* replaces the tensor on the stack top by the op's result */
static void op_step(lua_State *L, int dim, const selector *s) {
  int n = 3;
  push_method(L, s->one ? "select" : "narrow");
  lua_insert(L, -2);
  lua_pushinteger(L, dim + 1);
  lua_pushinteger(L, s->len > 0 || s->one ? s->start + 1 : 1); /* an empty one starts anywhere */
  if (!s->one) {
    lua_pushinteger(L, s->len), lua_pushinteger(L, s->step);
    n = 5;
  }
  lua_call(L, n, 1);
}

static int op_view(lua_State *L, const selector *s, int n) {
  lua_pushvalue(L, 1);
  for (int i = 0, dim = 0; i < n; i++) {
    if (!s[i].all) op_step(L, dim, &s[i]);
    dim += !s[i].one;
  }
  return 1;
}

/* ---- masks and index tensors ---- */
static bool is_mask(const ml_tensor *k) { return k->dtype == ML_BOOL || k->dtype == ML_U8; }

/* whether a mask speaks of every element (rather than of the first dimension) */
static bool mask_of_all(lua_State *L, const ml_tensor *x, const ml_tensor *k) {
  if (ml_same_shape(x, k)) return true;
  if (k->ndim != 1 || x->ndim == 0 || k->size[0] != x->size[0])
    lml_error(L, "index: a mask %s does not fit %s", ml_shape(k).s, ml_shape(x).s);
  return false;
}

/* calls method name of the tensor on the top with an array of sizes */
static void reshape_top(lua_State *L, int ndim, const int64_t *size) {
  push_method(L, "reshape");
  lua_insert(L, -2);
  lua_createtable(L, ndim, 0);
  for (int d = 0; d < ndim; d++) {
    lua_pushinteger(L, size[d]);
    lua_rawseti(L, -2, d + 1);
  }
  lua_call(L, 2, 1);
}

static int flatten(ml_tensor **out, ml_tensor *k) {
  ml_tensor *plain;
  int st = ml_contiguous(&plain, k);
  if (st != ML_OK) return st;
  st = ml_view_reshape(out, plain, 1, &(int64_t){ml_numel(k)});
  ml_tensor_free(plain);
  return st;
}

/* t[tensor]: rows by position; of a mask, by the positions it sets */
static int read_by_tensor(lua_State *L) {
  ml_sizes z = {0};
  ml_tensor **pos = lml_newtensor(L);
  ml_tensor *x = lml_checktensor(L, 1), *k = lml_checktensor(L, 2);
  bool flat = false, mask = is_mask(k);
  if (x->ndim == 0) lml_error(L, "index: a single number has no positions");
  if (mask) {
    flat = mask_of_all(L, x, k);
    lml_check(L, ml_mask_positions(pos, k), 0);
  } else {
    if (k->ndim + x->ndim - 1 > ML_MAX_DIMS)
      lml_error(L, "index: at most %d dimensions", ML_MAX_DIMS);
    z.ndim = k->ndim + x->ndim - 1;
    for (int d = 0; d < z.ndim; d++)
      z.size[d] = d < k->ndim ? k->size[d] : x->size[d - k->ndim + 1];
    lml_check(L, flatten(pos, k), 0);
  }
  bool again = !mask && k->ndim != 1;
  lua_pushvalue(L, 1);
  if (flat && x->ndim != 1) reshape_top(L, 1, (int64_t[]){ml_numel(x)});
  push_method(L, "index_select");
  lua_insert(L, -2);
  lua_pushinteger(L, 1);
  lua_pushvalue(L, 3);
  lua_call(L, 3, 1);
  if (again) reshape_top(L, z.ndim, z.size);
  return 1;
}

static int read_by_key(lua_State *L) {
  selector s[ML_MAX_DIMS];
  lua_settop(L, 2);
  ml_tensor **box = lml_newtensor(L);
  int n = read_key(L, 2, lml_checktensor(L, 1), s);
  ml_tensor *x = lml_checktensor(L, 1);
  if (ml_grad_enabled && x->requires_grad) return op_view(L, s, n);
  return lml_check(L, view_of(box, x, s, n), 1);
}

/* upvalue 1: the methods */
static int tensor_index(lua_State *L) {
  if (lua_type(L, 2) == LUA_TSTRING) {
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL) return 1;
    return lml_error(L, "tensors have no method \"%s\"", lua_tostring(L, 2));
  }
  lml_checktensor(L, 1);
  return lml_totensor(L, 2) ? read_by_tensor(L) : read_by_key(L);
}

/* ---- assignment ---- */
/* the value at 3 as a tensor: itself, or a number in a box of x's dtype pushed on the stack */
static ml_tensor *value(lua_State *L) {
  ml_tensor **box = lml_newtensor(L);
  if (lml_totensor(L, 3)) return lml_checktensor(L, 3);
  if (!lua_isboolean(L, 3) && lua_type(L, 3) != LUA_TNUMBER)
    lml_error(L, "index: expected a number or a tensor to assign, got %s", lml_got(L, 3));
  lml_check(L, lml_number_tensor(L, 3, lml_checktensor(L, 1)->dtype, box), 0);
  return *box;
}

static int write_by_mask(ml_tensor *x, ml_tensor *k, ml_tensor *v, bool all) {
  ml_tensor *pos = NULL, *own = NULL, *flat = NULL;
  int st = ml_mask_positions(&pos, k);
  if (st == ML_OK && !all) st = ml_index_write(x, pos, v);
  else if (st == ML_OK) { /* element by element, in a flat copy unless x is flat in memory */
    st = ml_contiguous(&own, x);
    if (st == ML_OK) st = ml_view_reshape(&flat, own, 1, &(int64_t){ml_numel(x)});
    if (st == ML_OK) st = ml_index_write(flat, pos, v);
    if (st == ML_OK) st = ml_copy_into(x, own);
  }
  ml_tensor_free(pos), ml_tensor_free(own), ml_tensor_free(flat);
  return st;
}

static int write_by_tensor(lua_State *L) {
  ml_tensor *v = value(L), *x = lml_checktensor(L, 1), *k = lml_checktensor(L, 2);
  if (!is_mask(k)) return lml_check(L, ml_index_write(x, k, v), 0);
  return lml_check(L, write_by_mask(x, k, v, mask_of_all(L, x, k)), 0);
}

static int write_by_key(lua_State *L) {
  selector s[ML_MAX_DIMS];
  ml_tensor **view = lml_newtensor(L), *v = value(L);
  int n = read_key(L, 2, lml_checktensor(L, 1), s);
  v = lml_totensor(L, 3) ? lml_checktensor(L, 3) : v;
  lml_check(L, view_of(view, lml_checktensor(L, 1), s, n), 0);
  lml_check(L, lml_fits("index", *view, v), 0);
  return lml_check(L, ml_copy_into(*view, v), 0);
}

static int tensor_newindex(lua_State *L) {
  ml_tensor *x = lml_checktensor(L, 1), *v = lml_totensor(L, 3);
  if (lua_type(L, 2) == LUA_TSTRING)
    return lml_error(L, "tensors have no field \"%s\"", lua_tostring(L, 2));
  if (ml_grad_enabled && (x->requires_grad || (v != NULL && v->requires_grad)))
    return lml_error(L, "index: assignment is not recorded for gradients; use where, "
                     "masked_fill or cat, or assign inside no_grad");
  return lml_totensor(L, 2) ? write_by_tensor(L) : write_by_key(L);
}

void lml_open_index(lua_State *L) {
  luaL_getmetatable(L, ML_TENSOR);
  lml_pushmethods(L);
  lua_pushcclosure(L, tensor_index, 1);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, tensor_newindex);
  lua_setfield(L, -2, "__newindex");
  lua_pop(L, 1);
}
