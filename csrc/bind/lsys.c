/* lsys.c -- core.sys: the machine, the process, memory, files, hashes, random state. */
#include <stdlib.h>
#include <string.h>

#include "bind/laux.h"
#include "kernels/gemm.h"
#include "kernels/peak.h"

/* ---- machine ---- */
static int sys_threads(lua_State *L) {
  if (!lua_isnoneornil(L, 1)) {
    lua_Integer n = lml_checkinteger(L, 1);
    if (n < 1 || n > ML_MAX_THREADS)
      return lml_error(L, "threads: expected 1 to %d, got %I", ML_MAX_THREADS, n);
    lml_check(L, ml_set_threads((int)n), 0);
  }
  lua_pushinteger(L, ml_threads());
  return 1;
}

static int sys_isa(lua_State *L) {
  static const char *const names[] = {"scalar", "avx2", "avx512", "neon", NULL};
  if (!lua_isnoneornil(L, 1)) lml_check(L, ml_isa_set(lml_checkoption(L, 1, names)), 0);
  lua_pushstring(L, ml_isa_name(ml_isa()));
  return 1;
}

/* native(dtype): does this machine (with the ISA in use) run its products by an instruction? */
static int sys_native(lua_State *L) {
  static const char *const names[] = {"f32", "f64", "bf16", "bf16-amx", NULL};
  static const int kinds[] = {ML_F32, ML_F64, ML_GEMM_PAIRS, ML_GEMM_TILES};
  int kind = kinds[lml_checkoption(L, 1, names)];
  lua_pushboolean(L, !ml_gemm_is_bf16(kind) || ml_gemm_uses_native(kind));
  return 1;
}

/* peak([dtype]) -> operations a second, or nil where there is no way to know */
static int sys_peak(lua_State *L) {
  static const char *const names[] = {"f32", "bf16", "bf16-amx", NULL};
  static const int kinds[] = {ML_F32, ML_GEMM_PAIRS, ML_GEMM_TILES};
  int kind = lua_isnoneornil(L, 1) ? ML_F32 : kinds[lml_checkoption(L, 1, names)];
  double peak = ml_peak(kind, 8);
  if (peak > 0) lua_pushnumber(L, peak);
  else lua_pushnil(L);
  return 1;
}

/* { name, count, isas = { ... } } */
static int sys_cpu(lua_State *L) {
  lua_newtable(L);
  lua_pushstring(L, ml_cpu_name()), lua_setfield(L, -2, "name");
  lua_pushinteger(L, ml_cpu_count()), lua_setfield(L, -2, "count");
  lua_newtable(L);
  for (int isa = 0, n = 0; isa < ML_ISA_COUNT; isa++) {
    if (!ml_cpu_has(isa)) continue;
    lua_pushstring(L, ml_isa_name(isa));
    lua_rawseti(L, -2, ++n);
  }
  lua_setfield(L, -2, "isas");
  return 1;
}

static int sys_clock(lua_State *L) {
  lua_pushnumber(L, ml_clock());
  return 1;
}

static int sys_rss(lua_State *L) {
  lua_pushinteger(L, ml_rss_bytes());
  return 1;
}

/* joins the workers; the next parallel kernel starts them again */
static int sys_rest(lua_State *L) {
  (void)L;
  ml_pool_shutdown();
  return 0;
}

/* ---- signals: caught only when asked for ---- */
static int sys_signals(lua_State *L) {
  lml_checktype(L, 1, LUA_TBOOLEAN);
  return lml_check(L, ml_signal_catch(lua_toboolean(L, 1)), 0);
}

/* the number of a signal that came, or nil */
static int sys_signal(lua_State *L) {
  int n = ml_signal_pending();
  if (n == 0) lua_pushnil(L);
  else lua_pushinteger(L, n);
  return 1;
}

static int sys_signal_clear(lua_State *L) {
  (void)L;
  ml_signal_clear();
  return 0;
}

