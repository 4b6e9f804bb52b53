/* lcreate.c -- making tensors: of sizes, of nested tables, numbers and strings, of chance.
** Sizes are numbers or one array; options { dtype, grad } come last. */
#include <math.h>
#include <string.h>

#include "bind/laux.h"

static const char *const known[] = {"dtype", "grad", NULL};

typedef struct { int dtype; bool grad; } options;

/* arg may be absent; dtype is left alone when the table does not name one */
static options read_options(lua_State *L, int arg, const char *who, int dtype) {
  options o = {dtype, false};
  if (lua_isnoneornil(L, arg)) return o;
  lml_checkoptions(L, arg, who, known);
  o.grad = lml_optfield_boolean(L, arg, "grad", false);
  if (lua_getfield(L, arg, "dtype") != LUA_TNIL) {
    const char *s = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    for (o.dtype = 0; o.dtype < ML_DTYPES && strcmp(s, ml_dtype_name(o.dtype)); o.dtype++) {}
    if (o.dtype == ML_DTYPES)
      lml_error(L, "%s: no dtype \"%s\"; there are f32 f64 i64 i32 u8 bool bf16 f16", who,
                luaL_tolstring(L, -1, NULL));
  }
  lua_pop(L, 1);
  if (o.grad && !ml_is_real(o.dtype))
    lml_error(L, "%s: only f32 and f64 have gradients, not %s", who, ml_dtype_name(o.dtype));
  return o;
}

/* the end of every maker: the box on the stack top is filled */
static int finish(lua_State *L, ml_tensor **box, options o) {
  (*box)->requires_grad = o.grad;
  lml_report_bytes(L);
  return 1;
}

/* sizes from `first`, then options; a new tensor in a box on the stack top */
static ml_tensor **of_sizes(lua_State *L, int first, const char *who, int dtype, options *o) {
  ml_sizes z;
  int next = lml_checksizes(L, first, &z);
  *o = read_options(L, next, who, dtype);
  if (!lua_isnone(L, next + 1)) lml_error(L, "%s: too many arguments: sizes, then options", who);
  ml_tensor **box = lml_newtensor(L);
  lml_check(L, ml_tensor_new(box, o->dtype, z.ndim, z.size), 0);
  return box;
}

/* ---- the same number everywhere ---- */
typedef struct { ml_tensor *y; const void *v; int dtype; } constant;

static void fill_rows(void *ctx, int64_t r0, int64_t r1) {
  constant *c = ctx;
  char *p = (char *)ml_data(c->y) + r0 * ml_dtype_size(c->y->dtype);
  ml_cast(p, c->y->dtype, 1, c->v, c->dtype, 0, r1 - r0);
}

enum { CHUNK = 16384 };

static void fill_with(ml_tensor *y, const void *v, int dtype) {
  constant c = {y, v, dtype};
  ml_rows_parallel(ml_numel(y), CHUNK, fill_rows, &c);
}

static int create_zeros(lua_State *L) {
  options o;
  ml_tensor **y = of_sizes(L, 1, "zeros", ML_F32, &o);
  memset((*y)->storage->data, 0, (*y)->storage->bytes);
  return finish(L, y, o);
}

static int create_ones(lua_State *L) {
  options o;
  ml_tensor **y = of_sizes(L, 1, "ones", ML_F32, &o);
  fill_with(*y, &(int64_t){1}, ML_I64);
  return finish(L, y, o);
}

/* full({2, 3}, v), or full(n, v) */
static int create_full(lua_State *L) {
  options o;
  ml_sizes z = {.ndim = 1};
  int next = 2;
  if (lua_istable(L, 1)) lml_checksizes(L, 1, &z);
  else z.size[0] = lml_checksize(L, 1);
  bool boolean = lua_isboolean(L, next);
  lml_argcheck(L, boolean || lua_type(L, next) == LUA_TNUMBER, next, "a number or a boolean");
  int dtype = boolean ? ML_BOOL : ML_F32;
  o = read_options(L, next + 1, "full", dtype);
  ml_tensor **y = lml_newtensor(L);
  lml_check(L, ml_tensor_new(y, o.dtype, z.ndim, z.size), 0);
  if (boolean || lua_isinteger(L, next)) {
    int64_t v = boolean ? lua_toboolean(L, next) : lua_tointeger(L, next);
    fill_with(*y, &v, ML_I64);
  } else {
    fill_with(*y, &(double){lua_tonumber(L, next)}, ML_F64);
  }
  return finish(L, y, o);
}

