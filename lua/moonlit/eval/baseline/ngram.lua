--- A baseline that counts: what most often followed the longest stretch of latest tokens ever seen
--- in training, at most order - 1 of them. Where it does well, a task needs no model.
---
---   local counts = ml.eval.baseline.ngram(sequences, { vocab = tok:size() })
---   ml.eval.run(counts, chat, "summary", { world = w })
---
--- It stands in for a model where text is generated: cache and decode work as a model's do.
local options = require "moonlit.options"
local tensor = require "moonlit.tensor"

local WHO = "eval.baseline.ngram"
local UNSEEN = -100.0 -- logit of what never followed; log of a count elsewhere

local Ngram = {}
Ngram.__index = Ngram
Ngram.__name = "moonlit.Ngram"

local Cache = {}
Cache.__index = Cache

local function add(counts, key)
  counts[key] = (counts[key] or 0) + 1
end

local function sub(t, key)
  local inner = t[key]
  if not inner then
    inner = {}
    t[key] = inner
  end
  return inner
end

-- All sequences in one array, -1 before each; `pairs` leads from two tokens to the places after
-- them, where longer stretches are looked up by reading backward.
local function learn(self, ids)
  local all, n = self.all, #self.all + 1
  all[n] = -1
  for i, id in ipairs(ids) do
    if math.type(id) ~= "integer" or id < 0 or id >= self.options.vocab then
      error(("%s: ids lie in 0..%d, got %s"):format(WHO, self.options.vocab - 1, tostring(id)), 3)
    end
    all[n + i] = id
    add(self.unigrams, id)
    if i > 1 then add(sub(self.bigrams, all[n + i - 1]), id) end
    if i > 2 then
      local places = sub(self.places, all[n + i - 2] * self.options.vocab + all[n + i - 1])
      places[#places + 1] = n + i
    end
  end
end

--- @param sequences {ids: integer[]}[]|function  a list or an iterator of what chat:render gives
--- @param opt {vocab: integer, order: integer?}  order: tokens of an n-gram, 8
--- @return Ngram
local function new(sequences, opt)
  local o = options(opt, { vocab = options.required, order = 8 }, WHO)
  if not math.tointeger(o.order) or o.order < 3 then
    error(("%s: order must be 3 or more, got %s"):format(WHO, tostring(o.order)), 2)
  end
  local self = setmetatable({ options = { vocab = o.vocab, context = 1 << 20 }, order = o.order,
                              all = {}, places = {}, bigrams = {}, unigrams = {} }, Ngram)
  if type(sequences) == "function" then
    for s in sequences do learn(self, s.ids) end
  else
    for _, s in ipairs(sequences) do learn(self, s.ids) end
  end
  if #self.all < 2 then error(WHO .. ": no tokens to learn from", 2) end
  return self
end

-- how often each token followed the longest known end of a history, of two tokens or more
local function counts_after(self, history, places)
  local all, n, longest, counts = self.all, #history, 0, nil
  local most = math.min(self.order - 1, n)
  for _, place in ipairs(places) do
    local length = 2
    while length < most and all[place - 1 - length] == history[n - length] do
      length = length + 1
    end
    if length > longest then longest, counts = length, {} end
    if length == longest then add(counts, all[place]) end
  end
  return counts
end

--- What followed: a table from id to count.
--- @param history integer[]
function Ngram:counts(history)
  local n = #history
  local places = n > 1 and self.places[history[n - 1] * self.options.vocab + history[n]]
  if places then return counts_after(self, history, places) end
  return self.bigrams[history[n]] or self.unigrams
end

function Ngram:cache(slots, capacity)
  local cache = setmetatable({ ids = {}, room = capacity or self.options.context }, Cache)
  for slot = 1, slots do cache.ids[slot] = {} end
  return cache
end

function Cache:slots() return #self.ids end
function Cache:capacity() return self.room end
function Cache:length(slot) return #self.ids[slot] end
function Cache:truncate(slot, length)
  self.ids[slot] = table.move(self.ids[slot], 1, length or 0, 1, {})
end
function Cache:copy(from, to)
  self.ids[to] = table.move(self.ids[from], 1, #self.ids[from], 1, {})
end
function Cache:free() self.ids = {} end
Cache.__close = Cache.free

--- As a model's: (sequences, vocab) logits of what comes next.
function Ngram:decode(cache, sequences)
  local logits = tensor.full({ #sequences, self.options.vocab }, UNSEEN)
  for row, s in ipairs(sequences) do
    local history, y = cache.ids[s.slot], logits[row]
    table.move(s.ids, 1, #s.ids, #history + 1, history)
    for id, count in pairs(self:counts(history)) do -- each sets a place of its own: any order
      y[id + 1] = math.log(count)
    end
  end
  return logits
end

return new
