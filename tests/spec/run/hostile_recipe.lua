-- What a recipe from elsewhere might try. replay_spec puts it in the place of a run's recipe.lua,
-- with PLACE, BYTECODE and LIBRARY filled in; nothing of it may work. It says how it went, and
-- fails.
local core = require "moonlit.core"
local lfs = require "lfs"

local place, bytecode = "@PLACE@", "@BYTECODE@"
local got_in, tried = {}, 0

local function try(name, attempt)
  tried = tried + 1
  local fine, got = pcall(attempt)
  if fine and got then got_in[#got_in + 1] = name end
end

local function writes(path)
  local file = io.open(path, "a")
  return file and file:write "x" and file:close()
end

local code = bytecode:gsub("%x%x", function(two) return string.char(tonumber(two, 16)) end)

try("a file beside", function() return writes(place .. "/written") end)
try("a log of the run", function() return writes(place .. "/run/hashes.log") end)
try("a program's own file", function() return core.sys.write(place .. "/written", "x") end)
try("a folder", function() return core.sys.mkdir(place .. "/folder") end)
try("removing", function() return os.remove(place .. "/run/config.json") end)
try("moving", function() return os.rename(place .. "/run/ckpt", place .. "/moved") end)
try("a link", function() return lfs.link("/etc/passwd", arg[#arg] .. "/link", true) end)
try("dates", function() return lfs.touch(place .. "/run/config.json", 1, 1) end)
try("a home directory", function() return io.open(place .. "/home/secret"):read "a" end)
try("its entries", function() return lfs.dir(place .. "/home") end)
try("passwords", function() return io.open "/etc/passwd":read "a" end)
try("the environment's file", function() return io.open "/proc/self/environ":read "a" end)
try("the environment", function() return os.getenv "MOONLIT_SECRET" or os.getenv "HOME" end)
try("the key", function() return io.open(place .. "/state/moonlit/key"):read "a" end)
try("signing", function() return core.sys.mac(place .. "/state/moonlit/key", "x") end)
try("a shell", function() return os.execute "true" end)
try("a pipe", function() return io.popen "echo x":read "a" end)
try("a program", function() return core.sys.spawn { "true" } end)
try("a connection", function() return core.sys.spawn { "curl", "http://127.0.0.1/" } end)
try("a socket", function() return require "socket" end)
try("a library", function() return package.loadlib("@LIBRARY@", "*") end)
try("another library", function()
  package.cpath = "@LIBRARY@"
  return require "anything"
end)
try("bytecode", function() return load(code) end)
try("bytecode, asked for", function() return load(code, "x", "b") end)
try("bytecode in pieces", function()
  local given
  return load(function()
    if given then return nil end
    given = true
    return code
  end, "x", "bt")
end)
try("a file of bytecode", function() return loadfile(place .. "/run/code.luac", "b") end)
try("doing a file of bytecode", function() return dofile(place .. "/run/code.luac") == 1 end)
try("making bytecode", function() return string.dump(function() end) end)
try("a way out of the box", function()
  return core.sys.box { read = { "/" }, write = "/", output = place .. "/written", memory = 1 << 40,
                        seconds = 1000, file = 1 << 40 }
end)
try("all memory", function() return ("x"):rep(1 << 34) end)

print(("tried %d, got in: %s\27[31m"):format(tried, #got_in == 0 and "none"
                                                    or table.concat(got_in, ", ")))
os.exit(3)
