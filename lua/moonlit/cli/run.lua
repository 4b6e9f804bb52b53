--- moonlit run RECIPE.lua [key=value ...]: like lua5.4 RECIPE.lua, with the module paths set.
local argparse = require "argparse"
local fail = require "moonlit.run.fail"

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
  p:argument("recipe", "a Lua file"):args(1)
  p:argument("knobs", "key=value, --out DIR, --resume, --threads N, --quiet, --help"):args("*")
  return p
end

--- @param args string[]
function run.run(args)
  local own, recipe, rest = split(args)
  if #own > 0 or not recipe then return parser():parse(own) end
  local chunk, err = loadfile(recipe, "t")
  if not chunk then fail("%s", err) end
  rest[0] = recipe
  _G.arg = rest
  chunk(table.unpack(rest))
end

return run
