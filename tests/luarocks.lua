-- LuaRocks does not see Debian's Lua packages: say that they are there, so that an offline
-- install resolves its dependencies.
rocks_provided = { luafilesystem = "1.8.0-1", argparse = "0.7.1-1" }