static int like(lua_State *L, const char *who, int64_t v) {
  lua_settop(L, 2);
  options o = read_options(L, 2, who, lml_checktensor(L, 1)->dtype);
  ml_tensor **y = lml_newtensor(L), *x = lml_checktensor(L, 1);
  lml_check(L, ml_tensor_new(y, o.dtype, x->ndim, x->size), 0);
  fill_with(*y, &v, ML_I64);
  return finish(L, y, o);
}

static int create_zeros_like(lua_State *L) { return like(L, "zeros_like", 0); }
static int create_ones_like(lua_State *L) { return like(L, "ones_like", 1); }

static int create_eye(lua_State *L) {
  int64_t n = lml_checksize(L, 1);
  options o = read_options(L, 2, "eye", ML_F32);
  ml_tensor **y = lml_newtensor(L);
  lml_check(L, ml_tensor_zeros(y, o.dtype, 2, (int64_t[]){n, n}), 0);
  if (n > 0) ml_cast(ml_data(*y), o.dtype, n + 1, &(int64_t){1}, ML_I64, 0, n);
  return finish(L, y, o);
}

/* arange(last), arange(first, last [, step]): the last is included, as in Lua's own for */
static int create_arange(lua_State *L) {
  int n = 1;
  bool whole = true;
  while (n < 4 && lua_type(L, n) == LUA_TNUMBER) whole = whole && lua_isinteger(L, n), n++;
  if (n == 1) lml_checknumber(L, 1);
  options o = read_options(L, n, "arange", whole ? ML_I64 : ML_F32);
  double a = n > 2 ? lua_tonumber(L, 1) : 1, b = lua_tonumber(L, n > 2 ? 2 : 1);
  double step = n > 3 ? lua_tonumber(L, 3) : 1;
  if (!isfinite(a) || !isfinite(b) || !isfinite(step) || step == 0)
    return lml_error(L, "arange: first, last and a step other than 0 must be finite, got %f, %f, "
                     "%f", a, b, step);
  double count = floor((b - a) / step * (1 + 1e-12)) + 1;
  if (count > 0x1p53) return lml_error(L, "arange: too many elements from %f to %f", a, b);
  int64_t len = count > 0 ? (int64_t)count : 0;
  ml_tensor **y = lml_newtensor(L);
  lml_check(L, ml_tensor_new(y, o.dtype, 1, &len), 0);
  int64_t first = whole && n > 2 ? lua_tointeger(L, 1) : 1;
  int64_t by = whole && n > 3 ? lua_tointeger(L, 3) : 1;
  char *p = ml_data(*y);
  for (int64_t i = 0; i < len; i++, p += ml_dtype_size(o.dtype)) {
    if (whole) ml_cast(p, o.dtype, 1, &(int64_t){first + i * by}, ML_I64, 1, 1);
    else ml_cast(p, o.dtype, 1, &(double){a + (double)i * step}, ML_F64, 1, 1);
  }
  return finish(L, y, o);
}

/* ---- from Lua values ---- */
typedef struct { ml_sizes z; bool any_float, any_integer, any_boolean; } survey;

/* sizes come from the first of everything; kinds from every value */
static void look(lua_State *L, survey *s, int arg, int d) {
  luaL_checkstack(L, 4, "tensor");
  if (!lua_istable(L, arg)) {
    if (lua_isboolean(L, arg)) s->any_boolean = true;
    else if (lua_type(L, arg) != LUA_TNUMBER)
      lml_error(L, "tensor: expected numbers, got %s", lml_got(L, arg));
    else if (lua_isinteger(L, arg)) s->any_integer = true;
    else s->any_float = true;
    if (d != s->z.ndim) lml_error(L, "tensor: numbers at different depths");
    return;
  }
  int64_t n = (int64_t)lua_rawlen(L, arg);
  if (d >= s->z.ndim)
    lml_error(L, "tensor: tables nested deeper in one place than in another");
  if (n != s->z.size[d])
    lml_error(L, "tensor: a table of %I where others have %I", (LUAI_UACINT)n,
              (LUAI_UACINT)s->z.size[d]);
  for (int64_t i = 1; i <= n; i++) {
    lua_rawgeti(L, arg, i);
    look(L, s, lua_gettop(L), d + 1);
    lua_pop(L, 1);
  }
}

