/* ltensor.c -- methods of a tensor that are not ops: questions, values, gradients, printing. */
#include <string.h>

#include "bind/laux.h"

/* ---- questions ---- */
static int tensor_size(lua_State *L) {
  ml_tensor *x = lml_checktensor(L, 1);
  if (!lua_isnoneornil(L, 2)) {
    lua_pushinteger(L, x->size[lml_dim(L, 2, x->ndim)]);
    return 1;
  }
  for (int d = 0; d < x->ndim; d++) lua_pushinteger(L, x->size[d]);
  return x->ndim;
}

static int push_array(lua_State *L, const int64_t *v, int n) {
  lua_createtable(L, n, 0);
  for (int d = 0; d < n; d++) {
    lua_pushinteger(L, v[d]);
    lua_rawseti(L, -2, d + 1);
  }
  return 1;
}

static int tensor_shape(lua_State *L) {
  int64_t size[ML_MAX_DIMS]; /* copied: making the table may run finalisers */
  ml_tensor *x = lml_checktensor(L, 1);
  int n = x->ndim;
  memcpy(size, x->size, sizeof size);
  return push_array(L, size, n);
}

static int tensor_stride(lua_State *L) {
  int64_t stride[ML_MAX_DIMS];
  ml_tensor *x = lml_checktensor(L, 1);
  int n = x->ndim;
  memcpy(stride, x->stride, sizeof stride);
  return push_array(L, stride, n);
}

static int tensor_dim(lua_State *L) {
  lua_pushinteger(L, lml_checktensor(L, 1)->ndim);
  return 1;
}

static int tensor_numel(lua_State *L) {
  lua_pushinteger(L, ml_numel(lml_checktensor(L, 1)));
  return 1;
}

static int tensor_dtype(lua_State *L) {
  lua_pushstring(L, ml_dtype_name(lml_checktensor(L, 1)->dtype));
  return 1;
}

static int tensor_is_contiguous(lua_State *L) {
  lua_pushboolean(L, ml_is_contiguous(lml_checktensor(L, 1)));
  return 1;
}

static int tensor_is_leaf(lua_State *L) {
  lua_pushboolean(L, lml_checktensor(L, 1)->node == NULL);
  return 1;
}

static int tensor_shares(lua_State *L) {
  lua_pushboolean(L, lml_checktensor(L, 1)->storage == lml_checktensor(L, 2)->storage);
  return 1;
}

static int tensor_len(lua_State *L) {
  ml_tensor *x = lml_checktensor(L, 1);
  if (x->ndim == 0) return lml_error(L, "#: a single number has no length");
  lua_pushinteger(L, x->size[0]);
  return 1;
}

/* ---- values ---- */
static void push_item(lua_State *L, const ml_tensor *x, int64_t at) {
  if (x->dtype == ML_BOOL) lua_pushboolean(L, ml_item_i64(x, at) != 0);
  else if (ml_is_float(x->dtype)) lua_pushnumber(L, ml_item(x, at));
  else lua_pushinteger(L, ml_item_i64(x, at));
}

/* pushes a box with another reference to argument 1: while Lua values are made, finalisers may
** run and free the first */
static ml_tensor *own_reference(lua_State *L) {
  ml_tensor **own = lml_newtensor(L);
  return *own = ml_tensor_ref(lml_checktensor(L, 1));
}

static int tensor_item(lua_State *L) {
  ml_tensor *x = lml_checktensor(L, 1);
  if (ml_numel(x) != 1)
    return lml_error(L, "item: %s is not one number", ml_shape(x).s);
  push_item(L, x, 0);
  return 1;
}

static void push_nested(lua_State *L, const ml_tensor *x, int d, int64_t *at) {
  if (d == x->ndim) {
    push_item(L, x, (*at)++);
    return;
  }
  luaL_checkstack(L, 4, "table");
  lua_createtable(L, x->size[d] < INT_MAX ? (int)x->size[d] : 0, 0);
  for (int64_t i = 0; i < x->size[d]; i++) {
    push_nested(L, x, d + 1, at);
    lua_rawseti(L, -2, i + 1);
  }
}

