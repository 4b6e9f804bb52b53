/* laux.c -- boxes, status -> Lua, options, the collector. Nothing here knows an op. */
#include "bind/laux.h"

#include <string.h>

_Thread_local lua_State *lml_state;

/* addresses are keys of the registry: quicker than names, and nobody else's */
static const char tensor_key, methods_key, error_key, rng_key;

/* ---- errors ---- */
/* moonlit's own Lua files are not where a user's mistake is */
static bool own_source(const char *src) {
  return strstr(src, "/lua/moonlit/") != NULL || strncmp(src, "@lua/moonlit/", 13) == 0 ||
         strstr(src, "/lua/5.4/moonlit/") != NULL || strstr(src, "/lua/5.5/moonlit/") != NULL;
}

static void push_where(lua_State *L) {
  lua_Debug ar, first;
  bool any = false;
  for (int level = 0; level < 64 && lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline <= 0) continue; /* a C function */
    if (!any) first = ar, any = true;
    if (own_source(ar.source)) continue;
    lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
    return;
  }
  if (any) lua_pushfstring(L, "%s:%d: ", first.short_src, first.currentline);
  else lua_pushliteral(L, "");
}

int lml_error(lua_State *L, const char *fmt, ...) {
  va_list ap;
  push_where(L);
  va_start(ap, fmt);
  lua_pushvfstring(L, fmt, ap);
  va_end(ap);
  lua_concat(L, 2);
  return lua_error(L);
}

int lml_callback_failed(lua_State *L) {
  lua_rawsetp(L, LUA_REGISTRYINDEX, &error_key); /* the key exists: no allocation */
  return ml_fail(ML_ECALLBACK, "a Lua function failed");
}

static int raise_kept(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &error_key);
  lua_pushboolean(L, 0);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &error_key);
  return lua_error(L);
}

int lml_fits(const char *who, const ml_tensor *x, const ml_tensor *v) {
  int lead = x->ndim - v->ndim;
  bool fits = lead >= 0;
  for (int d = 0; fits && d < v->ndim; d++)
    fits = v->size[d] == 1 || v->size[d] == x->size[lead + d];
  if (fits) return ML_OK;
  return ml_fail(ML_ESHAPE, "%s: %s does not broadcast to %s", who, ml_shape(v).s, ml_shape(x).s);
}

int lml_check(lua_State *L, int status, int nresults) {
  if (status == ML_OK) return nresults;
  if (status == ML_ECALLBACK) return raise_kept(L);
  return lml_error(L, "%s", ml_errmsg());
}

int lml_result(lua_State *L, int status, int nresults) {
  if (status != ML_EIO && status != ML_EFORMAT && status != ML_EUNSUPPORTED)
    return lml_check(L, status, nresults);
  lua_pushnil(L);
  lua_pushstring(L, ml_errmsg());
  lua_pushstring(L, ml_status_name(status));
  return 3;
}

/* ---- wrong arguments ---- */
/* the key of the value at f in the table at t, pushed */
static bool find_value(lua_State *L, int t, int f) {
  for (lua_pushnil(L); lua_next(L, t); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING || !lua_rawequal(L, -1, f)) continue;
    lua_pop(L, 1);
    return true;
  }
  return false;
}

/* "zeros", "copy_", "threads", but "ckpt.load": some verbs are said in several areas */
static bool find_name(lua_State *L, int core, int f) {
  if (find_value(L, core, f)) return true;
  for (lua_pushnil(L); lua_next(L, core); lua_pop(L, 1)) {
    if (!lua_istable(L, -1) || !find_value(L, lua_gettop(L), f)) continue;
    const char *area = lua_tostring(L, -3);
    bool plain = strstr("methods sys nn", area) != NULL;
    if (!plain) lua_pushfstring(L, "%s.%s", area, lua_tostring(L, -1));
    return true;
  }
  return false;
}

