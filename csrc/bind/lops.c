/* lops.c -- every op of ops.def as a Lua function and method, from its descriptor alone.
** A call goes in this order, so that no error or finaliser can come while C holds anything:
** option values onto the stack, empty boxes for the results, arguments read (raw, nothing
** made), then numbers turned into tensors, the op, and the results put into the boxes. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind/laux.h"

enum { TOKENS = 12, RESULTS = 4 };

typedef struct {
  char name[16]; /* "" for a positional */
  char type;
  bool has_default;
  double number;     /* the default, of a number or boolean */
  char text[16];     /* of a string */
} token;

typedef struct {
  const ml_op_desc *op;
  char who[24]; /* in messages: what users call, so max for max_along */
  int positional, count;
  bool product; /* f64 ones want OpenBLAS */
  token tok[TOKENS];
  const char *known[TOKENS + 1]; /* option names */
} compiled;

#define OP(name, nout, sig) +1
#define INPLACE(name)
enum { OPS = 0
#include "ops/ops.def"
};
#undef OP
#undef INPLACE

static const char *const in_place[] = {
#define OP(name, nout, sig)
#define INPLACE(name) #name,
#include "ops/ops.def"
#undef OP
#undef INPLACE
  NULL};

static compiled table[OPS];

/* ---- signatures, read once ---- */
static const char *read_token(token *t, const char *s) {
  size_t n = strcspn(s, " "), colon = strcspn(s, ":"), eq = strcspn(s, "=");
  const char *end = s + n;
  *t = (token){.name = ""};
  if (colon < n) {
    memcpy(t->name, s, colon < sizeof t->name ? colon : sizeof t->name - 1);
    s += colon + 1;
  }
  t->type = *s;
  if (eq < n) {
    const char *value = end - (n - eq) + 1;
    size_t len = (size_t)(end - value);
    t->has_default = true;
    memcpy(t->text, value, len < sizeof t->text ? len : sizeof t->text - 1);
    t->number = strtod(t->text, NULL);
  }
  if (t->type == 'X' || t->type == 'D' || t->type == 'y') {
    if (t->type == 'y' && !t->has_default) t->number = -1;
    t->has_default = true;
  }
  return end + strspn(end, " ");
}

static void compile(compiled *c, const ml_op_desc *op) {
  size_t along = strstr(op->name, "_along") ? strlen("_along") : 0;
  int names = 0;
  c->op = op;
  snprintf(c->who, sizeof c->who, "%.*s", (int)(strlen(op->name) - along), op->name);
  for (const char *s = op->sig; *s != '\0' && c->count < TOKENS;) {
    token *t = &c->tok[c->count++];
    s = read_token(t, s);
    if (t->name[0] == '\0') c->positional = c->count;
    else c->known[names++] = t->name;
  }
  c->known[names] = NULL;
  c->product = strcmp(op->name, "matmul") == 0 || strcmp(op->name, "bmm") == 0;
}

static void compile_all(void) {
  for (int k = 0; k < ml_op_count && k < OPS; k++) compile(&table[k], &ml_op_table[k]);
}

/* ---- one call ---- */
typedef struct {
  lua_State *L;
  const compiled *c;
  int idx[TOKENS];  /* stack index of each token's value, 0 = absent */
  int list[TOKENS]; /* of an l token: its array of pointers */
  int extra;        /* of a z token given as integers: how many */
  ml_arg arg[TOKENS];
  ml_sizes sizes;
  ml_tensor_list lists[2];
  int nlists, last_dim;
  ml_tensor *first;   /* dimensions and positions are read against it */
  ml_tensor *partner; /* numbers take its dtype: the first tensor where a number may stand */
} call;

static const char *const wanted[128] = {
  ['x'] = "a tensor", ['X'] = "a tensor or nil", ['s'] = "a tensor or a number",
  ['d'] = "a dimension", ['D'] = "a dimension", ['e'] = "a dimension", ['p'] = "a position",
  ['i'] = "an integer", ['n'] = "a number", ['b'] = "true or false", ['m'] = "a string",
  ['y'] = "a dtype name", ['z'] = "sizes", ['l'] = "an array of tensors"};

