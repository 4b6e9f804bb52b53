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
  eval = "moonlit.eval",
  json = "moonlit.json", knobs = "moonlit.run.knobs", loss = "moonlit.loss", nn = "moonlit.nn",
  optim = "moonlit.optim", reward = "moonlit.reward", rl = "moonlit.rl", run = "moonlit.run",
  text = "moonlit.text",
}

local face = { version = require("moonlit.version").moonlit, isa = core.sys.isa,
               native = core.sys.native, threads = core.sys.threads, clock = core.sys.clock,
               mem = core.sys.memory }

--- Start the random numbers of ml.rand* (and new models) from a seed.
function face.seed(n) core.sys.seed(n) end

--- Who computes f32 products: "moonlit", the default, or "openblas", outside the bit promise.
--- Returns who did before.
function face.engine(name)
  if (name == nil or name == "moonlit") and not package.loaded["moonlit.blas"] then
    return "moonlit"
  end
  return require("moonlit.blas").engine(name)
end

--- Conversations carried on by a model, with tools: see moonlit.generate.turns.
function face.converse(...) return require("moonlit.generate.turns")(...) end

--- What went well, or the end of the program with one line that says why: assert for recipes,
--- whose reader is at a shell.
---
---   local docs = ml.must(ml.data.open("corpus.jsonl", "train"))
function face.must(...)
  if not (...) then require("moonlit.fail")("%s", (select(2, ...)) or "failed") end
  return ...
end

-- the constructor of models, with the methods that need parts a model itself may not know
local function model()
  local m = require "moonlit.nn.model"
  for _, name in ipairs { "generate", "stream" } do
    m.methods[name] = function(...) return require("moonlit.generate")[name](...) end
  end
  --- model:save(dir [, tokenizer]): config.json, model.safetensors and the tokenizer.
  function m.methods:save(dir, tok)
    return require("moonlit.ckpt").save_model(dir, self, tok)
  end
  return m
end

--- The model that model:save or a run left in a directory, and its tokenizer if there is one.
--- @param path string  a model's directory, or a run's (its latest checkpoint)
--- @return Model|nil, Chars|string|nil
function face.load(path)
  local parts, err, code = require("moonlit.ckpt").load_model(path)
  if not parts then return nil, err, code end
  local made = model()(parts.config)
  made:load_state(parts.state)
  if not parts.tokenizer then return made end
  local tok
  tok, err, code = require("moonlit.text").load(parts.tokenizer)
  if not tok then return nil, err, code end
  return made, tok
end

local function known_names()
  local names = options.keys(face)
  names[#names + 1] = "model"
  for _, t in ipairs { modules, tensor } do
    for _, name in ipairs(options.keys(t)) do names[#names + 1] = name end
  end
  return names
end

---@class moonlit: moonlit.core
local ml = {}
for name, value in pairs(tensor) do ml[name] = value end
for name, value in pairs(face) do ml[name] = value end

return setmetatable(ml, {
  __name = "moonlit",
  __index = function(_, name)
    if modules[name] then
      ml[name] = require(modules[name])
      return ml[name]
    elseif name == "model" then
      ml.model = model()
      return ml.model
    end
    error("moonlit has no " .. options.unknown(name, known_names()), 2)
  end,
})