const char *lml_who(lua_State *L) {
  lua_Debug ar;
  luaL_checkstack(L, 12, "message");
  if (!lua_getstack(L, 0, &ar) || !lua_getinfo(L, "nf", &ar)) return "?";
  int f = lua_gettop(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, "moonlit.core") == LUA_TTABLE && find_name(L, lua_gettop(L), f))
    return lua_tostring(L, -1);
  return ar.name ? ar.name : "?"; /* a method of a handle */
}

const char *lml_got(lua_State *L, int arg) {
  if (lua_isnoneornil(L, arg)) return "nothing";
  arg = lua_absindex(L, arg);
  if (luaL_getmetafield(L, arg, "__name") == LUA_TSTRING) return lua_tostring(L, -1);
  return lua_type(L, arg) == LUA_TNUMBER ? luaL_tolstring(L, arg, NULL) : luaL_typename(L, arg);
}

/* x:add(y): y is the first argument the user wrote; 0 is x */
int lml_as_written(lua_State *L, int arg) {
  lua_Debug ar;
  bool method = lua_getstack(L, 0, &ar) && lua_getinfo(L, "n", &ar) &&
                strcmp(ar.namewhat, "method") == 0;
  return method ? arg - 1 : arg;
}

int lml_wrong(lua_State *L, int arg, const char *want) {
  const char *got = lml_got(L, arg), *who = lml_who(L);
  int n = lml_as_written(L, arg);
  if (n == 0) return lml_error(L, "%s: called on %s, not %s", who, got, want);
  return lml_error(L, "%s: argument %d must be %s, got %s", who, n, want, got);
}

int lml_argerror(lua_State *L, int arg, const char *text) {
  const char *who = lml_who(L);
  int n = lml_as_written(L, arg);
  if (n == 0) return lml_error(L, "%s: %s", who, text);
  return lml_error(L, "%s: argument %d: %s", who, n, text);
}

static const char *type_in_words(int type) {
  switch (type) {
    case LUA_TTABLE: return "a table";
    case LUA_TBOOLEAN: return "true or false";
    case LUA_TFUNCTION: return "a function";
    case LUA_TSTRING: return "a string";
    default: return "a number";
  }
}

void lml_checktype(lua_State *L, int arg, int type) {
  if (lua_type(L, arg) != type) lml_wrong(L, arg, type_in_words(type));
}

int64_t lml_checkinteger(lua_State *L, int arg) {
  int ok;
  lua_Integer v = lua_tointegerx(L, arg, &ok);
  if (!ok || lua_type(L, arg) != LUA_TNUMBER) lml_wrong(L, arg, "an integer");
  return v;
}

int64_t lml_optinteger(lua_State *L, int arg, int64_t def) {
  return lua_isnoneornil(L, arg) ? def : lml_checkinteger(L, arg);
}

double lml_checknumber(lua_State *L, int arg) {
  lml_checktype(L, arg, LUA_TNUMBER);
  return lua_tonumber(L, arg);
}

double lml_optnumber(lua_State *L, int arg, double def) {
  return lua_isnoneornil(L, arg) ? def : lml_checknumber(L, arg);
}

const char *lml_checkstring(lua_State *L, int arg, size_t *len) {
  lml_checktype(L, arg, LUA_TSTRING);
  return lua_tolstring(L, arg, len);
}

/* pushes "one of a, b, c" */
static const char *one_of(lua_State *L, const char *const *names) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  luaL_addstring(&b, "one of ");
  for (int i = 0; names[i] != NULL; i++) {
    luaL_addstring(&b, i > 0 ? ", " : "");
    luaL_addstring(&b, names[i]);
  }
  luaL_pushresult(&b);
  return lua_tostring(L, -1);
}

int lml_checkoption(lua_State *L, int arg, const char *const *names) {
  if (lua_type(L, arg) != LUA_TSTRING) return lml_wrong(L, arg, one_of(L, names));
  const char *s = lua_tostring(L, arg);
  for (int i = 0; names[i] != NULL; i++)
    if (strcmp(s, names[i]) == 0) return i;
  const char *want = one_of(L, names), *who = lml_who(L);
  return lml_error(L, "%s: argument %d must be %s, got \"%s\"", who, lml_as_written(L, arg),
                   want, s);
}

