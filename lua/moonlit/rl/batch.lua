--- Samples as tensors: what model:logprobs takes, and beside it, aligned id by id, what is known of
--- them.
---
---   local batch = ml.rl.batch(samples)                        -- a row a sample, padded
---   local batch = ml.rl.batch(samples, { length = 512, pack = true })     -- several in a row
---   model:logprobs(batch) - batch.logprobs                    -- (B, T), 0 before the first update
---
--- ids, mask and doc are (B, T); filling has mask 0 and a doc of its own. logprobs, advantages,
--- returns, values, ref and rewards are there, in (B, T), when the samples have them: a list along
--- the ids, or a number for all that the policy drew; 0 elsewhere. In a packed batch
--- rl.unpack(batch, x) gives a (B, T) tensor as (samples, longest), a row a sample again, with the
--- gradient: what a loss by sequence wants.
local options = require "moonlit.options"
local tensor = require "moonlit.tensor"

local batch = {}

-- what may go along, in the order of the checks
local fields = { "logprobs", "advantages", "returns", "values", "ref", "rewards" }

--- length: ids in a row, the longest sample's by default; rows: so many, filled up, as many as
--- there must be by default; pack: samples share rows; dtype: of what goes along
local defaults = { length = 0, rows = 0, pack = false, dtype = "f32" }

local function check(samples, who)
  if type(samples) ~= "table" or #samples == 0 then
    error(("%s: expected a list of samples, got %s"):format(who,
      type(samples) == "table" and "none" or type(samples)), 3)
  end
  for i, s in ipairs(samples) do
    if type(s) ~= "table" or type(s.ids) ~= "table" or #s.ids == 0
       or type(s.mask) ~= "table" or #s.mask ~= #s.ids then
      error(("%s: sample %d must have ids and a mask of as many"):format(who, i), 3)
    elseif s.mask[1] ~= 0 then
      error(("%s: sample %d: its first id is learned, but nothing predicts it"):format(who, i), 3)
    end
  end
end

