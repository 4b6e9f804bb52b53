--- What dedup.exact, dedup.minhash and dedup.spans have in common: documents come, all of them (an
--- iterator or a list), and wait in a file; pairs (key, document) are brought together by key; then
--- documents go, in the order they came, each with what was decided of it.
---
---   for doc in ml.data.dedup.exact()(docs) do ... end           -- those that stay
---   for doc, original, after in d:mark(docs) do ... end         -- every document; the id (or,
---        without one, the number) of the one that stays in its place; what is left of it, when
---        pieces were cut
---
--- What is decided depends on the documents alone, not on their order. Memory is bounded by what
--- is duplicate, not by what comes.
local core = require "moonlit.core"
local document = require "moonlit.data.document"
local must = require "moonlit.must" "dedup"
local options = require "moonlit.options"
local open_shelf = require "moonlit.data.dedup.shelf"

local Dedup = {}
Dedup.__index = Dedup
Dedup.__name = "moonlit.Dedup"

-- all documents onto a shelf -> it, and what is decided of them
local function prepare(self, docs)
  local dir = self.dir or os.getenv "TMPDIR" or "/tmp"
  local shelf, groups <close> = open_shelf(dir), must(core.data.groups(dir))
  for doc in document.each(docs, self.kind.name) do
    local keys = self.kind.keys(self, document.text(doc, self.kind.name))
    must(groups:add(shelf:put(doc), keys))
  end
  local function next_group()
    local members, key, code = groups:next()
    if code then must(nil, key) end
    return members, key
  end
  return shelf, self.kind.decide(self, shelf, next_group)
end

--- Every document, in the order it came, with what was decided of it.
function Dedup:mark(docs)
  local shelf, plan, i = nil, nil, 0
  return function()
    if not shelf then shelf, plan = prepare(self, docs) end
    if i == shelf.count then return shelf:free() end
    i = i + 1
    local doc = shelf:document(i)
    local original, after = plan(i, doc)
    return doc, original and shelf:name(original), after
  end
end

--- Only the documents that stay, as they stay.
function Dedup:__call(docs)
  local marked = self:mark(docs)
  return function()
    local doc, original, after
    repeat doc, original, after = marked() until doc == nil or original == nil
    return after or doc
  end
end

--- @param kind table  { name =, keys = function(self, text) -> string of 8-byte keys,
---        decide = function(self, shelf, next_group) -> function(i, doc) -> original?, after? }
--- @param opt table?    what the user gave
--- @param known table   its options and their defaults
return function(kind, opt, known)
  known.dir = options.optional
  local self = options(opt, known, kind.name)
  self.kind = kind
  return setmetatable(self, Dedup)
end
