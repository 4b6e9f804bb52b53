--- Exact duplicates: of documents with the same text, the first stays. One hash a text is kept.
---
---   for doc in ml.data.dedup.exact()(docs) do ... end
---
--- A dedup object, this one and dedup.minhash: calling it with an iterator of documents gives one
--- of those that stay; d:mark(iterator) gives every document in the order it came in, and, as a
--- second value, the id of the document that stays in its place.
local core = require "moonlit.core"
local document = require "moonlit.data.document"
local options = require "moonlit.options"

local Exact = {}
Exact.__index = Exact
Exact.__name = "moonlit.Exact"

--- Every document, and the id (or, without one, the number) of the one it repeats, if any.
function Exact:mark(docs)
  local first, number = self.first, 0
  return function()
    local doc = docs()
    if doc == nil then return nil end
    number = number + 1
    local key = core.sys.sha256(document.text(doc, "dedup.exact"))
    if first[key] ~= nil then return doc, first[key] end
    first[key] = doc.id or number
    return doc
  end
end

--- Only the documents that stay.
function Exact:__call(docs)
  local marked = self:mark(docs)
  return function()
    local doc, original
    repeat doc, original = marked() until doc == nil or original == nil
    return doc
  end
end

--- @return table dedup  remembers what it has seen from one iterator to the next
return function(opt)
  options(opt, {}, "dedup.exact")
  return setmetatable({ first = {} }, Exact)
end
