/* tokenizer_fuzz.c -- a tokenizer.json, and behind the first 0xFF a text: the whole loader, then
** encoding. A number "bytes" beside the model puts the 256 bytes into its vocabulary, from that id
** on, so that inputs can be short. Either nil, a message and a code, or a tokenizer that gives the text back, plain, with
** special tokens and token by token, and writes a file that it reads again. Run from the top of the
** checkout: the loader's Lua is lua/moonlit/text. */
#include "bind/laux.h"

#include <string.h>

int luaopen_moonlit_core(lua_State *L);

static const char PROGRAM[] =
  "package.path = 'lua/?.lua;lua/?/init.lua'\n"
  "local alphabet = require 'moonlit.text.alphabet'\n"
  "local bpe, json = require 'moonlit.text.bpe', require 'moonlit.json'\n"
  "local function try(t, text)\n"
  "  local tok, err, code = bpe.of(t)\n"
  "  if not tok then\n"
  "    assert(type(err) == 'string' and (code == 'format' or code == 'unsupported'))\n"
  "    return\n"
  "  end\n"
  "  local whole = tok:is_exact()\n"
  "  for _, special in ipairs { false, true } do\n"
  "    local fine, ids = pcall(tok.encode, tok, text, { special = special })\n"
  "    if fine then assert(not whole or tok:decode(ids) == text)\n"
  "    else assert(ids:find 'the pattern') end\n" /* gave up, or goes backwards */
  "    local put, out = tok:decoder(), {}\n"
  "    for i, id in ipairs(fine and ids or {}) do\n"
  "      out[i] = put(id)\n"
  "      assert(special or not tok:is_special(id))\n"
  "    end\n"
  "    assert(not (fine and whole) or table.concat(out) .. put() == text)\n"
  "  end\n"
  "  return tok\n"
  "end\n"
  "return function(s)\n"
  "  local head, text = s:match '^([^\\xff]*)\\xff?(.*)$'\n"
  "  local t = json.decode(head)\n"
  "  if type(t) ~= 'table' then return end\n"
  "  local vocab = type(t.model) == 'table' and t.model.vocab\n"
  "  for b = 0, math.type(t.bytes) == 'integer' and type(vocab) == 'table' and 255 or -1 do\n"
  "    vocab[alphabet.chars[b]] = t.bytes + b\n"
  "  end\n"
  "  local tok = try(t, text)\n"
  "  local path = '/dev/shm/moonlit-fuzz-' .. tostring(t):match '0x(%x+)'\n"
  "  if not tok or not tok:save(path) then return end\n"
  "  local again = json.load(path)\n"
  "  os.remove(path)\n"
  "  assert(try(again, text))\n"
  "end\n";

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
  static lua_State *L;
  if (!L) {
    L = luaL_newstate();
    luaL_openlibs(L);
    luaL_requiref(L, "moonlit.core", luaopen_moonlit_core, 0);
    if (luaL_dostring(L, PROGRAM) != LUA_OK) __builtin_trap();
  }
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  lua_pushlstring(L, (const char *)p, n);
  if (lua_pcall(L, 1, 0, 0) == LUA_OK) return 0;
  fprintf(stderr, "%s\n", lua_tostring(L, -1));
  __builtin_trap();
}
