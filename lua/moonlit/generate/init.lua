--- Text from a model: continuous batching with a KV cache, ragged prompts, sampling that does not
--- depend on the batch. Reached as model:generate(prompts, opt) and model:stream(prompt, opt).
---
--- A draw is keyed by (seed, rollout, prompt, sample, position): the prompt by its content, the
--- sample by how many equal prompts came before it in the list. The same prompt gives the same
--- text alone, in any batch, in any order, in any slot.
local core = require "moonlit.core"
local options = require "moonlit.options"

--- tokens: new ids at most. temperature 0 is greedy; top_k, top_p, min_p apply in this order.
--- batch: sequences at once; the next in the list takes the place of one that ends. samples: of
--- each prompt, which is run once for all that find a place beside it. stop: ids and strings.
--- hook(logits, sequences) may write to the (active, V) logits, or return others, before sampling;
--- sequences[i] is row i's { ids, prompt }. tokenizer: for strings.
local defaults = {
  tokens = 64, temperature = 1, top_k = 0, top_p = 1, min_p = 0, stop = {}, seed = 0, rollout = 0,
  batch = 32, samples = 1, logprobs = false, tokenizer = options.optional, hook = options.optional,
}

local generate = { defaults = defaults }

-- ids of newcomers in one step, where there are several: what a forward holds stays bounded
local PREFILL = 8192

-- 32 bits of FNV-1a over the ids: which prompt a draw belongs to
local function key_of(ids)
  local h = 2166136261
  for _, id in ipairs(ids) do
    for shift = 0, 24, 8 do h = ((h ~ (id >> shift & 0xff)) * 16777619) & 0xffffffff end
  end
  return h >> 1
end

local function prompt_ids(prompt, o, i)
  if type(prompt) == "string" then
    if not o.tokenizer then
      error("generate: prompt " .. i .. " is text, so the option tokenizer is needed", 4)
    end
    prompt = o.tokenizer:encode(prompt)
  end
  if type(prompt) ~= "table" or #prompt == 0 then
    error(("generate: prompt %d must be text or a list of at least one id"):format(i), 4)
  end
  for j, id in ipairs(prompt) do
    if math.type(id) ~= "integer" then
      error(("generate: prompt %d, position %d: ids are numbers, got %s"):format(i, j, type(id)), 4)
    end
  end
  return prompt
end

