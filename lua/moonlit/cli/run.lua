--- moonlit run RECIPE [key=value ...]: like lua5.4 RECIPE.lua, with the module paths set. A name
--- without a path stands for a recipe that comes with moonlit: moonlit run curate data=crawl.
local argparse = require "argparse"
local fail = require "moonlit.fail"
local lfs = require "lfs"

local run = { summary = "run a recipe" }

-- what stands before the recipe is ours, the rest is the recipe's
local function split(args)
  local own, i = {}, 1
  while args[i] and args[i]:sub(1, 1) == "-" do
    own[#own + 1] = args[i]
    i = i + 1
  end
  return own, args[i], table.move(args, i + 1, #args, 1, {})
end

local function parser()
  local p = argparse("moonlit run", "Run a recipe. Its knobs and options follow its name.")
  p:argument("recipe", "a Lua file, or the name of one that comes with moonlit"):args(1)
  p:argument("knobs", "key=value, --out DIR, --resume, --threads N, --quiet, --help"):args("*")
  return p
end

-- beside bin/ where LuaRocks puts them, beside lua/ in a checkout
local function shipped(name)
  local command = (_G.arg[0] or ""):match "^(.*)/[^/]*$" or "."
  for _, up in ipairs { "/..", "/../../.." } do
    local path = ("%s%s/recipes/%s.lua"):format(command, up, name)
    if lfs.attributes(path, "mode") == "file" then return path end
  end
end

--- @param recipe string
--- @param args string[]  what follows it
function run.recipe(recipe, args)
  local path = recipe
  if recipe:find "^[%w_-]+$" then path = shipped(recipe) or recipe end
  local chunk, err = loadfile(path, "t")
  if not chunk then fail("%s", err) end
  args[0] = path
  _G.arg = args
  chunk(table.unpack(args))
end

--- @param args string[]
function run.run(args)
  local own, recipe, rest = split(args)
  if #own > 0 or not recipe then return parser():parse(own) end
  run.recipe(recipe, rest)
end

return run
