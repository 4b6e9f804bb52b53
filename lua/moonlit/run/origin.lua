--- Which run directories this user's own machine wrote. A run's recipe is code; one that came from
--- elsewhere is never run as it is. run.json holds a signature of the recipe and of the knobs, made
--- with a key that only this user can read (XDG_STATE_HOME or ~/.local/state, moonlit/key): whoever
--- changes either, or makes up a run, cannot make that.
local core = require "moonlit.core"
local files = require "moonlit.run.files"
local json = require "moonlit.json"

local origin = {}

--- The directory of the key, or nil where this user has no place for it.
function origin.place()
  local state, home = os.getenv "XDG_STATE_HOME", os.getenv "HOME"
  if state and state:find "^/" then return state .. "/moonlit" end
  return home and home:find "^/" and home .. "/.local/state/moonlit" or nil
end

--- The signature of what a run's directory has to run, or nil: no recipe, or no key can be had.
function origin.sign(dir)
  local recipe, config = files.read(dir .. "/recipe.lua"), files.read(dir .. "/config.json")
  local place = recipe and config and origin.place()
  if not place or not core.sys.mkdir(place) then return nil end
  local text = ("moonlit run\0%s\0%s"):format(core.sys.sha256(recipe), core.sys.sha256(config))
  return (core.sys.mac(place .. "/key", text))
end

--- Did this user write what the directory has to run?
function origin.own(dir)
  local info = json.load(dir .. "/run.json")
  if type(info) ~= "table" or type(info.origin) ~= "string" then return false end
  return info.origin == origin.sign(dir)
end

return origin
