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

-- what a group of documents with the same span says of each: which keys it loses, and to whom;
-- keys that it has more than once
local function settle(shelf, losses, again, members, key)
  local keeps = members[1]
  for _, i in ipairs(members) do
    if i ~= keeps and shelf:before(i, keeps) then keeps = i end
  end
  for k, i in ipairs(members) do
    if i ~= keeps then
      losses[i] = losses[i] or {}
      losses[i][key] = keeps
    elseif members[k - 1] == i then again[i] = true end
  end
end

-- which pieces go, and to whom the first of them is lost
local function cuts_of(self, spans, lost, i)
  local gone, to, first = {}, nil, {}
  for k, key in ipairs(spans) do
    local owner = key and lost[key]
    if key and not owner and k >= (first[key] or k) + self.span then owner = i end
    if owner then
      to = to or owner
      for piece = k, k + self.span - 1 do gone[piece] = true end
      self.report.counts[self.unit .. " spans"] = self.report.counts[self.unit .. " spans"] + 1
    elseif key then first[key] = first[key] or k end
  end
  return gone, to
end

-- the document without its lost spans, or whose it is when too little is left
local function cut(self, doc, lost, i)
  local spans, ends, words = spans_of(self, doc.text)
  local gone, to = cuts_of(self, spans, lost, i)
  if not to then return nil end
  local kept, left = {}, 0
  for k, stop in ipairs(ends) do
    if not gone[k] then
      kept[#kept + 1] = doc.text:sub((ends[k - 1] or 0) + 1, stop)
      left = left + words[k]
    end
  end
  if left < self.min_left then return to end
  return nil, document.with_text(doc, table.concat(kept):match "^(.*%S)" or "")
end

function kind.decide(self, shelf, next_group)
  local losses, again = {}, {}
  for members, key in next_group do settle(shelf, losses, again, members, key) end
  self.report = { counts = { [self.unit .. " spans"] = 0 } }
  return function(i, doc)
    local lost = losses[i] or (again[i] and {})
    losses[i] = nil
    if lost then return cut(self, doc, lost, i) end
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
