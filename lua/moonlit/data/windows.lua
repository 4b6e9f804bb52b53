--- A long run of ids as batches: random windows to train on, consecutive blocks to evaluate on.
--- A row holds length + 1 ids, as the last one is only a target; callers never shift.
---
---   local train, val = ml.data.split(ids, 0.9)
---   local data = ml.data.windows(train, { batch = 16, length = 256 })
---   local batch = data:next()                            -- { ids = (16, 257) }
local core = require "moonlit.core"
local feistel = require "moonlit.data.feistel"
local options = require "moonlit.options"
local tensor = require "moonlit.tensor"

local windows = {}

local Windows = {}
Windows.__index = Windows
Windows.__name = "moonlit.Windows"

local function as_ids(ids, who)
  if type(ids) == "table" then ids = tensor.tensor(ids, { dtype = "i64" }) end
  if type(ids) ~= "userdata" or ids:dim() ~= 1 then
    error(who .. ": expected ids in one dimension, got "
          .. (type(ids) == "userdata" and "a tensor of " .. ids:dim() or type(ids)), 3)
  end
  return ids
end

local function whole(o, name, who)
  local v = math.tointeger(o[name])
  if not v or v < 1 then
    error(("%s: %s must be a positive integer, got %s"):format(who, name, tostring(o[name])), 3)
  end
  return v
end

local function check_length(ids, length, who)
  if ids:size(1) < length + 1 then
    error(("%s: %d ids are too few for rows of %d (length + 1)"):format(who, ids:size(1),
                                                                        length + 1), 3)
  end
end

--- Windows at random places. Batch number n is a function of (seed, n) alone, so a resumed run
--- reads on where it stopped, and nothing is shuffled in memory.
--- @param ids Tensor|integer[]
--- @param opt {batch: integer, length: integer, seed: integer?, epochs: boolean?}  without a seed,
---        the run's. epochs: windows do not overlap and every one comes once, in random order,
---        before any comes again; each epoch cuts the ids at other places. Default: anywhere.
function windows.windows(ids, opt)
  local who = "data.windows"
  local o = options(opt, { batch = options.required, length = options.required,
                           seed = options.optional, epochs = false }, who)
  ids = as_ids(ids, who)
  local length = whole(o, "length", who)
  check_length(ids, length, who)
  return setmetatable({ ids = ids, batch = whole(o, "batch", who), length = length, step = 0,
                        epochs = o.epochs, seed = o.seed or 0, own_seed = o.seed ~= nil },
                      Windows)
end

-- where row b of batch n starts, 1-based
local function start_of(self, n, b)
  local size, length = self.ids:size(1), self.length
  if not self.epochs then return feistel.draw(self.seed, b, n, 0, size - length) + 1 end
  local row, count = (n - 1) * self.batch + b - 1, math.max(1, size // length - 1)
  local epoch = row // count
  local shift = feistel.draw(self.seed, 0, epoch, 5, math.min(length, size - length))
  return shift + feistel.shuffled(self.seed, epoch, row % count, count) * length + 1
end

--- Batch number n.
function Windows:at(n)
  local rows = {}
  for b = 1, self.batch do
    rows[b] = self.ids:narrow(1, start_of(self, n, b), self.length + 1)
  end
  return { ids = tensor.stack(rows, 1) }
end

function Windows:next()
  self.step = self.step + 1
  return self:at(self.step)
end

--- Tokens learned from a batch.
function Windows:tokens() return self.batch * self.length end

--- Take a run's seed, unless one was given.
function Windows:reseed(seed)
  if not self.own_seed then self.seed = seed end
end

function Windows:state()
  self.hash = self.hash or core.sys.sha256(self.ids)
  return { seed = self.seed, step = self.step, count = self.ids:size(1), hash = self.hash }
end

--- Continue from what state() gave; other data than that of the state is refused.
function Windows:load_state(state)
  if state.count ~= self.ids:size(1) then
    error(("data.windows: the state is of %d ids, the data has %d"):format(state.count,
                                                                          self.ids:size(1)), 2)
  end
  if state.hash and state.hash ~= self:state().hash then
    error(("data.windows: the state is of ids with SHA-256 %.12s, these have %.12s"):format(
      state.hash, self.hash), 2)
  end
  self.seed, self.step = state.seed, state.step
end

--- Iterate over consecutive blocks, each id a target once: every block of `length` targets takes
--- up where the one before ended; what does not fill a block at the end is left out.
--- @param opt {batch: integer?, length: integer, tokens: integer?}  tokens: stop after as many
---        targets, rounded down to whole blocks (at least one); 0, the default, is all
--- @return function iterator giving batches
function windows.blocks(ids, opt)
  local who = "data.blocks"
  local o = options(opt, { batch = 64, length = options.required, tokens = 0 }, who)
  ids = as_ids(ids, who)
  local length, batch = whole(o, "length", who), whole(o, "batch", who)
  check_length(ids, length, who)
  local count, done = (ids:size(1) - 1) // length, 0
  if o.tokens > 0 then count = math.max(1, math.min(count, o.tokens // length)) end
  return function()
    if done >= count then return nil end
    local rows = {}
    for i = done, math.min(done + batch, count) - 1 do
      rows[#rows + 1] = ids:narrow(1, i * length + 1, length + 1)
    end
    done = done + #rows
    return { ids = tensor.stack(rows, 1) }
  end
end

--- Cut ids in two: the first `fraction` of them, and the rest. Both are views.
--- @return Tensor first, Tensor rest
function windows.split(ids, fraction)
  ids = as_ids(ids, "data.split")
  if type(fraction) ~= "number" or not (fraction > 0 and fraction < 1) then
    error("data.split: the fraction must lie between 0 and 1, got " .. tostring(fraction), 2)
  end
  local n = ids:size(1)
  local first = math.floor(fraction * n)
  if first == 0 or first == n then
    error(("data.split: %d ids are too few to split at %g"):format(n, fraction), 2)
  end
  return ids:narrow(1, 1, first), ids:narrow(1, first + 1, n - first)
end

return windows
