--- Batches from several sources, each row from one of them, in proportions that may change.
---
---   local data = ml.data.mix({
---     { data = ml.data.packed(web, { batch = 1, length = 256 }), weight = 0.7 },
---     { data = ml.data.packed(sums, { batch = 1, length = 256 }),
---       weight = { from = 0.1, to = 0.6, steps = 1000 } },
---   }, { batch = 16 })
---
--- A weight is a number, { from =, to =, steps = } (a straight line from step 1 to step `steps`),
--- or a function of the step, which must be a pure one; weights need not add up to 1. Every step
--- adds batch * weight rows to what each source is owed, and each row goes to the source that is
--- owed most (the first of equals). So at every step a source has had as many rows as its weights
--- ask for, give or take one row for every other source: a function of the step alone. A source
--- gives its rows in its own order, whatever its own batch size; 1 is the cheapest.
---
--- A source with max_repetition = 4 gives each of its rows at most four times, then the others
--- have its part (OLMo-core's rule; packed's fraction is its other). mix:counts() says who gave
--- what.
local feistel = require "moonlit.data.feistel"
local options = require "moonlit.options"
local tensor = require "moonlit.tensor"

local WHO = "data.mix: "

local Mix = {}
Mix.__index = Mix
Mix.__name = "moonlit.Mix"

-- ---- who gives how many rows ----

local function is_weight(v)
  return type(v) == "number" and v >= 0 and v < math.huge
end

-- any form of a weight -> function of the step
local function schedule(w, i)
  if type(w) == "function" then return w end
  if is_weight(w) then return function() return w end end
  if type(w) ~= "table" then
    error(("%sweight of source %d must be a number, { from =, to =, steps = } or a function, "
           .. "got %s"):format(WHO, i, tostring(w)), 4)
  end
  local o = options.fill(w, { from = options.required, to = options.required,
                              steps = options.required }, "data.mix: weight", 5)
  if not is_weight(o.from) or not is_weight(o.to) or math.type(o.steps) ~= "integer"
     or o.steps < 1 then
    error(("%sweight of source %d: expected from and to of 0 or more and steps of 1 or more")
          :format(WHO, i), 4)
  end
  return function(step)
    if step >= o.steps then return o.to end
    return o.from + (o.to - o.from) * ((step - 1) / (o.steps - 1))
  end
end

-- has source i given its rows as often as it may?
local function is_spent(self, plan, i)
  return plan.before[i] + plan.now[i] >= self.sources[i].limit
end

-- who is owed most, of those that have rows
local function most(self, plan)
  local best
  for i, owed in ipairs(plan.owed) do
    if not is_spent(self, plan, i) and (not best or owed > plan.owed[best]) then best = i end
  end
  if best then return best end
  error(("%sat step %d every source has given its rows max_repetition times; take fewer steps or "
         .. "more data"):format(WHO, plan.step), 0)
end

-- the weights of a step, adding up to 1; sources that have no more rows have none
local function shares(self, plan)
  local w, sum, step = {}, 0, plan.step
  for i, s in ipairs(self.sources) do
    w[i] = s.weight(step)
    if not is_weight(w[i]) then
      error(("%sweight of source %d at step %d must be a number of 0 or more, got %s"):format(
        WHO, i, step, tostring(w[i])), 0)
    end
    if is_spent(self, plan, i) then w[i] = 0 end
    sum = sum + w[i]
  end
  if sum == 0 then most(self, plan) end -- which says so, if none has rows
  if sum == 0 then error(("%sall weights are 0 at step %d"):format(WHO, step), 0) end
  for i = 1, #w do w[i] = w[i] / sum end
  return w
end

-- step `plan.step` + 1: before[i] rows of source i were given, now[i] are due
local function advance(self, plan)
  plan.step = plan.step + 1
  for i, share in ipairs(shares(self, plan)) do
    plan.owed[i] = plan.owed[i] + share * self.batch
    plan.before[i], plan.now[i] = plan.before[i] + plan.now[i], 0
  end
  for _ = 1, self.batch do
    local i = most(self, plan)
    plan.owed[i], plan.now[i] = plan.owed[i] - 1, plan.now[i] + 1
  end
end

local function new_plan(self)
  local plan = { step = 0, owed = {}, before = {}, now = {} }
  for i = 1, #self.sources do plan.owed[i], plan.before[i], plan.now[i] = 0.0, 0, 0 end
  return plan
end

-- the sums of steps 1 to n; from the last one asked for, or again from the start
local function plan_of(self, n)
  if self.plan.step > n then self.plan = new_plan(self) end
  while self.plan.step < n do advance(self, self.plan) end
  return self.plan
end

-- ---- rows ----

