/* lautograd.c -- no_grad, and operations written in Lua.
** fn{ forward = function(ctx, ...) -> tensor, backward = function(ctx, dy) -> gradients }
** returns a function of (...). forward runs without recording; ctx is a fresh table for what
** backward will need, and ctx:save(t, ...) also has backward raise if t was changed since.
** backward returns one value for each argument of forward: a tensor, or nil for none. */
#include <string.h>

#include "bind/laux.h"

/* ---- switching recording ---- */
static int autograd_enabled(lua_State *L) {
  bool was = ml_grad_enabled;
  if (!lua_isnone(L, 1)) {
    lml_checktype(L, 1, LUA_TBOOLEAN);
    ml_grad_enabled = lua_toboolean(L, 1);
  }
  lua_pushboolean(L, was);
  return 1;
}

/* pcall with recording on or off; a yield inside is an error of Lua's own */
static int call_with(lua_State *L, bool recording) {
  if (luaL_getmetafield(L, 1, "__call") == LUA_TNIL) lml_checktype(L, 1, LUA_TFUNCTION);
  else lua_pop(L, 1);
  bool was = ml_grad_enabled;
  ml_grad_enabled = recording;
  int st = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
  ml_grad_enabled = was;
  return st == LUA_OK ? lua_gettop(L) : lua_error(L);
}

static int autograd_no_grad(lua_State *L) { return call_with(L, false); }
static int autograd_with_grad(lua_State *L) { return call_with(L, true); }

/* ---- an operation in Lua ---- */
enum { ARGS = 16 };

typedef struct {
  lua_State *L; /* the main thread: outlives every coroutine */
  int ref;      /* { ctx, backward } in the registry */
  int nargs, nin;
  int arg[ARGS]; /* the argument each input came from, from 1 */
  int dtype[ARGS];
  ml_sizes size[ARGS];
} lua_op;

static void release(ml_node *n) {
  lua_op *op = n->ctx;
  n->ctx = NULL;
  if (op == NULL) return;
  luaL_unref(op->L, LUA_REGISTRYINDEX, op->ref);
  ml_free(op);
}

typedef struct {
  ml_node *n;
  ml_tensor *dy, **dx;
} step;

static void take_gradient(lua_State *L, const lua_op *op, int k, int at, ml_tensor **dx) {
  if (op->arg[k] > lua_gettop(L) - at + 1 || lua_isnil(L, at + op->arg[k] - 1)) return;
  ml_tensor *g = lml_totensor(L, at + op->arg[k] - 1);
  if (g == NULL)
    lml_error(L, "autograd.fn: gradient %d must be a tensor or nil, got %s", op->arg[k],
              luaL_typename(L, at + op->arg[k] - 1));
  ml_text want = ml_shape_of(op->size[k].ndim, op->size[k].size);
  if (strcmp(want.s, ml_shape(g).s) != 0 || g->dtype != op->dtype[k])
    lml_error(L, "autograd.fn: gradient %d must be %s %s, got %s %s", op->arg[k], want.s,
              ml_dtype_name(op->dtype[k]), ml_shape(g).s, ml_dtype_name(g->dtype));
  *dx = ml_tensor_ref(g);
}

/* protected: (step) */
static int call_backward(lua_State *L) {
  step *s = lua_touserdata(L, 1);
  const lua_op *op = s->n->ctx;
  lua_settop(L, 0);
  luaL_checkstack(L, op->nargs + 8, "autograd.fn");
  lua_rawgeti(L, LUA_REGISTRYINDEX, op->ref);
  lua_rawgeti(L, 1, 2), lua_rawgeti(L, 1, 1);
  *lml_newtensor(L) = ml_tensor_ref(s->dy);
  lua_call(L, 2, LUA_MULTRET);
  for (int k = 0; k < op->nin; k++)
    if (ml_node_needs(s->n, k)) take_gradient(L, op, k, 2, &s->dx[k]);
  return 0;
}

static int backward(ml_node *n, ml_tensor *dy, ml_tensor **dx) {
  const lua_op *op = n->ctx;
  lua_State *L = lml_state ? lml_state : op->L;
  step s = {n, dy, dx};
  for (int k = 0; k < n->nsaved; k++) {
    ml_tensor *t;
    int st = ml_node_saved(n, k, &t);
    if (st != ML_OK) return st;
  }
  if (!lua_checkstack(L, 4)) return ml_fail(ML_ESTATE, "autograd.fn: no room on Lua's stack");
  lua_pushcfunction(L, call_backward);
  lua_pushlightuserdata(L, &s);
  return lua_pcall(L, 1, 0, 0) == LUA_OK ? ML_OK : lml_callback_failed(L);
}

static const ml_op lua_fn = {"autograd.fn", backward, release};

/* ctx:save(t, ...): kept as ctx.saved = { t, ... } */
static int ctx_save(lua_State *L) {
  lml_checktype(L, 1, LUA_TTABLE);
  int n = lua_gettop(L) - 1;
  if (n > ML_MAX_SAVED) return lml_error(L, "ctx:save: at most %d tensors", ML_MAX_SAVED);
  lua_createtable(L, n, 0);
  for (int i = 1; i <= n; i++) {
    lml_checktensor(L, i + 1);
    lua_pushvalue(L, i + 1);
    lua_rawseti(L, -2, i);
  }
  lua_setfield(L, 1, "saved");
  return 0;
}

