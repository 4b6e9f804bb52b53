--- Some steps of a run once more, in a process of its own, which moonlit.run.replay starts:
---
---   lua5.4 lua/moonlit/run/segment.lua REQUEST.json
---
--- The request: recipe, arguments (of the recipe), out (the run's directory, with the checkpoint to
--- go on from), last (the step to end after), and box (see
--- core.sys.box) where the recipe is not trusted: then this process shuts itself in before it reads
--- it. Exit code 69 where that cannot be: the recipe was not looked at.
local REFUSED = 69

-- what Lua offers that a kernel's box would refuse, or that only attacks need
local function shut_lua()
  local load_text, load_file = load, loadfile
  function _G.load(chunk, name, _, ...) return load_text(chunk, name, "t", ...) end
  function _G.loadfile(path, _, ...) return load_file(path, "t", ...) end
  function _G.dofile(path) return assert(load_file(path, "t"))() end
  for library, name in pairs { [string] = "dump", [os] = "execute", [io] = "popen",
                               [package] = "loadlib" } do
    rawset(library, name, nil)
  end
  rawset(package, "cpath", "")
end

local request = assert(require("moonlit.json").load(arg[1]))
local core = require "moonlit.core"
require "moonlit.run" -- and the C modules it needs: later there is no loading any
core.sys.sha256 "" -- libcrypto sets itself up
core.sys.cpu()
if request.box then
  local fine, message = core.sys.box(request.box)
  if not fine then
    io.stderr:write(message, "\n")
    os.exit(REFUSED)
  end
  shut_lua()
end
local harness = require "moonlit.run.harness"
harness.stop_at = request.last
harness.out, harness.resume, harness.quiet = request.out, true, true -- where it calls no ml.knobs
_G.arg = request.arguments
_G.arg[0] = request.recipe
local chunk, message = loadfile(request.recipe, "t")
if not chunk then
  io.stderr:write(message, "\n")
  os.exit(1)
end
chunk(table.unpack(_G.arg))