/* spawn({ program, argument, ... } [, seconds]) -> exit code, number of the signal that ended it
** or nil */
static int sys_spawn(lua_State *L) {
  lml_checktype(L, 1, LUA_TTABLE);
  double seconds = lua_isnoneornil(L, 2) ? 0 : lml_checknumber(L, 2);
  lua_Integer n = luaL_len(L, 1);
  if (n < 1 || n > 10000) return lml_error(L, "spawn: expected 1 to 10000 strings, got %I", n);
  luaL_checkstack(L, (int)n + 4, "spawn"); /* the strings stay on the stack, argv points at them */
  char **argv = lua_newuserdatauv(L, ((size_t)n + 1) * sizeof *argv, 0);
  for (lua_Integer i = 1; i <= n; i++) {
    size_t length;
    bool text = lua_geti(L, 1, i) == LUA_TSTRING;
    argv[i - 1] = text ? (char *)lua_tolstring(L, -1, &length) : NULL;
    if (!text) return lml_error(L, "spawn: argument %I must be a string, got %s", i,
                                luaL_typename(L, -1));
    if (strlen(argv[i - 1]) != length)
      return lml_error(L, "spawn: argument %I holds a zero byte", i);
  }
  argv[n] = NULL;
  int code = 0, number = 0, st = ml_spawn(argv, seconds, &code, &number);
  lua_pushinteger(L, code);
  if (number) lua_pushinteger(L, number);
  else lua_pushnil(L);
  return lml_result(L, st, 2);
}

/* calls the function on the stack with i + 1 */
static int run_work(void *context, int i, char *message, size_t room) {
  lua_State *L = context;
  lua_pushvalue(L, 2);
  lua_pushinteger(L, i + 1);
  if (lua_pcall(L, 1, 0, 0) == LUA_OK) return ML_OK;
  const char *what = luaL_tolstring(L, -1, NULL);
  snprintf(message, room, "%s", what); /* the first words of a long one */
  return ML_EIO;
}

/* workers(n, function) -> true */
static int sys_workers(lua_State *L) {
  lua_Integer n = lml_checkinteger(L, 1);
  lml_checktype(L, 2, LUA_TFUNCTION);
  if (n < 1 || n > 1024) return lml_error(L, "workers: expected 1 to 1024 of them, got %I", n);
  int st = ml_workers((int)n, run_work, L);
  lua_pushboolean(L, 1);
  return lml_result(L, st, 1);
}

/* ---- code that is not trusted ---- */
static const char *text_field(lua_State *L, const char *name) {
  if (lua_getfield(L, 1, name) != LUA_TSTRING) /* the table holds it */
    lml_error(L, "box: %s must be a string, got %s", name, luaL_typename(L, -1));
  const char *s = lua_tostring(L, -1);
  lua_pop(L, 1);
  return s;
}

static int64_t size_field(lua_State *L, const char *name) {
  lua_getfield(L, 1, name);
  if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < 1)
    lml_error(L, "box: %s must be an integer, 1 or more, got %s", name,
              luaL_tolstring(L, -1, NULL));
  int64_t v = lua_tointeger(L, -1);
  lua_pop(L, 1);
  return v;
}

/* box{ read = { path, ... }, write =, output =, memory =, seconds =, file = } -> true */
static int sys_box(lua_State *L) {
  lml_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  ml_box b = {.writable = text_field(L, "write"), .output = text_field(L, "output"),
              .memory = size_field(L, "memory"), .seconds = size_field(L, "seconds"),
              .file = size_field(L, "file")};
  if (lua_getfield(L, 1, "read") != LUA_TTABLE)
    return lml_error(L, "box: read must be a list, got %s", luaL_typename(L, -1));
  lua_Integer n = luaL_len(L, -1);
  if (n < 0 || n > 1000) return lml_error(L, "box: expected at most 1000 paths, got %I", n);
  const char **list = lua_newuserdatauv(L, ((size_t)n + 1) * sizeof *list, 0);
  luaL_checkstack(L, (int)n + 4, "box"); /* the strings stay on the stack */
  for (lua_Integer i = 1; i <= n; i++) {
    if (lua_geti(L, 2, i) != LUA_TSTRING)
      return lml_error(L, "box: read[%I] must be a string, got %s", i, luaL_typename(L, -1));
    list[i - 1] = lua_tostring(L, -1);
  }
  b.readable = list, b.count = (size_t)n;
  int st = ml_box_enter(&b);
  if (st == ML_OK) lua_pushboolean(L, 1);
  return lml_result(L, st, 1);
}

/* mac(path, text) -> hex */
static int sys_mac(lua_State *L) {
  size_t n;
  char hex[65];
  const char *path = lml_checkstring(L, 1, NULL), *text = lml_checkstring(L, 2, &n);
  int st = ml_mac(path, text, n, hex);
  if (st == ML_OK) lua_pushlstring(L, hex, 64);
  return lml_result(L, st, 1);
}

/* realpath(path) -> absolute, without links */
static void free_path(void *p) { free(p); }
static int sys_realpath(lua_State *L) {
  const char *path = lml_checkstring(L, 1, NULL);
  void **box = lml_newbox(L, "moonlit.Path");
  char *real = NULL;
  int st = ml_realpath(path, &real);
  *box = real;
  if (st == ML_OK) lua_pushstring(L, real);
  return lml_result(L, st, 1);
}

