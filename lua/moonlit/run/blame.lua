--- Which module is the first that is not finite: the weights in their order, then what the modules
--- put out as the step's forwards are run again, then the gradients, in the order of backward.
---
---   blame(model, calls)  --> "the output of model.layers.3"
---
--- A call is { model =, method =, batch =, rest = its other arguments, packed, rng = { seed, step,
--- index } }; with the same random numbers it gives the same bits.
local core = require "moonlit.core"

-- a sum is finite only where everything is; one that overflows is looked at closely
local function finite(t)
  local flat = t:detach()
  local sum = flat:sum():item()
  return sum - sum == 0 or not (flat * 0):isnan():any():item()
end

local function of_weights(model)
  for _, p in ipairs(model:parameters()) do
    if not finite(p.tensor) then return "the weights " .. p.name end
  end
end

local function places(model)
  local gpt2 = model.options.names == "gpt2"
  local list = { gpt2 and "transformer.wte" or "model.embed_tokens" }
  for l = 1, model.options.layers do
    list[l + 1] = (gpt2 and "transformer.h.%d" or "model.layers.%d"):format(l - 1)
  end
  return list
end

-- run a call once more, looking at every module's output
local function of_call(model, call)
  local first, removers = nil, {}
  for i, place in ipairs(places(model)) do
    removers[i] = model:tap(place, function(x)
      if not first and not finite(x) then first = place end
    end)
  end
  local seed, step, index = core.sys.rng()
  core.sys.rng(table.unpack(call.rng))
  local fine, y = pcall(call.method, call.model, call.batch,
                        table.unpack(call.rest, 1, call.rest.n))
  core.sys.rng(seed, step, index)
  for _, remove in ipairs(removers) do remove() end
  if not fine then error(y, 0) end
  if first then return "the output of " .. first end
  if not finite(y) then return "the head and the loss, after finite output of every block" end
end

local function of_gradients(model)
  local list = model:parameters()
  for i = #list, 1, -1 do
    local g = list[i].tensor:grad()
    if g and not finite(g) then return "the gradient of " .. list[i].name end
  end
end

--- @param model Model
--- @param calls table[]  the step's forwards, in their order
--- @return string
return function(model, calls)
  local found = of_weights(model)
  for _, call in ipairs(calls) do
    found = found or of_call(model, call)
  end
  return found or of_gradients(model) or "no module: every gradient is finite, their norm is not"
end