static int bad(call *k, int t) {
  lua_State *L = k->L;
  const token *tok = &k->c->tok[t];
  const char *who = k->c->who, *want = wanted[(unsigned char)tok->type];
  int i = k->idx[t];
  const char *got = i == 0 ? "nothing" : lml_got(L, i);
  if (tok->name[0])
    return lml_error(L, "%s: option \"%s\" must be %s, got %s", who, tok->name, want, got);
  int n = lml_as_written(L, t + 1);
  if (n == 0) return lml_error(L, "%s: called on %s, not %s", who, got, want);
  return lml_error(L, "%s: argument %d must be %s, got %s", who, n, want, got);
}

static bool whole(lua_State *L, int i, int64_t *v) {
  int ok;
  if (lua_type(L, i) != LUA_TNUMBER) return false;
  *v = lua_tointegerx(L, i, &ok);
  return ok;
}

/* values of the options table go onto the stack, where they stay alive until the end */
static int place_options(call *k, int narg) {
  lua_State *L = k->L;
  const compiled *c = k->c;
  if (narg == 0 || !lua_istable(L, narg)) return narg;
  char at = narg <= c->positional ? c->tok[narg - 1].type : '\0';
  if (at == 'z' || at == 'l') return narg; /* an array, not options */
  if (c->count == c->positional) return narg;
  lml_checkoptions(L, narg, c->who, c->known);
  for (int t = c->positional; t < c->count; t++) {
    lua_getfield(L, narg, c->tok[t].name);
    k->idx[t] = lua_gettop(L);
  }
  return narg - 1;
}

static void place_positionals(call *k, int narg) {
  const compiled *c = k->c;
  int at = 1;
  for (int t = 0; t < c->positional && at <= narg; t++) {
    k->idx[t] = at++;
    if (c->tok[t].type != 'z' || lua_istable(k->L, at - 1)) continue;
    while (at <= narg && lua_type(k->L, at) == LUA_TNUMBER) at++; /* sizes to the end */
    k->extra = at - k->idx[t];
  }
  if (at <= narg)
    lml_error(k->L, "%s: too many arguments: %d, expected at most %d", c->who,
              lml_as_written(k->L, narg), lml_as_written(k->L, c->positional));
}

/* room for the pointers of lists, before anything is borrowed */
static void place_lists(call *k) {
  for (int t = 0; t < k->c->count; t++) {
    if (k->c->tok[t].type != 'l' || k->idx[t] == 0) continue;
    if (!lua_istable(k->L, k->idx[t])) bad(k, t);
    lua_newuserdatauv(k->L, lua_rawlen(k->L, k->idx[t]) * sizeof(ml_tensor *), 0);
    k->list[t] = lua_gettop(k->L);
  }
}

static ml_tensor *need_tensor(call *k, int t) {
  ml_tensor *x = k->idx[t] ? lml_totensor(k->L, k->idx[t]) : NULL;
  if (x != NULL) return x;
  if (k->idx[t] && luaL_testudata(k->L, k->idx[t], ML_TENSOR))
    lml_error(k->L, "%s: this tensor was freed", k->c->who);
  bad(k, t);
  return NULL;
}

static void read_list(call *k, int t) {
  lua_State *L = k->L;
  if (k->idx[t] == 0) bad(k, t);
  ml_tensor **at = lua_touserdata(L, k->list[t]);
  int n = (int)(lua_rawlen(L, k->list[t]) / sizeof *at); /* as long as there is room */
  for (int i = 0; i < n; i++) {
    lua_rawgeti(L, k->idx[t], i + 1);
    at[i] = lml_totensor(L, -1);
    if (at[i] == NULL)
      lml_error(L, "%s: item %d of the array must be a tensor, got %s", k->c->who, i + 1,
                luaL_typename(L, -1));
    lua_pop(L, 1); /* the array keeps it alive */
  }
  k->lists[k->nlists] = (ml_tensor_list){n, at};
  k->arg[t].l = &k->lists[k->nlists++];
  if (k->first == NULL && n > 0) k->first = at[0];
}