static int tensor_table(lua_State *L) {
  ml_tensor *x = own_reference(L);
  int64_t at = 0;
  push_nested(L, x, 0, &at);
  return 1;
}

/* elements in order, little endian, as one string */
static int tensor_bytes(lua_State *L) {
  ml_tensor **own = lml_newtensor(L);
  lml_check(L, ml_contiguous(own, lml_checktensor(L, 1)), 0);
  ml_tensor *x = *own;
  lua_pushlstring(L, ml_data(x), (size_t)(ml_numel(x) * ml_dtype_size(x->dtype)));
  return 1;
}

static int tensor_tostring(lua_State *L) {
  ml_tensor **box = luaL_checkudata(L, 1, ML_TENSOR);
  if (*box == NULL) {
    lua_pushliteral(L, "Tensor (freed)");
    return 1;
  }
  ml_tensor *x = own_reference(L);
  luaL_Buffer b;
  size_t n = ml_tensor_print(NULL, 0, x);
  char *p = luaL_buffinitsize(L, &b, n + 1);
  ml_tensor_print(p, n + 1, x);
  luaL_pushresultsize(&b, n);
  return 1;
}

/* ---- writing: what would spoil a recorded graph goes through ml_assign, which decides ---- */
static bool recorded(const ml_tensor *x, const ml_tensor *v) {
  return ml_grad_enabled && (x->requires_grad || v->requires_grad);
}

/* x = v spread to x's sizes, keeping gradients: once v is multiplied by ones */
static int assign_recorded(const char *who, ml_tensor *x, ml_tensor *v) {
  ml_tensor *one = NULL, *ones = NULL, *y = NULL;
  int st = ml_tensor_scalar(&one, x->dtype, 1);
  if (st == ML_OK) st = ml_view_expand(&ones, one, x->ndim, x->size);
  if (st == ML_OK) st = ml_mul(&y, ones, v);
  if (st == ML_OK) st = ml_assign(who, x, y);
  ml_tensor_free(one), ml_tensor_free(ones), ml_tensor_free(y);
  return st;
}

static int write(const char *who, ml_tensor *x, ml_tensor *v) {
  int st = lml_fits(who, x, v);
  if (st != ML_OK) return st;
  return recorded(x, v) ? assign_recorded(who, x, v) : ml_copy_into(x, v);
}

static int tensor_copy(lua_State *L) {
  ml_tensor *x = lml_checktensor(L, 1), *v = lml_checktensor(L, 2);
  int st = write("copy_", x, v);
  lua_settop(L, 1);
  return lml_check(L, st, 1);
}

int lml_number_tensor(lua_State *L, int arg, int dtype, ml_tensor **out) {
  if (lua_isboolean(L, arg))
    return ml_tensor_scalar_i64(out, dtype, lua_toboolean(L, arg));
  if (lua_isinteger(L, arg)) return ml_tensor_scalar_i64(out, dtype, lua_tointeger(L, arg));
  return ml_tensor_scalar(out, dtype, lua_tonumber(L, arg));
}

static int fill(lua_State *L, ml_tensor *x, int arg) {
  ml_tensor *v = NULL;
  int st = lml_number_tensor(L, arg, x->dtype, &v);
  if (st == ML_OK) st = write("fill_", x, v);
  ml_tensor_free(v);
  lua_settop(L, 1);
  return lml_check(L, st, 1);
}

static int tensor_fill(lua_State *L) {
  ml_tensor *x = lml_checktensor(L, 1);
  lml_argcheck(L, lua_isboolean(L, 2) || lua_type(L, 2) == LUA_TNUMBER, 2,
               "a number or a boolean");
  return fill(L, x, 2);
}