local function stop_sets(o)
  local ids, texts = {}, {}
  for _, s in ipairs(type(o.stop) == "table" and o.stop or { o.stop }) do
    if math.type(s) == "integer" then ids[s] = true
    elseif type(s) == "string" and o.tokenizer then texts[#texts + 1] = s
    else
      error("generate: stop takes ids, and strings when there is a tokenizer; got " ..
            tostring(s), 4)
    end
  end
  return ids, texts
end

-- one prompt or a list of them
local function as_list(prompts)
  if type(prompts) ~= "string" and type(prompts) ~= "table" then
    error("generate: prompts must be text, ids, or a list of those, got " .. type(prompts), 4)
  end
  local single = type(prompts) == "string" or type(prompts[1]) == "number"
  return single and { prompts } or prompts
end

local Session = {}
Session.__index = Session

local function count_of(o, key)
  local n = math.tointeger(o[key])
  if n and n >= 1 then return n end
  error(("generate: %s must be a positive integer, got %s"):format(key, tostring(o[key])), 4)
end

-- one prompt's samples, at the end of the list; they share `group`
local function add_samples(self, ids, seen)
  local key, group = key_of(ids), {}
  for _ = 1, self.o.samples do
    local sample = seen[key] or 0
    seen[key] = sample + 1
    self.all[#self.all + 1] = { prompt = ids, ids = {}, logprobs = {}, key = key, sample = sample,
                                group = group }
  end
end

-- the sequences of a call, and the cache they live in
local function start(model, prompts, opt)
  local o = options(opt, defaults, "generate", 4)
  local self = setmetatable({ model = model, o = o, all = {}, active = {}, waiting = 1,
                              free = {} }, Session)
  o.batch, o.samples = count_of(o, "batch"), count_of(o, "samples")
  self.stop_ids, self.stop_texts = stop_sets(o)
  local context, longest, seen = model.options.context, 0, {}
  for i, prompt in ipairs(as_list(prompts)) do
    local ids = prompt_ids(prompt, o, i)
    if #ids > context then
      error(("generate: prompt %d has %d ids, the context is %d"):format(i, #ids, context), 3)
    end
    add_samples(self, ids, seen)
    longest = math.max(longest, #ids)
  end
  if #self.all == 0 then error("generate: no prompts", 3) end
  local slots = math.min(o.batch, #self.all)
  for i = 1, slots do self.free[i] = slots + 1 - i end
  self.cache = model:cache(slots, math.min(context, longest + o.tokens))
  return self
end

-- the prompt of `from` is in the cache: s needs to run its last id only
function Session:share(from, s)
  self.cache:copy(from.slot, s.slot)
  self.cache:truncate(s.slot, #s.prompt - 1)
  s.feed = { s.prompt[#s.prompt] }
end

-- a sequence that runs and has the prompt of s in its slot
local function sibling(self, s)
  for _, other in ipairs(self.active) do
    if other.group == s.group then return other end
  end
end

-- Free slots go to those who wait, in order. What comes back are those who begin after this step,
-- when the first of their group has been through its prompt.
function Session:admit()
  local first, later, fresh = {}, {}, 0
  while #self.free > 0 and self.waiting <= #self.all do
    local s = self.all[self.waiting]
    local owner = first[s.group]
    local from = not owner and sibling(self, s)
    if not owner and not from then
      if fresh > 0 and fresh + #s.prompt > PREFILL then break end
      fresh = fresh + #s.prompt
      s.feed, first[s.group] = s.prompt, s
    end
    s.slot, self.waiting = table.remove(self.free), self.waiting + 1
    if owner then later[#later + 1] = { from = owner, s = s }
    else self.active[#self.active + 1] = s end
    if from then self:share(from, s) end
  end
  return later
end

-- why a sequence ends after its newest id, or nil
function Session:reason(s)
  local id = s.ids[#s.ids]
  if self.stop_ids[id] then return id end
  if #self.stop_texts > 0 then
    local text = self.o.tokenizer:decode(s.ids)
    for _, stop in ipairs(self.stop_texts) do
      local at = text:find(stop, 1, true)
      if at then
        s.text = text:sub(1, at - 1)
        return stop
      end
    end
  end
  if #s.ids >= self.o.tokens then return "length" end
  if #s.prompt + #s.ids >= self.model.options.context then return "context" end
end

function Session:logits()
  local sequences = {}
  for i, s in ipairs(self.active) do sequences[i] = { slot = s.slot, ids = s.feed } end
  local logits = self.model:decode(self.cache, sequences)
  if self.o.hook then logits = self.o.hook(logits, self.active) or logits end
  return logits
end

-- one more id for every active sequence, and places for those who wait
function Session:step()
  local o, prompt, sample, position = self.o, {}, {}, {}
  local later = self:admit()
  local logits <close> = self:logits()
  for i, s in ipairs(self.active) do
    prompt[i], sample[i], position[i] = s.key, s.sample, #s.prompt + #s.ids
  end
  local ids, logprobs = core.sample(logits, { temperature = o.temperature, top_k = o.top_k,
    top_p = o.top_p, min_p = o.min_p, seed = o.seed, rollout = o.rollout },
    prompt, sample, position)
  for _, pair in ipairs(later) do self:share(pair.from, pair.s) end
  local going = {}
  for i, s in ipairs(self.active) do
    s.ids[#s.ids + 1], s.logprobs[#s.logprobs + 1] = ids[i], logprobs[i]
    s.feed = { ids[i] }
    s.stop = self:reason(s)
    if not s.stop then
      going[#going + 1] = s
    else
      self.cache:truncate(s.slot)
      self.free[#self.free + 1] = s.slot
    end
  end
  for _, pair in ipairs(later) do going[#going + 1] = pair.s end
  self.active = going
end

-- a control token that ends a turn is no part of its text
local function silent(o, s)
  local tok = o.tokenizer
  return tok.is_special and math.type(s.stop) == "integer" and tok:is_special(s.stop)
end

local function text_of(s, o)
  if s.text or not o.tokenizer then return s.text end
  local n = #s.ids - (silent(o, s) and 1 or 0)
  return o.tokenizer:decode(table.move(s.ids, 1, n, 1, {}))
end

local function result(s, o)
  local text = text_of(s, o)
  return { ids = s.ids, text = text, logprobs = o.logprobs and s.logprobs or nil, stop = s.stop }
end

--- @param prompts (string|integer[])[]  a list; one prompt alone is a list of one
--- @param opt? table  see defaults above
--- @return {ids: integer[], text: string?, logprobs: number[]?, stop: integer|string}[]
---   in the order of the prompts, a prompt's samples together; ids are the new ones; stop is what
---   ended it: the id or string, "length" or "context"
function generate.generate(model, prompts, opt)
  local session = start(model, prompts, opt)
  if session.o.tokens > 0 then
    while #session.active > 0 or session.waiting <= #session.all do session:step() end
  end
  session.cache:free()
  local out = {}
  for i, s in ipairs(session.all) do
    s.stop = s.stop or "length"
    out[i] = result(s, session.o)
  end
  return out
end

-- how much of text is safe to show: a tail that may become a stop string waits
local function settled(session, s, text)
  if s.stop then return #text end
  local hold = 0
  for _, stop in ipairs(session.stop_texts) do
    for n = math.min(#stop - 1, #text), hold + 1, -1 do
      if text:sub(-n) == stop:sub(1, n) then hold = n break end
    end
  end
  return #text - hold
end

-- s -> the text so far, in whole characters: bytes that begin one wait for its end
local function growing_text(o)
  local decoder = o.tokenizer and o.tokenizer.decoder and o.tokenizer:decoder()
  local text = ""
  return function(s)
    if s.text or not decoder then return text_of(s, o) end
    if not silent(o, s) then text = text .. decoder(s.ids[#s.ids]) end
    if s.stop then text = text .. (decoder() or "") end
    return text
  end
end

--- for piece, id, logprob in model:stream(prompt, opt) do ... end
--- piece is new text (false without a tokenizer), never half a character; strings and special
--- tokens in stop end it without being shown.
function generate.stream(model, prompt, opt)
  local session = start(model, { prompt }, opt)
  if session.o.samples > 1 then
    error("stream: samples must be 1, got " .. session.o.samples, 2)
  end
  local s, shown, text_now = session.all[1], 0, growing_text(session.o)
  return function()
    if s.stop or session.o.tokens == 0 then return session.cache:free() end
    session:step()
    local n = #s.ids
    local text = text_now(s)
    if not text then return false, s.ids[n], s.logprobs[n] end
    local upto = settled(session, s, text)
    local piece = text:sub(shown + 1, upto)
    shown = math.max(shown, upto)
    return piece, s.ids[n], s.logprobs[n]
  end
end

return generate
