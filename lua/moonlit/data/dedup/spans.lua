--- Pieces of text that come again, cut out: three sentences in a row, as C4 does (Raffel et al.
--- 2020), paragraphs, or lines.
---
---   for doc in ml.data.dedup.spans()(docs) do ... end                         -- three sentences
---   for doc in ml.data.dedup.spans { unit = "paragraph" }(docs) do ... end
---
--- Two spans are the same when their words are: capitals, punctuation and accents do not count, and
--- every number is the same. A span stays in the document whose text has the smallest SHA-256, in
--- the first place it has there. A document of which fewer than min_left words are left goes as a
--- whole. Spans are told apart by 64-bit hashes. See dedup.object for what a dedup can do.
local core = require "moonlit.core"
local document = require "moonlit.data.document"
local object = require "moonlit.data.dedup.object"

local kind = { name = "dedup.spans" }

-- the pieces of a text: where each ends, and words of each; and the key of the span that begins at
-- each, false where it has too few words
local function spans_of(self, text)
  local ends, keys, words = core.stats.pieces(text, self.unit)
  local spans = {}
  for i = 1, #ends - self.span + 1 do
    local key, n = 0, 0
    for k = i, i + self.span - 1 do
      key, n = (key ~ keys[k]) * 0x9E3779B97F4A7C15, n + words[k]
      key = key ~ (key >> 32)
    end
    spans[i] = n >= self.min_words and key
  end
  return spans, ends, words
end

function kind.keys(self, text)
  local packed = {}
  for _, key in ipairs((spans_of(self, text))) do
    if key then packed[#packed + 1] = string.pack("<i8", key) end
  end
  return table.concat(packed)
end

-- A group of documents with the same span: the first in shelf:before keeps it, the others lose it.
-- lost.keys[i]: the keys that document i loses, 8 bytes each; lost.to[i]: who keeps the first of
-- them; lost.again[i]: it has one more than once.
local function settle(shelf, lost, members, key)
  local keeps = members[1]
  for _, i in ipairs(members) do
    if i ~= keeps and shelf:before(i, keeps) then keeps = i end
  end
  for k, i in ipairs(members) do
    if members[k - 1] == i then lost.again[i] = true
    elseif i ~= keeps then
      lost.keys[i] = (lost.keys[i] or "") .. string.pack("<i8", key)
      lost.to[i] = lost.to[i] or keeps
    end
  end
end

local function set_of(packed)
  local set = {}
  for at = 1, #packed, 8 do set[("<i8"):unpack(packed, at)] = true end
  return set
end

-- which pieces go, and how many spans that were; what comes again within the document goes too
local function cuts_of(self, spans, lost)
  local gone, first, n = {}, {}, 0
  for k, key in ipairs(spans) do
    if key and (lost[key] or k >= (first[key] or k) + self.span) then
      n = n + 1
      for piece = k, k + self.span - 1 do gone[piece] = true end
    elseif key then first[key] = first[key] or k end
  end
  return gone, n
end

-- the document without its lost spans, or nothing when too little is left; nil where all stays
local function cut(self, doc, packed)
  local spans, ends, words = spans_of(self, doc.text)
  local gone, n = cuts_of(self, spans, set_of(packed))
  if n == 0 then return nil end
  self.report.counts[self.unit .. " spans"] = self.report.counts[self.unit .. " spans"] + n
  local kept, left = {}, 0
  for k, stop in ipairs(ends) do
    if not gone[k] then
      kept[#kept + 1] = doc.text:sub((ends[k - 1] or 0) + 1, stop)
      left = left + words[k]
    end
  end
  if left < self.min_left then return false end
  return document.with_text(doc, table.concat(kept):match "^(.*%S)" or "")
end

function kind.decide(self, shelf, next_group)
  local lost = { keys = {}, to = {}, again = {} }
  for members, key in next_group do settle(shelf, lost, members, key) end
  self.report = { counts = { [self.unit .. " spans"] = 0 } }
  return function(i, doc)
    if not lost.keys[i] and not lost.again[i] then return nil end
    local after = cut(self, doc, lost.keys[i] or "")
    if after == false then return lost.to[i] or i end
    return nil, after
  end
end

local span = { sentence = 3, paragraph = 1, line = 1 }

--- @param opt? {unit: string?, span: integer?, min_words: integer?, min_left: integer?,
---        dir: string?}  unit: "sentence", "paragraph" or "line"; span: so many of them in a row, 3
---        sentences or 1 of the others; spans of fewer than 8 words are let be; of a document that
---        was cut 50 words must be left; dir as of dedup.exact
--- @return table dedup  after use, report.counts says how many spans were cut
return function(opt)
  local self = object(kind, opt, { unit = "sentence", span = 0, min_words = 8, min_left = 50 })
  if not span[self.unit] then
    error(('dedup.spans: unit must be "sentence", "paragraph" or "line", got %s'):format(
      tostring(self.unit)), 2)
  end
  if self.span == 0 then self.span = span[self.unit] end
  for _, name in ipairs { "span", "min_words", "min_left" } do
    if (math.tointeger(self[name]) or -1) < (name == "span" and 1 or 0) then
      error(("dedup.spans: %s must be a positive integer, got %s"):format(name,
        tostring(self[name])), 2)
    end
  end
  return self
end