-- rows from .. from + n - 1 (from 0) of a source, as pieces of its batches
local function take(source, from, n, out)
  local size = source.data.batch
  while n > 0 do
    local skip = from % size
    local have = math.min(n, size - skip)
    local batch = source.data:at(from // size + 1)
    out[#out + 1] = { batch = batch, first = skip + 1, n = have }
    from, n = from + have, n - have
  end
end

-- one field of all pieces; a source without it learns everything, of one document
local function join(pieces, name, missing)
  local parts, any = {}, false
  for i, p in ipairs(pieces) do
    local t = p.batch[name]
    any = any or t ~= nil
    parts[i] = t and t:narrow(1, p.first, p.n) or false
  end
  if not any then return nil end
  for i, p in ipairs(pieces) do
    if not parts[i] then parts[i] = missing(p.n, p.batch.ids:size(2)) end
  end
  return #parts == 1 and parts[1] or tensor.cat(parts, 1)
end

--- Batch number n.
function Mix:at(n)
  local plan, pieces = plan_of(self, n), {}
  for i, source in ipairs(self.sources) do take(source, plan.before[i], plan.now[i], pieces) end
  return {
    ids = join(pieces, "ids"),
    mask = join(pieces, "mask", function(b, t) return tensor.ones(b, t) end),
    doc = join(pieces, "doc", function(b, t) return tensor.zeros(b, t, { dtype = "i64" }) end),
  }
end

function Mix:next()
  self.step = self.step + 1
  return self:at(self.step)
end

--- Positions a batch runs.
function Mix:tokens() return self.batch * self.length end

--- Rows given by each source in steps 1 to n (the last one, unless given).
--- @return integer[]
function Mix:counts(n)
  local plan, out = plan_of(self, n or self.step), {}
  for i = 1, #self.sources do out[i] = plan.before[i] + plan.now[i] end
  return out
end

-- rows that a source may give: its own, so many times
local function limit_of(s, i)
  local times = s.max_repetition
  if times == nil then return math.huge end
  if type(times) ~= "number" or times ~= times or times <= 0 or not s.data.rows then
    error(("%smax_repetition of source %d must be a number above 0, of a loader that knows its "
           .. "rows (packed), got %s"):format(WHO, i, tostring(times)), 3)
  end
  return math.floor(times * s.data:rows())
end

-- every source gets a seed of its own: two of the same data do not give the same rows
local function seed_sources(self)
  for i, s in ipairs(self.sources) do
    s.data:reseed(feistel.draw(self.seed, i, 0, 6, 1 << 53))
  end
end

--- Take a run's seed, unless one was given; the sources do, too.
function Mix:reseed(seed)
  if self.own_seed then return end
  self.seed = seed
  seed_sources(self)
end

function Mix:state()
  local sources = {}
  for i, s in ipairs(self.sources) do sources[i] = s.data:state() end
  return { seed = self.seed, step = self.step, sources = sources }
end

--- Continue from what state() gave; how many rows each source has given follows from the step.
function Mix:load_state(state)
  if #(state.sources or {}) ~= #self.sources then
    error(("%sthe state is of %d sources, there are %d"):format(WHO, #(state.sources or {}),
                                                                #self.sources), 2)
  end
  for i, s in ipairs(self.sources) do s.data:load_state(state.sources[i]) end
  self.seed, self.step = state.seed, state.step
end

-- ---- making one ----

local function check_source(s, i, length)
  if type(s) ~= "table" or type(s.data) ~= "table" or not s.data.at or not s.data.batch then
    error(("%ssource %d must be { data = loader, weight = ... }"):format(WHO, i), 3)
  end
  if length and s.data.length ~= length then
    error(("%ssource %d has rows of length %d, the ones before of %d"):format(WHO, i, s.data.length,
                                                                           length), 3)
  end
end

--- @param sources {data: table, weight: number|table|fun(step: integer): number,
---        max_repetition: number?}[]  loaders of the same length: windows, packed, or another mix
--- @param opt {batch: integer, seed: integer?}  without a seed, the run's
return function(sources, opt)
  local o = options(opt, { batch = options.required, seed = options.optional }, "data.mix")
  local batch = math.tointeger(o.batch)
  if not batch or batch < 1 then
    error(("%sbatch must be a positive integer, got %s"):format(WHO, tostring(o.batch)), 2)
  end
  if type(sources) ~= "table" or #sources == 0 then
    error(WHO .. "expected a list of sources, got " .. (type(sources) == "table" and "an empty one"
          or type(sources)), 2)
  end
  local self = setmetatable({ sources = {}, batch = batch, step = 0, seed = o.seed or 0,
                              own_seed = o.seed ~= nil }, Mix)
  for i, s in ipairs(sources) do
    check_source(s, i, self.length)
    self.length = s.data.length
    self.sources[i] = { data = s.data, weight = schedule(s.weight, i),
                        limit = limit_of(s, i) }
  end
  self.plan = new_plan(self)
  seed_sources(self)
  return self
end
