--- A reward model's score: what its scalar head says at the last id that is learned, which is the
--- assistant's end of turn. It must share the policy's tokenizer; samples are judged in batches, by
--- the ids they were drawn as.
---
---   local reward = ml.reward.model(judge, { cut = -1 })
---   reward:scores(samples)                                   -- a list of numbers
local core = require "moonlit.core"
local options = require "moonlit.options"
local tensor = require "moonlit.tensor"

local Judge = {}
Judge.__index = Judge
Judge.__name = "moonlit.RewardModel"

local function last_learned(sample)
  for i = #sample.mask, 1, -1 do
    if sample.mask[i] == 1 then return i end
  end
  error("reward.model: a sample with no id that is learned", 0)
end

-- (rows, longest) ids; what fills them up comes after the place that is read
local function ids_of(samples)
  local width, rows = 0, {}
  for _, s in ipairs(samples) do width = math.max(width, #s.ids) end
  for i, s in ipairs(samples) do
    rows[i] = table.move(s.ids, 1, #s.ids, 1, {})
    for t = #s.ids + 1, width do rows[i][t] = 0 end
  end
  return tensor.tensor(rows, { dtype = "i64" })
end

--- @param samples table[]  { ids =, mask =, stopped = }
--- @return number[]
function Judge:scores(samples)
  local out = {}
  for first = 1, #samples, self.batch do
    local last = math.min(first + self.batch - 1, #samples)
    local part = table.move(samples, first, last, 1, {})
    local scores = core.autograd.no_grad(function()
      return self.model:scores { ids = ids_of(part) }:table()
    end)
    for i, s in ipairs(part) do
      out[#out + 1] = s.stopped == false and self.cut or scores[i][last_learned(s)]
    end
  end
  return out
end

--- @param model Model   with a scalar head
--- @param opt? {batch: integer?, cut: number?}  cut: what a reply is worth that did not come to its
---        end; its own score by default
return function(model, opt)
  local o = options(opt, { batch = 32, cut = options.optional }, "reward.model")
  if type(model) ~= "table" or not model.scores then
    error("reward.model: expected a model with a scalar head, got " .. type(model), 2)
  end
  if (math.tointeger(o.batch) or 0) < 1 then
    error("reward.model: batch must be a positive integer, got " .. tostring(o.batch), 2)
  end
  return setmetatable({ model = model, batch = o.batch, cut = o.cut }, Judge)
end
