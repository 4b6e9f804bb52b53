/* lcore.c -- luaopen_moonlit_core: one table with everything. Loading it prints nothing,
** starts no thread and installs no handler; two environment variables are read, here only. */
#include <stdlib.h>
#include <string.h>

#include "bind/api.h"
#include "bind/laux.h"

static ml_api api = {.version = ML_API_VERSION, .fail = ml_fail, .errmsg = ml_errmsg,
                     .gemm_f64 = &ml_gemm_engine_f64, .gemm_f32 = &ml_gemm_engine_f32};

static void read_threads(lua_State *L) {
  const char *s = getenv("MOONLIT_THREADS");
  if (s == NULL || *s == '\0') return;
  char *end;
  long n = strtol(s, &end, 10);
  if (*end != '\0' || n < 1 || n > ML_MAX_THREADS || ml_set_threads((int)n) != ML_OK)
    luaL_error(L, "MOONLIT_THREADS: expected 1 to %d, got \"%s\"", ML_MAX_THREADS, s);
}

static void read_isa(lua_State *L) {
  const char *s = getenv("MOONLIT_ISA");
  if (s == NULL || *s == '\0') return;
  for (int isa = 0; isa < ML_ISA_COUNT; isa++) {
    if (strcmp(s, ml_isa_name(isa)) != 0) continue;
    if (ml_isa_set(isa) != ML_OK) luaL_error(L, "MOONLIT_ISA: %s", ml_errmsg());
    return;
  }
  luaL_error(L, "MOONLIT_ISA: expected scalar, avx2, avx512 or neon, got \"%s\"", s);
}

ML_EXPORT int luaopen_moonlit_core(lua_State *L) {
  read_threads(L);
  read_isa(L);
  lua_pushlightuserdata(L, &api);
  lua_setfield(L, LUA_REGISTRYINDEX, ML_API_KEY);
  lml_open_types(L);
  lua_newtable(L);
  lml_open_tensor(L);
  lml_open_ops(L);
  lml_open_autograd(L);
  lml_open_nn(L);
  lml_open_optim(L);
  lml_open_sample(L);
  lml_open_ckpt(L);
  lml_open_json(L);
  lml_open_data(L);
  lml_open_spill(L);
  lml_open_text(L);
  lml_open_stats(L);
  lml_open_sys(L);
  return 1;
}
