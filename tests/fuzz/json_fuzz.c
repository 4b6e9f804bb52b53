/* json_fuzz.c -- any bytes: nil and a message, or a value that is written and read back the same:
** encode(decode(encode(decode(text)))) == encode(decode(text)). */
#include "bind/laux.h"

#include <string.h>

static lua_State *L;

static int round_trip(lua_State *S) {
  lua_getfield(S, 1, "decode");
  lua_pushvalue(S, 2);
  lua_call(S, 1, 1);
  if (lua_isnil(S, -1)) return 0;
  for (int turn = 0; turn < 2; turn++) { /* value -> text -> value -> text */
    lua_getfield(S, 1, "encode");
    lua_insert(S, -2);
    lua_call(S, 1, 1);
    if (turn == 1) break;
    lua_getfield(S, 1, "decode");
    lua_pushvalue(S, -2);
    lua_call(S, 1, 1);
  }
  if (!lua_rawequal(S, -1, -2)) __builtin_trap();
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  if (!L) {
    L = luaL_newstate();
    lml_open_types(L);
    lua_newtable(L);
    lml_open_json(L);
    lua_getfield(L, -1, "json");
    lua_replace(L, 1);
  }
  lua_settop(L, 1);
  lua_pushcfunction(L, round_trip);
  lua_pushvalue(L, 1);
  lua_pushlstring(L, (const char *)p, n);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) __builtin_trap(); /* what was read can be written */
  return 0;
}