/* ---- tensors ---- */
ml_tensor **lml_newtensor(lua_State *L) {
  ml_tensor **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &tensor_key);
  lua_setmetatable(L, -2);
  return box;
}

static ml_tensor **tensor_box(lua_State *L, int arg) {
  ml_tensor **box = lua_touserdata(L, arg);
  if (box == NULL || !lua_getmetatable(L, arg)) return NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &tensor_key);
  bool same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same ? box : NULL;
}

ml_tensor *lml_totensor(lua_State *L, int arg) {
  ml_tensor **box = tensor_box(L, arg);
  return box ? *box : NULL;
}

ml_tensor *lml_checktensor(lua_State *L, int arg) {
  ml_tensor **box = tensor_box(L, arg);
  if (box == NULL) lml_wrong(L, arg, "a tensor");
  if (*box == NULL) lml_argerror(L, arg, "this tensor was freed");
  return *box;
}

static int box_it(lua_State *L) {
  ml_tensor *t = lua_touserdata(L, 1);
  *lml_newtensor(L) = t;
  return 1;
}

void lml_pushtensor(lua_State *L, ml_tensor *t) {
  int st = LUA_ERRMEM;
  if (lua_checkstack(L, 4)) {
    lua_pushcfunction(L, box_it);
    lua_pushlightuserdata(L, t);
    st = lua_pcall(L, 1, 1, 0);
  } else {
    lua_settop(L, -2); /* room for the message */
    lua_pushliteral(L, "stack overflow");
  }
  if (st == LUA_OK) return;
  ml_tensor_free(t);
  lua_error(L);
}

/* :free(), __gc and __close */
static int tensor_free(lua_State *L) {
  ml_tensor **box = tensor_box(L, 1);
  if (box == NULL) return lml_wrong(L, 1, "a tensor");
  ml_tensor *t = *box;
  *box = NULL;
  ml_tensor_free(t);
  return 0;
}

void lml_pushmethods(lua_State *L) { lua_rawgetp(L, LUA_REGISTRYINDEX, &methods_key); }

/* the metatable and the empty table of methods; called once a state */
void lml_open_types(lua_State *L) {
  luaL_newmetatable(L, ML_TENSOR);
  lua_pushcfunction(L, tensor_free), lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, tensor_free), lua_setfield(L, -2, "__close");
  lua_pushliteral(L, ML_TENSOR), lua_setfield(L, -2, "__metatable");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &tensor_key);
  lua_newtable(L);
  lua_pushcfunction(L, tensor_free), lua_setfield(L, -2, "free");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &methods_key);
  lua_pushboolean(L, 0);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &error_key);
  ml_rng *rng = lua_newuserdatauv(L, sizeof *rng, 0);
  *rng = (ml_rng){0, 0, 0};
  lua_rawsetp(L, LUA_REGISTRYINDEX, &rng_key);
}

ml_rng *lml_rng(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &rng_key);
  ml_rng *rng = lua_touserdata(L, -1);
  lua_pop(L, 1); /* the registry keeps it */
  return rng;
}

/* ---- other userdata ---- */
typedef union { lml_free_fn *fn; void *p; } fn_pointer;

static int box_free(lua_State *L) {
  void **box = luaL_checkudata(L, 1, lua_tostring(L, lua_upvalueindex(1)));
  fn_pointer release = {.p = lua_touserdata(L, lua_upvalueindex(2))};
  void *p = *box;
  *box = NULL;
  if (p != NULL) release.fn(p);
  return 0;
}

void lml_newtype(lua_State *L, const char *name, const luaL_Reg *methods,
                 lml_free_fn *release) {
  fn_pointer f = {.fn = release};
  luaL_newmetatable(L, name);
  lua_newtable(L);
  if (methods != NULL) luaL_setfuncs(L, methods, 0);
  lua_pushstring(L, name);
  lua_pushlightuserdata(L, f.p);
  lua_pushcclosure(L, box_free, 2);
  lua_pushvalue(L, -1), lua_setfield(L, -3, "free");
  lua_pushvalue(L, -1), lua_setfield(L, -4, "__gc");
  lua_setfield(L, -3, "__close");
  lua_setfield(L, -2, "__index");
  lua_pushstring(L, name), lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}

