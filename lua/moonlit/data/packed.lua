--- Rows of several documents, which do not see each other: doc numbers the documents of a row, mask
--- is 0 at the first id of each (nothing predicts it) and where a row is filled up.
---
---   local data = ml.data.packed(shard, { batch = 16, length = 256 })
---   local batch = data:next()               -- { ids = (16, 257), mask = ..., doc = ... }
---
--- By default the documents, in their order, are cut into rows of length + 1, each beginning on the
--- last id of the one before: every id is a target once an epoch, none is thrown away, and only the
--- last row is filled up. whole = true keeps documents whole, unless one is longer than a row, and
--- fills rows best-fit, longest first.
---
--- The rows of an epoch come in a random order that is a function of (seed, epoch): batch n is made
--- from (seed, n) alone. An epoch may end inside a batch. With fraction = 0.1 there are only a
--- tenth of the rows, drawn by the seed: always the same.
local core = require "moonlit.core"
local feistel = require "moonlit.data.feistel"
local options = require "moonlit.options"
local shard = require "moonlit.data.shard"

local Packed = {}
Packed.__index = Packed
Packed.__name = "moonlit.Packed"

local function whole_number(o, name)
  local v = math.tointeger(o[name])
  if not v or v < 1 then
    error(("data.packed: %s must be a positive integer, got %s"):format(name, tostring(o[name])), 3)
  end
  return v
end

local SOME = -1 -- the epoch whose order says which rows there are, where a part is left out

--- Batch number n.
function Packed:at(n)
  local all, count, list = self.core:count(), self:rows(), {}
  for b = 1, self.batch do
    local row = (n - 1) * self.batch + b - 1
    local i = feistel.shuffled(self.seed, row // count, row % count, count)
    if count < all then i = feistel.shuffled(self.seed, SOME, i, all) end
    list[b] = i + 1
  end
  local ids, mask, doc = self.core:batch(list)
  return { ids = ids, mask = mask, doc = doc }
end

function Packed:next()
  self.step = self.step + 1
  return self:at(self.step)
end

--- Positions a batch runs, learned or not.
function Packed:tokens() return self.batch * self.length end

--- Rows an epoch has.
function Packed:rows() return math.max(1, math.floor(self.fraction * self.core:count())) end

--- Take a run's seed, unless one was given.
function Packed:reseed(seed)
  if not self.own_seed then self.seed = seed end
end

function Packed:state()
  return { seed = self.seed, step = self.step, rows = self:rows(), hash = self.hash }
end

--- Continue from what state() gave; other documents, or other rows of them, are refused.
function Packed:load_state(state)
  if state.hash ~= self.hash or state.rows ~= self:rows() then
    error(("data.packed: the state is of %s rows of data %.12s, these are %d of %.12s"):format(
      tostring(state.rows), tostring(state.hash), self:rows(), self.hash), 2)
  end
  self.seed, self.step = state.seed, state.step
end

--- @param documents userdata|table|function  a shard, or what shard.write takes
--- @param opt {batch: integer, length: integer, whole: boolean?, seed: integer?, fraction: number?}
---        without a seed, the run's; fraction of the rows that are used at all, 1
return function(documents, opt)
  local o = options(opt, { batch = options.required, length = options.required, whole = false,
                           seed = options.optional, fraction = 1 }, "data.packed")
  if type(o.fraction) ~= "number" or not (o.fraction > 0 and o.fraction <= 1) then
    error("data.packed: fraction must lie above 0 and up to 1, got " .. tostring(o.fraction), 2)
  end
  local batch, length = whole_number(o, "batch"), whole_number(o, "length")
  if type(documents) ~= "userdata" then documents = shard.of(documents, "data.packed") end
  return setmetatable({ core = core.data.rows(documents, length, o.whole), batch = batch,
                        length = length, fraction = o.fraction, step = 0,
                        hash = documents:hash(), seed = o.seed or 0, own_seed = o.seed ~= nil },
                      Packed)
end