/* the tensors come first: dimensions and numbers are read against them */
static void read_tensors(call *k) {
  for (int t = 0; t < k->c->count; t++) {
    char type = k->c->tok[t].type;
    bool absent = k->idx[t] == 0 || lua_isnoneornil(k->L, k->idx[t]);
    k->arg[t].t = NULL;
    if (type == 'l') read_list(k, t);
    else if (type == 'x') k->arg[t].t = need_tensor(k, t);
    else if (type == 'X' && !absent) k->arg[t].t = need_tensor(k, t);
    else if (type == 's' && (absent || lua_type(k->L, k->idx[t]) != LUA_TNUMBER))
      k->arg[t].t = need_tensor(k, t);
    if (strchr("xXs", type) && k->first == NULL) k->first = k->arg[t].t;
    if (type == 's' && k->partner == NULL) k->partner = k->arg[t].t;
  }
  if (k->partner == NULL) k->partner = k->first;
}

static int64_t read_dim(call *k, int t, int ends) {
  int64_t d = 0;
  int n = (k->first ? k->first->ndim : 0) + ends;
  if (!whole(k->L, k->idx[t], &d)) bad(k, t);
  if (d == 0 || d > n || d < -n)
    lml_error(k->L, "%s: no dimension %I in %s", k->c->who, (LUAI_UACINT)d,
              k->first ? ml_shape(k->first).s : "()");
  return k->last_dim = (int)(d > 0 ? d - 1 : d + n);
}

static int64_t read_position(call *k, int t) {
  int64_t p = 0, n = k->first ? ml_dim(k->first, k->last_dim) : 0;
  if (!whole(k->L, k->idx[t], &p)) bad(k, t);
  if (p == 0 || p > n || p < -n)
    lml_error(k->L, "%s: position %I is outside dimension %d of %s", k->c->who,
              (LUAI_UACINT)p, k->last_dim + 1, k->first ? ml_shape(k->first).s : "()");
  return p > 0 ? p - 1 : p + n;
}

static void read_sizes(call *k, int t) {
  ml_sizes *z = &k->sizes;
  bool array = lua_istable(k->L, k->idx[t]);
  lua_Unsigned n = array ? lua_rawlen(k->L, k->idx[t]) : (lua_Unsigned)k->extra;
  if (n > ML_MAX_DIMS)
    lml_error(k->L, "%s: at most %d dimensions, got %I", k->c->who, ML_MAX_DIMS,
              (LUAI_UACINT)n);
  z->ndim = (int)n;
  for (int d = 0; d < z->ndim; d++) {
    if (array) lua_rawgeti(k->L, k->idx[t], d + 1);
    else lua_pushvalue(k->L, k->idx[t] + d);
    if (!whole(k->L, -1, &z->size[d]))
      lml_error(k->L, "%s: size %d must be an integer, got %s", k->c->who, d + 1,
                luaL_tolstring(k->L, -1, NULL));
    lua_pop(k->L, 1);
  }
  if (!array && z->ndim == 0) bad(k, t);
  k->arg[t].z = z;
}

static int64_t read_dtype(call *k, int t) {
  const char *s = lua_type(k->L, k->idx[t]) == LUA_TSTRING ? lua_tostring(k->L, k->idx[t]) : "";
  for (int d = 0; d < ML_DTYPES; d++)
    if (strcmp(s, ml_dtype_name(d)) == 0) return d;
  if (*s == '\0') bad(k, t);
  return lml_error(k->L, "%s: no dtype \"%s\"", k->c->who, s);
}

