std = "lua54"
max_line_length = 100
exclude_files = { "build", "lua_modules", "moonlit.lua" }
files["tests/spec"] = { std = "+busted" }
files["rocks"] = { std = "none", globals = {
  "rockspec_format", "package", "version", "source", "description", "supported_platforms",
  "dependencies", "external_dependencies", "build", "test" } }
files["tests/luarocks.lua"] = { globals = { "rocks_provided" } }