/* the tensors among arguments [first, last], in order */
static void find_inputs(lua_State *L, lua_op *op, ml_tensor **in, int first, int last) {
  op->nargs = last - first + 1;
  op->nin = 0;
  for (int i = first; i <= last; i++) {
    ml_tensor *t = lml_totensor(L, i);
    if (t == NULL) continue;
    if (op->nin == ARGS) lml_error(L, "autograd.fn: at most %d tensors", ARGS);
    int k = op->nin++;
    in[k] = t;
    op->arg[k] = i - first + 1;
    op->dtype[k] = t->dtype;
    op->size[k].ndim = t->ndim;
    memcpy(op->size[k].size, t->size, sizeof t->size);
  }
}

static void save_listed(lua_State *L, ml_node *n, int ctx) {
  lua_pushliteral(L, "saved");
  if (lua_rawget(L, ctx) != LUA_TTABLE) return;
  for (int i = 1; i <= ML_MAX_SAVED && lua_rawgeti(L, -1, i) != LUA_TNIL; i++) {
    ml_tensor *t = lml_totensor(L, -1);
    if (t != NULL) ml_node_save(n, t);
    lua_pop(L, 1);
  }
}

/* The node takes over what backward needs. Everything that may raise comes before it. */
static int record(lua_State *L, lua_op *op, ml_tensor *y, ml_tensor **in, bool always) {
  ml_node *n;
  int st = (always ? ml_record_always : ml_record)(&n, &lua_fn, y, op->nin, in);
  if (st != ML_OK || n == NULL) {
    luaL_unref(L, LUA_REGISTRYINDEX, op->ref);
    return st;
  }
  n->ctx = ml_alloc(sizeof *op);
  if (n->ctx == NULL) {
    luaL_unref(L, LUA_REGISTRYINDEX, op->ref);
    y->requires_grad = false, y->node = NULL;
    ml_node_free(n);
    return ML_ENOMEM;
  }
  memcpy(n->ctx, op, sizeof *op);
  return ML_OK;
}

/* the { ctx, backward } pair into the registry */
static int keep(lua_State *L, int ctx) {
  lua_createtable(L, 2, 0);
  lua_pushvalue(L, ctx), lua_rawseti(L, -2, 1);
  lua_pushvalue(L, lua_upvalueindex(2)), lua_rawseti(L, -2, 2);
  return luaL_ref(L, LUA_REGISTRYINDEX);
}

static lua_State *main_thread(lua_State *L) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  lua_State *m = lua_tothread(L, -1);
  lua_pop(L, 1);
  return m;
}

/* forward(ctx, ...) without recording; its one result is left on the top */
static void run_forward(lua_State *L, int nargs, int ctx) {
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, ctx);
  for (int i = 1; i <= nargs; i++) lua_pushvalue(L, i);
  bool was = ml_grad_enabled;
  ml_grad_enabled = false;
  int st = lua_pcall(L, nargs + 1, 1, 0);
  ml_grad_enabled = was;
  if (st != LUA_OK) lua_error(L);
  if (lml_totensor(L, -1) == NULL)
    lml_error(L, "autograd.fn: forward must return a tensor, got %s", luaL_typename(L, -1));
}

/* upvalues: forward, backward, whether to record always, metatable of ctx */
static int call_fn(lua_State *L) {
  int nargs = lua_gettop(L), ctx = nargs + 1;
  ml_tensor *in[ARGS];
  lua_op op = {.L = main_thread(L)};
  luaL_checkstack(L, nargs + 16, "autograd.fn");
  lua_newtable(L);
  lua_pushvalue(L, lua_upvalueindex(4));
  lua_setmetatable(L, ctx);
  run_forward(L, nargs, ctx);
  ml_tensor **y = lml_newtensor(L);
  find_inputs(L, &op, in, 1, nargs);
  op.ref = keep(L, ctx);
  /* another header on what forward gave: the result of an input passed through is not it */
  int st = ml_view_alias(y, lml_totensor(L, ctx + 1));
  if (st == ML_OK) st = record(L, &op, *y, in, lua_toboolean(L, lua_upvalueindex(3)));
  else luaL_unref(L, LUA_REGISTRYINDEX, op.ref);
  lml_check(L, st, 0);
  if ((*y)->node != NULL) save_listed(L, (*y)->node, ctx);
  lua_settop(L, ctx + 2);
  lml_report_bytes(L);
  return 1;
}

static void need_function(lua_State *L, const char *name) {
  if (lua_getfield(L, 1, name) != LUA_TFUNCTION)
    lml_error(L, "autograd.fn: %s must be a function, got %s", name, luaL_typename(L, -1));
}

/* fn{ forward, backward [, always] }: always records even if no argument needs a gradient,
** for functions whose parameters are upvalues */
static int autograd_fn(lua_State *L) {
  static const char *const known[] = {"forward", "backward", "always", NULL};
  lml_checktype(L, 1, LUA_TTABLE);
  lml_checkoptions(L, 1, "autograd.fn", known);
  need_function(L, "forward");
  need_function(L, "backward");
  lua_pushboolean(L, lml_optfield_boolean(L, 1, "always", false));
  lua_newtable(L);
  lua_newtable(L);
  lua_pushcfunction(L, ctx_save), lua_setfield(L, -2, "save");
  lua_setfield(L, -2, "__index");
  lua_pushcclosure(L, call_fn, 4);
  return 1;
}

static const luaL_Reg functions[] = {{"enabled", autograd_enabled},
                                     {"no_grad", autograd_no_grad},
                                     {"with_grad", autograd_with_grad},
                                     {"fn", autograd_fn},
                                     {NULL, NULL}};

void lml_open_autograd(lua_State *L) {
  luaL_newlib(L, functions);
  lua_setfield(L, -2, "autograd");
}