void **lml_newbox(lua_State *L, const char *name) {
  void **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  luaL_setmetatable(L, name);
  return box;
}

void *lml_checkbox(lua_State *L, int arg, const char *name) {
  void **box = luaL_testudata(L, arg, name);
  if (box == NULL) return lml_wrong(L, arg, name), NULL;
  if (*box == NULL) lml_argerror(L, arg, lua_pushfstring(L, "this %s was freed", name));
  return *box;
}

/* ---- arguments ---- */
int64_t lml_checksize(lua_State *L, int arg) {
  int64_t n = lml_checkinteger(L, arg);
  lml_argcheck(L, n >= 0, arg, "0 or more");
  return n;
}

static const char *const dtype_names[] = {"f32", "f64", "i64", "i32", "u8", "bool", "bf16",
                                          "f16", NULL};

int lml_checkdtype(lua_State *L, int arg) {
  return lml_checkoption(L, arg, dtype_names);
}

static void array_sizes(lua_State *L, int arg, ml_sizes *z) {
  lua_Unsigned n = lua_rawlen(L, arg);
  if (n > ML_MAX_DIMS)
    lml_error(L, "%s: at most %d dimensions, got %I", lml_who(L), ML_MAX_DIMS,
              (LUAI_UACINT)n);
  z->ndim = (int)n;
  for (int d = 0; d < z->ndim; d++) {
    int ok;
    lua_rawgeti(L, arg, d + 1);
    z->size[d] = lua_tointegerx(L, -1, &ok);
    if (!ok || lua_type(L, -1) != LUA_TNUMBER || z->size[d] < 0) {
      const char *got = lml_got(L, -1), *want = ok ? "0 or more" : "an integer";
      lml_error(L, "%s: size %d must be %s, got %s", lml_who(L), d + 1, want, got);
    }
    lua_pop(L, 1);
  }
}

int lml_checksizes(lua_State *L, int first, ml_sizes *z) {
  z->ndim = 0;
  if (lua_istable(L, first)) {
    array_sizes(L, first, z);
    return first + 1;
  }
  int arg = first;
  for (; lua_type(L, arg) == LUA_TNUMBER; arg++) {
    if (z->ndim == ML_MAX_DIMS)
      lml_error(L, "%s: at most %d dimensions", lml_who(L), ML_MAX_DIMS);
    z->size[z->ndim++] = lml_checksize(L, arg);
  }
  if (arg == first && !lua_isnoneornil(L, first)) lml_wrong(L, arg, "sizes");
  return arg;
}

int lml_dim(lua_State *L, int arg, int ndim) {
  lua_Integer d = lml_checkinteger(L, arg);
  if (d == 0 || d > ndim || d < -ndim)
    lml_error(L, "%s: no dimension %I in a tensor of %d", lml_who(L), (LUAI_UACINT)d, ndim);
  return (int)(d > 0 ? d - 1 : d + ndim);
}

/* ---- options ---- */
enum { NAME = 32 };

/* edit distance, capped names: a typo is one or two edits away */
static int distance(const char *a, const char *b) {
  int n = (int)strlen(a), m = (int)strlen(b), row[NAME + 1];
  if (n > NAME || m > NAME) return NAME;
  for (int j = 0; j <= m; j++) row[j] = j;
  for (int i = 1; i <= n; i++) {
    int diagonal = row[0];
    row[0] = i;
    for (int j = 1; j <= m; j++) {
      int up = row[j], best = diagonal + (a[i - 1] != b[j - 1]);
      if (up + 1 < best) best = up + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      diagonal = up, row[j] = best;
    }
  }
  return row[m];
}

const char *lml_nearest(const char *name, const char *const *known) {
  const char *best = NULL;
  int least = (int)strlen(name) / 2 + 2; /* further away is another word */
  for (; *known != NULL; known++) {
    int d = distance(name, *known);
    if (d < least) least = d, best = *known;
  }
  return best;
}