static void read_default(call *k, int t) {
  const token *tok = &k->c->tok[t];
  if (!tok->has_default) bad(k, t);
  switch (tok->type) {
    case 'D': k->arg[t].i = ML_NO_DIM; break;
    case 'd': /* in C's terms; the last dimension is counted from the end */
      k->arg[t].i = (int64_t)tok->number;
      if (k->arg[t].i < 0 && k->first != NULL) k->arg[t].i += k->first->ndim;
      break;
    case 'n': k->arg[t].n = tok->number; break;
    case 'b': k->arg[t].b = tok->number != 0; break;
    case 'm': k->arg[t].s = tok->text; break;
    case 'z': k->sizes.ndim = 0, k->arg[t].z = &k->sizes; break;
    default: k->arg[t].i = (int64_t)tok->number; break;
  }
}

static void read_value(call *k, int t) {
  lua_State *L = k->L;
  int i = k->idx[t], kind = i ? lua_type(L, i) : LUA_TNIL;
  char type = k->c->tok[t].type;
  if (strchr("xXsl", type)) return;
  if (kind == LUA_TNIL) {
    read_default(k, t);
    return;
  }
  switch (type) {
    case 'd': case 'D': k->arg[t].i = read_dim(k, t, 0); break;
    case 'e': k->arg[t].i = read_dim(k, t, 1); break;
    case 'p': k->arg[t].i = read_position(k, t); break;
    case 'i': if (!whole(L, i, &k->arg[t].i)) bad(k, t); break;
    case 'n': if (kind != LUA_TNUMBER) bad(k, t); k->arg[t].n = lua_tonumber(L, i); break;
    case 'b': if (kind != LUA_TBOOLEAN) bad(k, t); k->arg[t].b = lua_toboolean(L, i); break;
    case 'm': if (kind != LUA_TSTRING) bad(k, t); k->arg[t].s = lua_tostring(L, i); break;
    case 'y': k->arg[t].i = read_dtype(k, t); break;
    case 'z': read_sizes(k, t); break;
    default: bad(k, t);
  }
}

/* does v fit the integer dtype? */
static bool fits(int dtype, lua_Integer v) {
  if (dtype == ML_I32) return v >= INT32_MIN && v <= INT32_MAX;
  if (dtype == ML_U8) return v >= 0 && v <= UINT8_MAX;
  return dtype == ML_I64;
}

/* a number beside a tensor takes its dtype; an integer that would not fit makes i64, a float
** beside integers f32 */
static int make_number(call *k, int t) {
  lua_State *L = k->L;
  int i = k->idx[t], dtype = k->partner->dtype;
  if (lua_isinteger(L, i)) {
    if (!ml_is_float(dtype) && !fits(dtype, lua_tointeger(L, i))) dtype = ML_I64;
    return ml_tensor_scalar_i64(&k->arg[t].t, dtype, lua_tointeger(L, i));
  }
  if (!ml_is_float(dtype)) dtype = ML_F32;
  return ml_tensor_scalar(&k->arg[t].t, dtype, lua_tonumber(L, i));
}

static bool is_number(call *k, int t) {
  return k->c->tok[t].type == 's' && lua_type(k->L, k->idx[t]) == LUA_TNUMBER;
}

/* nothing below raises: C holds references now */
static int run(call *k, ml_tensor **out) {
  int st = ML_OK;
  for (int t = 0; t < k->c->count && st == ML_OK; t++)
    if (is_number(k, t)) st = make_number(k, t);
  if (st == ML_OK) st = k->c->op->call(out, k->arg);
  for (int t = 0; t < k->c->count; t++)
    if (is_number(k, t)) ml_tensor_free(k->arg[t].t);
  return st;
}

/* fills *k from the narg arguments; leaves nbox empty boxes on the stack top */
static void prepare(call *k, lua_State *L, const compiled *c, int narg, int nbox,
                    ml_tensor ***box) {
  memset(k->idx, 0, sizeof k->idx);
  k->L = L, k->c = c;
  k->extra = k->nlists = k->last_dim = 0;
  k->first = k->partner = NULL;
  if (c->count > 4) luaL_checkstack(L, 2 * TOKENS + RESULTS + 8, c->who);
  if (c->product && lml_totensor(L, 1)) lml_want_blas(L, lml_totensor(L, 1)->dtype);
  while (narg > 0 && lua_isnil(L, narg)) narg--; /* f(x, nil) is f(x) */
  while (narg > c->positional && lua_isnil(L, narg)) narg--; /* an option left out */
  narg = place_options(k, narg);
  place_positionals(k, narg);
  place_lists(k);
  for (int r = 0; r < nbox; r++) box[r] = lml_newtensor(L);
  read_tensors(k);
  for (int t = 0; t < c->count; t++) read_value(k, t);
  if (k->first == NULL && c->count > 0 && c->tok[0].type == 's')
    lml_error(L, "%s: one of the arguments must be a tensor", c->who);
}