static void find_sizes(lua_State *L, survey *s, int arg) {
  int top = lua_gettop(L);
  lua_pushvalue(L, arg);
  while (lua_istable(L, -1)) {
    if (s->z.ndim == ML_MAX_DIMS) lml_error(L, "tensor: at most %d dimensions", ML_MAX_DIMS);
    s->z.size[s->z.ndim++] = (int64_t)lua_rawlen(L, -1);
    lua_rawgeti(L, -1, 1);
    lua_remove(L, -2);
  }
  lua_settop(L, top);
}

static void store(lua_State *L, ml_tensor *y, int arg, int64_t *at) {
  if (lua_istable(L, arg)) {
    int64_t n = (int64_t)lua_rawlen(L, arg);
    for (int64_t i = 1; i <= n; i++) {
      lua_rawgeti(L, arg, i);
      store(L, y, lua_gettop(L), at);
      lua_pop(L, 1);
    }
    return;
  }
  if (*at >= ml_numel(y)) lml_error(L, "tensor: the table changed meanwhile");
  char *p = (char *)ml_data(y) + (*at)++ * ml_dtype_size(y->dtype);
  if (lua_isboolean(L, arg))
    ml_cast(p, y->dtype, 1, &(int64_t){lua_toboolean(L, arg)}, ML_I64, 1, 1);
  else if (lua_isinteger(L, arg))
    ml_cast(p, y->dtype, 1, &(int64_t){lua_tointeger(L, arg)}, ML_I64, 1, 1);
  else ml_cast(p, y->dtype, 1, &(double){lua_tonumber(L, arg)}, ML_F64, 1, 1);
}

/* a string's bytes: u8, or cast to the dtype asked for */
static int of_string(lua_State *L) {
  size_t n;
  const char *s = lua_tolstring(L, 1, &n);
  options o = read_options(L, 2, "tensor", ML_U8);
  ml_tensor **y = lml_newtensor(L);
  lml_check(L, ml_tensor_new(y, o.dtype, 1, &(int64_t){(int64_t)n}), 0);
  ml_cast(ml_data(*y), o.dtype, 1, s, ML_U8, 1, (int64_t)n);
  return finish(L, y, o);
}

/* tensor(t, options): a copy, perhaps of another dtype, with no history */
static int of_tensor(lua_State *L) {
  options o = read_options(L, 2, "tensor", lml_checktensor(L, 1)->dtype);
  ml_tensor **y = lml_newtensor(L), *x = lml_checktensor(L, 1);
  lml_check(L, ml_tensor_new(y, o.dtype, x->ndim, x->size), 0);
  lml_check(L, ml_copy_into(*y, x), 0);
  return finish(L, y, o);
}

/* whole numbers make i64, booleans bool, everything else f32 */
static int create_tensor(lua_State *L) {
  lua_settop(L, 2);
  if (lua_type(L, 1) == LUA_TSTRING) return of_string(L);
  if (lua_isuserdata(L, 1)) return of_tensor(L);
  survey s = {.z = {.ndim = 0}};
  find_sizes(L, &s, 1);
  look(L, &s, 1, 0);
  int dtype = s.any_float || !(s.any_integer || s.any_boolean) ? ML_F32
              : s.any_integer ? ML_I64 : ML_BOOL;
  options o = read_options(L, 2, "tensor", dtype);
  ml_tensor **y = lml_newtensor(L);
  int64_t at = 0;
  lml_check(L, ml_tensor_new(y, o.dtype, s.z.ndim, s.z.size), 0);
  store(L, *y, 1, &at);
  return finish(L, y, o);
}