static void unknown_option(lua_State *L, const char *who, const char *const *known) {
  const char *name = luaL_tolstring(L, -1, NULL), *near = lml_nearest(name, known);
  if (near) lml_error(L, "%s: unknown option \"%s\"; did you mean \"%s\"?", who, name, near);
  lml_error(L, "%s: unknown option \"%s\"", who, name);
}

void lml_checkoptions(lua_State *L, int arg, const char *who, const char *const *known) {
  if (lua_isnoneornil(L, arg)) return;
  if (!lua_istable(L, arg))
    lml_error(L, "%s: options must be a table, got %s", who, lml_got(L, arg));
  luaL_checkstack(L, 4, who);
  for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1)) {
    const char *const *k = known;
    lua_pushvalue(L, -2);
    if (lua_type(L, -1) == LUA_TSTRING)
      while (*k != NULL && strcmp(*k, lua_tostring(L, -1)) != 0) k++;
    if (lua_type(L, -1) != LUA_TSTRING || *k == NULL) unknown_option(L, who, known);
    lua_pop(L, 1);
  }
}

/* pushes the field; false, with nothing pushed, when it is absent */
static bool field(lua_State *L, int arg, const char *key) {
  if (!lua_istable(L, arg)) return false;
  if (lua_getfield(L, arg, key) != LUA_TNIL) return true;
  lua_pop(L, 1);
  return false;
}

static void wrong_field(lua_State *L, const char *key, const char *want) {
  const char *got = lml_got(L, -1);
  lml_error(L, "%s: option \"%s\" must be %s, got %s", lml_who(L), key, want, got);
}

double lml_optfield_number(lua_State *L, int arg, const char *key, double def) {
  if (!field(L, arg, key)) return def;
  if (lua_type(L, -1) != LUA_TNUMBER) wrong_field(L, key, "a number");
  double v = lua_tonumber(L, -1);
  lua_pop(L, 1);
  return v;
}

int64_t lml_optfield_integer(lua_State *L, int arg, const char *key, int64_t def) {
  if (!field(L, arg, key)) return def;
  int ok;
  lua_Integer v = lua_tointegerx(L, -1, &ok);
  if (!ok || lua_type(L, -1) != LUA_TNUMBER) wrong_field(L, key, "an integer");
  lua_pop(L, 1);
  return v;
}

bool lml_optfield_boolean(lua_State *L, int arg, const char *key, bool def) {
  if (!field(L, arg, key)) return def;
  if (!lua_isboolean(L, -1)) wrong_field(L, key, "true or false");
  bool v = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return v;
}

/* the table keeps the string alive, so it may leave the stack */
const char *lml_optfield_string(lua_State *L, int arg, const char *key, const char *def) {
  if (!field(L, arg, key)) return def;
  if (lua_type(L, -1) != LUA_TSTRING) wrong_field(L, key, "a string");
  const char *v = lua_tostring(L, -1);
  lua_pop(L, 1);
  return v;
}

/* ---- the OpenBLAS part ---- */
void lml_want_blas(lua_State *L, int dtype) {
  static bool tried; /* without it the scalar kernel computes */
  if (dtype != ML_F64 || __atomic_exchange_n(&tried, true, __ATOMIC_RELAXED)) return;
  int top = lua_gettop(L);
  luaL_checkstack(L, 4, "blas");
  if (lua_getglobal(L, "require") == LUA_TFUNCTION) {
    lua_pushliteral(L, "moonlit.blas");
    lua_pcall(L, 1, 0, 0);
  }
  lua_settop(L, top);
}

/* ---- the collector ---- */
enum { MIB = 1 << 20 };

void lml_report_bytes(lua_State *L) {
  if (ml_storage_made < MIB) return;
  int64_t kib = ml_storage_made >> 10;
  ml_storage_made = 0;
  if (lua_gc(L, LUA_GCISRUNNING) != 1) return; /* stopped, or in a finaliser */
  lua_gc(L, LUA_GCSTEP, (int)(kib < MIB ? kib : MIB));
}