static int invoke(lua_State *L, const compiled *c, int narg) {
  call k;
  ml_tensor **box[RESULTS], *out[RESULTS] = {NULL};
  prepare(&k, L, c, narg, c->op->nout, box);
  int st = run(&k, out);
  if (st != ML_OK) return lml_check(L, st, 0);
  for (int r = 0; r < c->op->nout; r++) *box[r] = out[r];
  lml_report_bytes(L);
  return c->op->nout;
}

static const compiled *upvalue(lua_State *L) {
  return lua_touserdata(L, lua_upvalueindex(1));
}

static int op_function(lua_State *L) { return invoke(L, upvalue(L), lua_gettop(L)); }

/* -x and the like: Lua passes the operand twice */
static int op_unary(lua_State *L) {
  lua_settop(L, 1);
  return invoke(L, upvalue(L), 1);
}

/* x:op_(...): x becomes the result and is returned */
static int op_in_place(lua_State *L) {
  call k;
  ml_tensor *y = NULL;
  const compiled *c = upvalue(L);
  ml_tensor *x = lml_checktensor(L, 1);
  prepare(&k, L, c, lua_gettop(L), 0, NULL);
  int st = run(&k, &y);
  char who[24];
  snprintf(who, sizeof who, "%.22s_", c->who);
  if (st == ML_OK) st = ml_assign(who, x, y);
  ml_tensor_free(y);
  if (st != ML_OK) return lml_check(L, st, 0);
  lua_settop(L, 1);
  lml_report_bytes(L);
  return 1;
}

/* ---- registration; core table on the top ---- */
static void add(lua_State *L, const compiled *c, lua_CFunction f, const char *name, int to) {
  lua_pushlightuserdata(L, (void *)c);
  lua_pushcclosure(L, f, 1);
  lua_setfield(L, to, name);
}

static const compiled *find(const char *name) {
  for (int k = 0; k < OPS; k++)
    if (strcmp(table[k].op->name, name) == 0) return &table[k];
  return NULL;
}

static void add_metamethods(lua_State *L, int meta) {
  static const char *const event[][2] = {{"__add", "add"}, {"__sub", "sub"}, {"__mul", "mul"},
                                         {"__div", "div"}, {"__pow", "pow"}, {"__unm", "neg"}};
  for (size_t e = 0; e < sizeof event / sizeof event[0]; e++) {
    const compiled *c = find(event[e][1]);
    bool unary = strcmp(event[e][0], "__unm") == 0;
    if (c != NULL) add(L, c, unary ? op_unary : op_function, event[e][0], meta);
  }
}

void lml_open_ops(lua_State *L) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  int core = lua_gettop(L), methods = core + 1, meta = core + 2;
  pthread_once(&once, compile_all);
  lml_pushmethods(L);
  luaL_getmetatable(L, ML_TENSOR);
  for (int k = 0; k < OPS; k++) {
    const char *name = table[k].op->name;
    add(L, &table[k], op_function, name, core);
    if (strchr("xs", table[k].tok[0].type)) add(L, &table[k], op_function, name, methods);
  }
  for (int k = 0; in_place[k] != NULL; k++) {
    const compiled *c = find(in_place[k]);
    lua_pushfstring(L, "%s_", in_place[k]);
    if (c != NULL) add(L, c, op_in_place, lua_tostring(L, -1), methods);
    lua_pop(L, 1);
  }
  add_metamethods(L, meta);
  lua_settop(L, core);
}