static int sys_scratch(lua_State *L) {
  char path[4096];
  int st = ml_private_dir(path, sizeof path);
  if (st == ML_OK) lua_pushstring(L, path);
  return lml_result(L, st, 1);
}

/* ---- files and hashes ---- */
static int sys_mkdir(lua_State *L) {
  int st = ml_mkdir(lml_checkstring(L, 1, NULL));
  if (st == ML_OK) lua_pushboolean(L, 1);
  return lml_result(L, st, 1);
}

/* truncate(path, bytes): cut a file back, with fsync */
static int sys_truncate(lua_State *L) {
  const char *path = lml_checkstring(L, 1, NULL);
  int st = ml_truncate(path, lml_checksize(L, 2));
  lua_pushboolean(L, 1);
  return lml_result(L, st, 1);
}

/* write(path, text): atomic, with fsync */
static int sys_write(lua_State *L) {
  size_t n;
  const char *path = lml_checkstring(L, 1, NULL), *s = lml_checkstring(L, 2, &n);
  ml_writer *w;
  int st = ml_writer_open(&w, path);
  if (st == ML_OK) {
    st = ml_writer_put(w, s, n);
    if (st == ML_OK) st = ml_writer_commit(w);
    else ml_writer_abort(w);
  }
  if (st == ML_OK) lua_pushboolean(L, 1);
  return lml_result(L, st, 1);
}

static void free_hash(void *p) { ml_sha256_free(p); }

/* adds a string, or a tensor's elements in order, little endian */
static void hash_value(lua_State *L, ml_sha256 *h, int arg) {
  size_t n;
  if (lua_type(L, arg) == LUA_TSTRING) {
    const char *s = lua_tolstring(L, arg, &n);
    lml_check(L, ml_sha256_add(h, s, n), 0);
    return;
  }
  ml_tensor **own = lml_newtensor(L);
  lml_check(L, ml_contiguous(own, lml_checktensor(L, arg)), 0);
  n = (size_t)(ml_numel(*own) * ml_dtype_size((*own)->dtype));
  lml_check(L, ml_sha256_add(h, ml_data(*own), n), 0);
  lua_pop(L, 1);
}