/* frombytes(string, dtype, sizes): the inverse of :bytes() */
static int create_frombytes(lua_State *L) {
  size_t n;
  ml_sizes z;
  const char *s = lml_checkstring(L, 1, &n);
  int dtype = lml_checkdtype(L, 2);
  lml_checksizes(L, 3, &z);
  ml_tensor **y = lml_newtensor(L);
  lml_check(L, ml_tensor_new(y, dtype, z.ndim, z.size), 0);
  if ((*y)->storage->bytes != n)
    return lml_error(L, "frombytes: %s of %s needs %I bytes, got %I", ml_shape(*y).s,
                     ml_dtype_name(dtype), (LUAI_UACINT)(*y)->storage->bytes, (LUAI_UACINT)n);
  memcpy(ml_data(*y), s, n);
  return finish(L, y, (options){dtype, false});
}

/* ---- chance: element i is a function of (seed, step, index + i), whatever the threads ---- */
typedef void chance_fn(void *y, int64_t i0, int64_t i1, uint64_t seed, uint32_t stream,
                       uint64_t index0, uint32_t step, uint32_t site);
typedef struct {
  ml_tensor *y;
  chance_fn *fn;
  ml_rng at;
  int64_t lo;
  uint64_t range; /* 0: all 2^64 */
} chance;

static void draw_rows(void *ctx, int64_t r0, int64_t r1) {
  chance *c = ctx;
  c->fn(ml_data(c->y), r0, r1, c->at.seed, 0, c->at.index, c->at.step, 0);
}

static ml_rng take(lua_State *L, int64_t n) {
  ml_rng *rng = lml_rng(L), now = *rng;
  rng->index += (uint64_t)n;
  return now;
}

static int draw_real(lua_State *L, const char *who, bool normal) {
  options o;
  ml_tensor **y = of_sizes(L, 1, who, ML_F32, &o);
  if (!ml_is_real(o.dtype))
    return lml_error(L, "%s: dtype must be f32 or f64, got %s", who, ml_dtype_name(o.dtype));
  const ml_kernels *k = ml_k(o.dtype);
  chance c = {.y = *y, .fn = normal ? k->normal : k->uniform};
  c.at = take(L, ml_numel(*y));
  ml_rows_parallel(ml_numel(*y), CHUNK, draw_rows, &c);
  return finish(L, y, o);
}

static int create_randn(lua_State *L) { return draw_real(L, "randn", true); }
static int create_rand(lua_State *L) { return draw_real(L, "rand", false); }

/* lo + floor(u * range / 2^64) */
static void draw_integers(void *ctx, int64_t r0, int64_t r1) {
  chance *c = ctx;
  int64_t *y = ml_data(c->y);
  for (int64_t i = r0; i < r1; i++) {
    ml_u32x4 u = ml_random(c->at.seed, 0, c->at.index + (uint64_t)i, c->at.step, 0);
    uint64_t v = (uint64_t)u.v[1] << 32 | u.v[0];
    if (c->range != 0) v = (uint64_t)(((unsigned __int128)v * c->range) >> 64);
    y[i] = (int64_t)((uint64_t)c->lo + v);
  }
}

static int create_randint(lua_State *L) {
  options o;
  int64_t lo = lml_checkinteger(L, 1), hi = lml_checkinteger(L, 2);
  if (lo > hi) return lml_error(L, "randint: from %I to %I is empty", lo, hi);
  ml_tensor **y = of_sizes(L, 3, "randint", ML_I64, &o);
  if (o.dtype != ML_I64)
    return lml_error(L, "randint: dtype must be i64, got %s", ml_dtype_name(o.dtype));
  chance c = {.y = *y, .lo = lo, .range = (uint64_t)hi - (uint64_t)lo + 1};
  c.at = take(L, ml_numel(*y));
  ml_rows_parallel(ml_numel(*y), CHUNK, draw_integers, &c);
  return finish(L, y, o);
}

static const luaL_Reg makers[] = {
  {"tensor", create_tensor}, {"frombytes", create_frombytes}, {"zeros", create_zeros},
  {"ones", create_ones}, {"full", create_full}, {"zeros_like", create_zeros_like},
  {"ones_like", create_ones_like}, {"eye", create_eye}, {"arange", create_arange},
  {"randn", create_randn}, {"rand", create_rand}, {"randint", create_randint}, {NULL, NULL}};

void lml_open_create(lua_State *L) { luaL_setfuncs(L, makers, 0); }
