--- A list dealt out in batches: pairs, prompts, whatever a step takes some of.
---
---   local data = ml.data.deal(pairs, { batch = 64 })
---   for _, pair in ipairs(data:next()) do ... end
---
--- Every item comes once an epoch, in a random order that is a function of (seed, epoch): batch n
--- is made from (seed, n) alone, and an epoch may end inside a batch.
local core = require "moonlit.core"
local feistel = require "moonlit.data.feistel"
local json = require "moonlit.json"
local options = require "moonlit.options"

local Deal = {}
Deal.__index = Deal
Deal.__name = "moonlit.Deal"

--- Batch number n, a list.
function Deal:at(n)
  local count, batch = #self.list, {}
  for b = 1, self.batch do
    local i = (n - 1) * self.batch + b - 1
    batch[b] = self.list[feistel.shuffled(self.seed, i // count, i % count, count) + 1]
  end
  return batch
end

function Deal:next()
  self.step = self.step + 1
  return self:at(self.step)
end

--- Items an epoch has.
function Deal:rows() return #self.list end

--- Take a run's seed, unless one was given.
function Deal:reseed(seed)
  if not self.own_seed then self.seed = seed end
end

-- numbers, text and lists of them say what an item is; what is computed and cached does not
local function plain(item)
  if type(item) ~= "table" then return item end
  local copy = {}
  for k, v in pairs(item) do
    if k ~= "ref" then copy[k] = plain(v) end
  end
  return copy
end

function Deal:state()
  if not self.hash then
    local lines = {}
    for i, item in ipairs(self.list) do lines[i] = json.encode(plain(item)) end
    self.hash = core.sys.sha256(table.concat(lines, "\n"))
  end
  return { seed = self.seed, step = self.step, count = #self.list, hash = self.hash }
end

--- Continue from what state() gave; another list is refused.
function Deal:load_state(state)
  if state.count ~= #self.list or state.hash ~= self:state().hash then
    error(("data.deal: the state is of %s items %.12s, these are %d, %.12s"):format(
      tostring(state.count), tostring(state.hash), #self.list, self:state().hash), 2)
  end
  self.seed, self.step = state.seed, state.step
end

--- @param list table[]  plain values: numbers, strings and tables of them
--- @param opt {batch: integer, seed: integer?}  without a seed, the run's
return function(list, opt)
  local o = options(opt, { batch = options.required, seed = options.optional }, "data.deal")
  if type(list) ~= "table" or #list == 0 then
    error("data.deal: expected a list of items, got " ..
          (type(list) == "table" and "none" or type(list)), 2)
  elseif (math.tointeger(o.batch) or 0) < 1 then
    error("data.deal: batch must be a positive integer, got " .. tostring(o.batch), 2)
  end
  return setmetatable({ list = list, batch = math.tointeger(o.batch), step = 0,
                        seed = o.seed or 0, own_seed = o.seed ~= nil }, Deal)
end