/* sha256(v, ...): v a string or a tensor, or an array of those */
static int sys_sha256(lua_State *L) {
  char hex[65];
  int n = lua_gettop(L);
  void **box = lml_newbox(L, "moonlit.Hash");
  ml_sha256 *h;
  lml_check(L, ml_sha256_new(&h), 0);
  *box = h;
  for (int i = 1; i <= n; i++) {
    if (!lua_istable(L, i)) {
      hash_value(L, h, i);
      continue;
    }
    for (lua_Integer j = 1; lua_rawgeti(L, i, j) != LUA_TNIL; j++) {
      hash_value(L, h, lua_gettop(L));
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
  *box = NULL; /* finishing frees it */
  lml_check(L, ml_sha256_hex(h, hex), 0);
  lua_pushstring(L, hex);
  return 1;
}

/* ---- memory ---- */
static void set_integer(lua_State *L, const char *name, int64_t v) {
  lua_pushinteger(L, v);
  lua_setfield(L, -2, name);
}

static int sys_memory(lua_State *L) {
  ml_mem_stats s;
  ml_mem_get(&s);
  lua_createtable(L, 0, 5);
  set_integer(L, "live_bytes", s.live_bytes);
  set_integer(L, "live_blocks", s.live_blocks);
  set_integer(L, "peak_bytes", s.peak_bytes);
  set_integer(L, "cached_bytes", s.cached_bytes);
  set_integer(L, "allocations", s.allocations);
  return 1;
}

/* what must be the same before and after a test: live tensors and graph nodes */
static int sys_stats(lua_State *L) {
  ml_mem_stats s;
  ml_mem_get(&s);
  lua_createtable(L, 0, 4);
  set_integer(L, "tensors", ml_tensor_live());
  set_integer(L, "nodes", ml_node_live());
  set_integer(L, "live_bytes", s.live_bytes);
  set_integer(L, "live_blocks", s.live_blocks);
  return 1;
}

static int sys_reset_peak(lua_State *L) {
  (void)L;
  ml_mem_reset_peak();
  return 0;
}

static int sys_trim(lua_State *L) {
  (void)L;
  ml_mem_trim();
  return 0;
}

static int sys_budget(lua_State *L) {
  ml_mem_budget(lml_checksize(L, 1));
  return 0;
}

static int sys_fail_at(lua_State *L) {
  ml_mem_fail_at(lml_checksize(L, 1));
  return 0;
}

/* ---- random state: (seed, step, next index) of this lua_State ---- */
static int sys_seed(lua_State *L) {
  lua_Integer seed = lml_checkinteger(L, 1);
  *lml_rng(L) = (ml_rng){.seed = (uint64_t)seed};
  return 0;
}

static int sys_rekey(lua_State *L) {
  lua_Integer seed = lml_checkinteger(L, 1), step = lml_checkinteger(L, 2);
  if (step < 0 || step > UINT32_MAX) return lml_error(L, "rekey: step %I is out of range", step);
  *lml_rng(L) = (ml_rng){.seed = (uint64_t)seed, .step = (uint32_t)step};
  return 0;
}

/* rng() -> seed, step, index; rng(seed, step, index) puts it back */
static int sys_rng(lua_State *L) {
  ml_rng *rng = lml_rng(L), was = *rng;
  if (!lua_isnone(L, 1)) {
    lua_Integer seed = lml_checkinteger(L, 1), step = lml_checkinteger(L, 2);
    lua_Integer at = lml_checkinteger(L, 3);
    *rng = (ml_rng){(uint64_t)seed, (uint64_t)at, (uint32_t)step};
  }
  lua_pushinteger(L, (lua_Integer)was.seed);
  lua_pushinteger(L, was.step);
  lua_pushinteger(L, (lua_Integer)was.index);
  return 3;
}

/* draw(n) -> seed, step, index: takes the next n numbers of the counter */
static int sys_draw(lua_State *L) {
  int64_t n = lml_checksize(L, 1);
  lua_settop(L, 0);
  sys_rng(L);
  lml_rng(L)->index += (uint64_t)n;
  return 3;
}

/* random(seed, stream, index, step, site) -> four integers of 32 bits, a pure function */
static int sys_random(lua_State *L) {
  lua_Integer at[5];
  for (int i = 0; i < 5; i++) at[i] = lml_checkinteger(L, i + 1);
  ml_u32x4 r = ml_random((uint64_t)at[0], (uint32_t)at[1], (uint64_t)at[2], (uint32_t)at[3],
                         (uint32_t)at[4]);
  for (int i = 0; i < 4; i++) lua_pushinteger(L, r.v[i]);
  return 4;
}

/* crc32c(bytes [, before [, portable]]) -> integer */
static int sys_crc32c(lua_State *L) {
  size_t n;
  const char *s = lml_checkstring(L, 1, &n);
  lua_Integer before = lua_isnoneornil(L, 2) ? 0 : lml_checkinteger(L, 2);
  lml_argcheck(L, before >= 0 && before <= UINT32_MAX, 2, "an integer from 0 to 2^32 - 1");
  uint32_t c = (uint32_t)before;
  lua_pushinteger(L, lua_toboolean(L, 3) ? ml_crc32c_portable(c, s, n) : ml_crc32c(c, s, n));
  return 1;
}

static const luaL_Reg functions[] = {
  {"threads", sys_threads}, {"isa", sys_isa}, {"native", sys_native}, {"cpu", sys_cpu},
  {"peak", sys_peak}, {"spawn", sys_spawn}, {"workers", sys_workers}, {"box", sys_box},
  {"mac", sys_mac},
  {"scratch", sys_scratch}, {"realpath", sys_realpath}, {"clock", sys_clock},
  {"rss", sys_rss}, {"rest", sys_rest}, {"signals", sys_signals}, {"signal", sys_signal},
  {"signal_clear", sys_signal_clear}, {"mkdir", sys_mkdir}, {"write", sys_write},
  {"truncate", sys_truncate},
  {"sha256", sys_sha256}, {"crc32c", sys_crc32c}, {"memory", sys_memory}, {"stats", sys_stats},
  {"reset_peak", sys_reset_peak}, {"trim", sys_trim}, {"budget", sys_budget},
  {"fail_at", sys_fail_at}, {"seed", sys_seed}, {"rekey", sys_rekey}, {"rng", sys_rng},
  {"draw", sys_draw}, {"random", sys_random}, {NULL, NULL}};

void lml_open_sys(lua_State *L) {
  lml_newtype(L, "moonlit.Hash", NULL, free_hash);
  lml_newtype(L, "moonlit.Path", NULL, free_path);
  luaL_newlib(L, functions);
  lua_setfield(L, -2, "sys");
}
