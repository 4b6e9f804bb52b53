--- Documents that give away an evaluation's texts: those that share 13 words in a row with one.
---
---   local keep, info = ml.data.decontaminate({ "What is ...", ... }, { n = 13 })
---   local fine, reason, detail = keep(doc)      -- false, "contaminated", "text 7"
---
--- Words are compared in lower case, without punctuation, every number the same. A text of fewer
--- words is looked for whole, down to `least` words; shorter ones cannot be told from common
--- speech: info.skipped says how many there were. Long texts match by any 13 words.
local core = require "moonlit.core"
local document = require "moonlit.data.document"
local options = require "moonlit.options"

local BYTES = 8 -- of a hash

-- the longest n from o.n down to o.least of which the text has n words in a row
local function shingles_of(text, o)
  for n = o.n, o.least, -1 do
    local set = core.shingles.of(text, n)
    if set ~= "" then return set, n end
  end
end

-- n -> { sets, numbers of their texts }
local function gather(texts, o)
  local by_n, info = {}, { texts = #texts, skipped = 0, ngrams = 0 }
  for i, text in ipairs(texts) do
    if type(text) == "table" then text = text.text end
    if type(text) ~= "string" then
      error(("data.decontaminate: text %d is a %s"):format(i, type(text)), 3)
    end
    local set, n = shingles_of(text, o)
    if set then
      by_n[n] = by_n[n] or { sets = {}, numbers = {} }
      table.insert(by_n[n].sets, set)
      table.insert(by_n[n].numbers, i)
    else
      info.skipped = info.skipped + 1
    end
  end
  for _, group in pairs(by_n) do
    group.all = core.shingles.union(group.sets)
    info.ngrams = info.ngrams + #group.all // BYTES
  end
  return by_n, info
end

local function first_match(group, set)
  for i, other in ipairs(group.sets) do
    if core.shingles.shared(set, other) > 0 then return group.numbers[i] end
  end
end

--- @param texts (string|table)[]  of the evaluation: strings or documents
--- @param opt? {n: integer?, least: integer?}  words in a row, 13; texts down to 8 words count
--- @return fun(doc: table): boolean, string?, string? filter
--- @return {texts: integer, skipped: integer, ngrams: integer} info
return function(texts, opt)
  local o = options(opt, { n = 13, least = 8 }, "data.decontaminate")
  if type(texts) ~= "table" then
    error("data.decontaminate: expected a list of texts, got " .. type(texts), 2)
  elseif math.type(o.n) ~= "integer" or math.type(o.least) ~= "integer" or o.least < 1
         or o.n > 1000 then
    error("data.decontaminate: n and least must be integers from 1 to 1000", 2)
  end
  o.least = math.min(o.least, o.n)
  local by_n, info = gather(texts, o)
  return function(doc)
    local text = document.text(doc, "data.decontaminate")
    for n = o.n, o.least, -1 do
      local group = by_n[n]
      local set = group and core.shingles.of(text, n)
      if set and core.shingles.shared(set, group.all) > 0 then
        return false, "contaminated", ("text %d"):format(first_match(group, set))
      end
    end
    return true
  end, info
end
