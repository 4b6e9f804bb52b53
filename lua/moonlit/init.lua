--- moonlit: train language models from Lua.
---
---   local ml = require "moonlit"
---
--- A lazy facade: a part is loaded when its name is first used. Modules inside the package require
--- each other directly, never this file.
local core = require "moonlit.core"
local options = require "moonlit.options"
local tensor = require "moonlit.tensor"

-- names that are modules
local modules = {
  autograd = "moonlit.autograd", ckpt = "moonlit.ckpt", data = "moonlit.data",
  json = "moonlit.json", knobs = "moonlit.run.knobs", loss = "moonlit.loss",
  model = "moonlit.nn.model", nn = "moonlit.nn", optim = "moonlit.optim", run = "moonlit.run",
  text = "moonlit.text",
}

local face = { version = require("moonlit.version").moonlit, isa = core.sys.isa,
               threads = core.sys.threads, clock = core.sys.clock }

--- Start the random numbers of ml.rand* (and new models) from a seed.
function face.seed(n) core.sys.seed(n) end

--- The model that model:save or a run left in a directory, and its tokenizer if there is one.
--- @param path string  a model's directory, or a run's (its latest checkpoint)
--- @return Model|nil, Chars|string|nil
function face.load(path)
  local parts, err, code = require("moonlit.ckpt").load_model(path)
  if not parts then return nil, err, code end
  local model = require("moonlit.nn.model")(parts.config)
  model:load_state(parts.state)
  if not parts.tokenizer then return model end
  local tok
  tok, err, code = require("moonlit.text").load(parts.tokenizer)
  if not tok then return nil, err, code end
  return model, tok
end

local function known_names()
  local names = options.keys(face)
  for _, t in ipairs { modules, tensor } do
    for _, name in ipairs(options.keys(t)) do names[#names + 1] = name end
  end
  return names
end

local ml = {}
for name, value in pairs(tensor) do ml[name] = value end
for name, value in pairs(face) do ml[name] = value end

return setmetatable(ml, {
  __name = "moonlit",
  __index = function(_, name)
    if modules[name] then
      ml[name] = require(modules[name])
      return ml[name]
    end
    error("moonlit has no " .. options.unknown(name, known_names()), 2)
  end,
})
