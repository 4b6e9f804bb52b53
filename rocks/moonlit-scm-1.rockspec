rockspec_format = "3.0"
package = "moonlit"
version = "scm-1"
source = { url = "git+https://example.org/moonlit.git", branch = "main" }
description = {
  summary = "Train language models from Lua",
  detailed = "Tensors, autograd and transformer blocks in C as Lua userdata; training loops, "
    .. "objectives, rewards and data curation in Lua; the same weights, bit for bit, on any "
    .. "thread count and SIMD width.",
  license = "MIT",
}
supported_platforms = { "linux" }
dependencies = { "lua >= 5.4, < 5.6", "luafilesystem", "argparse" }
external_dependencies = { -- libraries only: Debian keeps some headers in multiarch folders
  ZLIB = { library = "z" },
  JANSSON = { library = "jansson" },
  PCRE2 = { library = "pcre2-8" },
  UTF8PROC = { library = "utf8proc" },
  CRYPTO = { library = "crypto" },
  OPENBLAS = { library = "openblas" },
}
local variables = {
  BUILD = "build/rock", -- never the developer's build directory
  CFLAGS = "$(CFLAGS)",
  LIBFLAG = "$(LIBFLAG)",
  LUA = "$(LUA)",
  LUA_INCDIR = "$(LUA_INCDIR)",
  INST_LIBDIR = "$(LIBDIR)",
  INST_LUADIR = "$(LUADIR)",
}
build = {
  type = "make",
  build_target = "parts",
  build_variables = variables,
  install_variables = variables,
  install = { bin = { moonlit = "lua/moonlit/cli/main.lua" } },
  copy_directories = { "recipes" },
}
test = { type = "command", command = "make test" }