-- a list along the ids for each field of a sample; what one has, all must have
local function carried(samples)
  local names, lists = {}, {}
  for _, name in ipairs(fields) do
    if samples[1][name] ~= nil then names[#names + 1] = name end
  end
  for i, s in ipairs(samples) do
    lists[i] = {}
    for _, name in ipairs(fields) do
      local v = s[name]
      if (v == nil) ~= (samples[1][name] == nil) then
        error(("rl.batch: %s: sample 1 and sample %d, only one has it"):format(name, i), 3)
      elseif type(v) == "table" and #v ~= #s.ids then
        error(("rl.batch: %s of sample %d: %d numbers for %d ids"):format(name, i, #v, #s.ids), 3)
      end
      lists[i][name] = v
    end
  end
  return names, lists
end

-- which samples stand in which row: first fit, in order
local function arrange(samples, length, pack)
  local rows, room = {}, {}
  for i, s in ipairs(samples) do
    local at
    for r = 1, pack and #rows or 0 do
      if room[r] >= #s.ids then at = r break end
    end
    if not at then
      at = #rows + 1
      rows[at], room[at] = {}, length
    end
    table.insert(rows[at], i)
    room[at] = room[at] - #s.ids
  end
  return rows
end

-- one sample goes into a row (a list a column), after `at` ids
local function lay(row, names, at, s, lists, doc)
  local n = #s.ids
  table.move(s.ids, 1, n, at + 1, row.ids)
  table.move(s.mask, 1, n, at + 1, row.mask)
  for t = at + 1, at + n do row.doc[t] = doc end
  for _, name in ipairs(names) do
    local v, to = lists[name], row[name]
    if type(v) == "table" then table.move(v, 1, n, at + 1, to)
    else for t = 1, n do to[at + t] = v * s.mask[t] end end
  end
end

local function longest(samples)
  local most = 0
  for _, s in ipairs(samples) do most = math.max(most, #s.ids) end
  return most
end

-- nothing from `at` on, a document of its own
local function fill(row, at, length, doc)
  for name, list in pairs(row) do
    local value = name == "doc" and doc or 0
    for t = at + 1, length do list[t] = value end
  end
end

-- name -> a list of rows, for what tensors are made of
local function lay_all(samples, rows, length, count)
  local names, lists = carried(samples)
  local columns, places = { ids = {}, mask = {}, doc = {} }, {}
  for _, name in ipairs(names) do columns[name] = {} end
  for r = 1, count do
    local row, at, here = {}, 0, rows[r] or {}
    for name, column in pairs(columns) do
      row[name] = {}
      column[r] = row[name]
    end
    for d, i in ipairs(here) do
      lay(row, names, at, samples[i], lists[i], d)
      places[i] = (r - 1) * length + at
      at = at + #samples[i].ids
    end
    fill(row, at, length, #here + 1)
  end
  return columns, names, places
end

-- (samples, longest): where in the flattened rows each id stands; past a sample's end its first
-- id's place: nobody learns that, and its log-probability is 0
local function index_of(samples, places)
  local width, index = longest(samples), {}
  for i, s in ipairs(samples) do
    for t = 1, width do index[#index + 1] = places[i] + (t <= #s.ids and t or 1) end
  end
  return tensor.tensor(index, { dtype = "i64" }), width
end

--- @param samples table[]  from rl.rollout, or any { ids =, mask = }
--- @param opt? {length: integer?, rows: integer?, pack: boolean?, dtype: string?}
--- @return {ids: Tensor, mask: Tensor, doc: Tensor, logprobs: Tensor?, tokens: integer}
---   tokens: how many are learned
function batch.batch(samples, opt)
  local o = options(opt, defaults, "rl.batch")
  check(samples, "rl.batch")
  local most = longest(samples)
  local length = o.length > 0 and o.length or most
  if most > length then
    error(("rl.batch: a sample of %d ids does not fit rows of %d"):format(most, length), 2)
  end
  local rows = arrange(samples, length, o.pack)
  local count = o.rows > 0 and o.rows or #rows
  if #rows > count then
    error(("rl.batch: %d samples need %d rows, got %d"):format(#samples, #rows, count), 2)
  end
  local columns, names, places = lay_all(samples, rows, length, count)
  local out = { samples = #samples, tokens = 0 }
  for _, name in ipairs { "ids", "doc" } do
    out[name] = tensor.tensor(columns[name], { dtype = "i64" })
  end
  out.mask = tensor.tensor(columns.mask, { dtype = o.dtype })
  for _, name in ipairs(names) do
    out[name] = tensor.tensor(columns[name], { dtype = o.dtype })
  end
  for _, s in ipairs(samples) do
    for _, bit in ipairs(s.mask) do out.tokens = out.tokens + bit end
  end
  out.index, out.width = index_of(samples, places)
  return out
end

--- A tensor (B, T) of a batch as (samples, longest). Past a sample's end stands what its first id
--- has: 0 in log-probabilities, in the mask and in what goes along.
--- @param b table   from rl.batch
--- @param x Tensor
function batch.unpack(b, x)
  if type(b) ~= "table" or not b.index then
    error("rl.unpack: expected a batch of rl.batch, got " .. type(b), 2)
  end
  return x:reshape(-1):index_select(1, b.index):view(b.samples, b.width)
end

--- What was computed of a batch goes back to its samples, a list along the ids of each, and comes
--- along in the batches that are made of them later: advantages, returns, values, ref.
---
---   ml.rl.attach(samples, { values = values, ref = reference:logprobs(batch) })
---
--- @param samples table[]  those of an unpacked batch, in its order
--- @param columns table<string, Tensor>  name -> (B, T)
function batch.attach(samples, columns)
  for _, name in ipairs(options.keys(columns)) do
    local rows = columns[name]:table()
    if #rows ~= #samples then
      error(("rl.attach: %s has %d rows for %d samples"):format(name, #rows, #samples), 2)
    end
    for i, s in ipairs(samples) do s[name] = table.move(rows[i], 1, #s.ids, 1, {}) end
  end
end

--- Samples, in order, as batches of at most `rows` samples, each as long as its longest; one is
--- made at a time, so that a long list takes no more memory than a short one.
---
---   for batch, part in ml.rl.batches(samples, { rows = 32 }) do ... end
---
--- @param opt {rows: integer, dtype: string?}
--- @return function iterator of batches, and beside each its samples
function batch.batches(samples, opt)
  local o = options(opt, { rows = options.required, dtype = "f32" }, "rl.batches")
  check(samples, "rl.batches")
  if (math.tointeger(o.rows) or 0) < 1 then
    error("rl.batches: rows must be a positive integer, got " .. tostring(o.rows), 2)
  end
  local done = 0
  return function()
    if done == #samples then return nil end
    local last = math.min(done + o.rows, #samples)
    local part = table.move(samples, done + 1, last, 1, {})
    done = last
    return batch.batch(part, { dtype = o.dtype }), part
  end
end

return batch