static int tensor_zero(lua_State *L) {
  ml_tensor *x = lml_checktensor(L, 1);
  lua_pushinteger(L, 0);
  return fill(L, x, -1);
}

/* ---- gradients ---- */
static int tensor_requires_grad(lua_State *L) {
  ml_tensor *x = lml_checktensor(L, 1);
  if (lua_isnone(L, 2)) {
    lua_pushboolean(L, x->requires_grad);
    return 1;
  }
  lml_checktype(L, 2, LUA_TBOOLEAN);
  bool want = lua_toboolean(L, 2);
  if (want && !ml_is_real(x->dtype))
    return lml_error(L, "requires_grad: must be f32 or f64, got %s", ml_dtype_name(x->dtype));
  if (x->node != NULL)
    return lml_error(L, "requires_grad: this tensor is a result; detach it first");
  x->requires_grad = want;
  lua_settop(L, 1);
  return 1;
}

static int tensor_grad(lua_State *L) {
  ml_tensor *x = lml_checktensor(L, 1);
  if (x->grad == NULL || !x->grad_valid) return lua_pushnil(L), 1;
  lml_pushtensor(L, ml_tensor_ref(x->grad));
  return 1;
}

static int tensor_discard_grad(lua_State *L) {
  ml_discard_grad(lml_checktensor(L, 1));
  lua_settop(L, 1);
  return 1;
}

static int tensor_detach(lua_State *L) {
  ml_tensor **y = lml_newtensor(L);
  return lml_check(L, ml_view_alias(y, lml_checktensor(L, 1)), 1);
}

static int tensor_backward(lua_State *L) {
  ml_tensor *y = lml_checktensor(L, 1);
  ml_tensor *dy = lua_isnoneornil(L, 2) ? NULL : lml_checktensor(L, 2);
  lua_State *outer = lml_state;
  lml_state = L;
  ml_tensor_ref(y); /* an op in Lua may free the boxes meanwhile */
  if (dy != NULL) ml_tensor_ref(dy);
  int st = ml_backward(y, dy);
  ml_tensor_free(y), ml_tensor_free(dy);
  lml_state = outer;
  lml_check(L, st, 0);
  lml_report_bytes(L);
  return 0;
}

static const luaL_Reg methods[] = {
  {"size", tensor_size}, {"shape", tensor_shape}, {"stride", tensor_stride},
  {"dim", tensor_dim}, {"numel", tensor_numel}, {"dtype", tensor_dtype},
  {"is_contiguous", tensor_is_contiguous}, {"is_leaf", tensor_is_leaf},
  {"shares", tensor_shares}, {"item", tensor_item}, {"table", tensor_table},
  {"bytes", tensor_bytes}, {"copy_", tensor_copy}, {"fill_", tensor_fill},
  {"zero_", tensor_zero}, {"requires_grad", tensor_requires_grad}, {"grad", tensor_grad},
  {"discard_grad", tensor_discard_grad}, {"detach", tensor_detach},
  {"backward", tensor_backward}, {NULL, NULL}};

static int is_tensor(lua_State *L) {
  lua_pushboolean(L, lml_totensor(L, 1) != NULL);
  return 1;
}

void lml_open_tensor(lua_State *L) {
  lua_pushcfunction(L, is_tensor), lua_setfield(L, -2, "is_tensor");
  lml_pushmethods(L);
  luaL_setfuncs(L, methods, 0);
  lua_setfield(L, -2, "methods"); /* where Lua adds what is nicer said in Lua */
  luaL_getmetatable(L, ML_TENSOR);
  lua_pushcfunction(L, tensor_tostring), lua_setfield(L, -2, "__tostring");
  lua_pushcfunction(L, tensor_len), lua_setfield(L, -2, "__len");
  lua_pop(L, 1);
  lml_open_create(L);
  lml_open_index(L);
}
