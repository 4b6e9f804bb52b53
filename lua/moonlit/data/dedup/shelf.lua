--- Documents put aside, in a file without a name, until all have come: a dedup needs them twice.
---
---   local shelf = open("/tmp")
---   local n = shelf:put(doc)         -- 1, 2, ...
---   shelf:document(n)  shelf:text(n)  shelf:hash(n)  shelf:name(n)
---
--- What comes back is equal to what was put, and a table of its own; but for the text, which may be
--- any bytes, it must be what JSON can hold.
local core = require "moonlit.core"
local document = require "moonlit.data.document"
local json = require "moonlit.json"
local must = require "moonlit.must" "dedup"

local Shelf = {}
Shelf.__index = Shelf

local ENTRY = "<i8i8i8c64" -- where a document lies, bytes of its text, of the rest; SHA-256 of text
local ENTRY_BYTES = ENTRY:packsize()

--- @return integer number  of the document, from 1
function Shelf:put(doc)
  local text, rest = doc.text, json.encode(document.with_text(doc, nil))
  local at = must(self.records:put(text))
  must(self.records:put(rest))
  must(self.entries:put(ENTRY:pack(at, #text, #rest, core.sys.sha256(text))))
  self.count = self.count + 1
  return self.count
end

local function entry(self, n)
  return ENTRY:unpack(must(self.entries:get((n - 1) * ENTRY_BYTES, ENTRY_BYTES)))
end

function Shelf:text(n)
  local at, bytes = entry(self, n)
  return must(self.records:get(at, bytes))
end

function Shelf:document(n)
  local at, bytes, more = entry(self, n)
  local both = must(self.records:get(at, bytes + more))
  local doc = must(json.decode(both:sub(bytes + 1)))
  doc.text = both:sub(1, bytes)
  return doc
end

--- SHA-256 of the text, in hexadecimal.
function Shelf:hash(n) return (select(4, entry(self, n))) end

--- Its id or, without one, its number.
function Shelf:name(n)
  local at, bytes, more = entry(self, n)
  return must(json.decode(must(self.records:get(at + bytes, more)))).id or n
end

--- An order that does not depend on that in which documents came: by the hash of the text; equal
--- texts by id, and by number only where there are no ids.
function Shelf:before(a, b)
  local x, y = self:hash(a), self:hash(b)
  if x == y and a ~= b then
    x, y = tostring(self:name(a)), tostring(self:name(b))
    if x == y or not (self:document(a).id and self:document(b).id) then return a < b end
  end
  return x < y
end

function Shelf:free()
  self.records:free()
  self.entries:free()
end

--- @param dir string  where the file may lie
return function(dir)
  return setmetatable({ records = must(core.data.spill(dir)), entries = must(core.data.spill(dir)),
                        count = 0 }, Shelf)
end
