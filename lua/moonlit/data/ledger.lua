--- The books of curation: every document that came in, where it went and why, per source and rule.
--- Counts that do not add up are an error, not a line in a log.
---
---   local l = ml.data.ledger()
---   local docs = l:read("crawl", ml.data.read "crawl.jsonl.gz")
---   docs = l:filter("gopher_quality", docs, ml.data.filter.gopher_quality())
---   docs = l:dedup("minhash", docs, ml.data.dedup.minhash())
---   docs = l:map("pii", docs, ml.data.pii())
---   ml.data.write("train.jsonl", docs)
---   local books = l:finish()
---   assert(l:save "ledger.json")
---
--- Steps are lazy: each pulls from the one before. A document is counted under its `source`, or,
--- without one, under the name given to read.
local core = require "moonlit.core"
local document = require "moonlit.data.document"
local json = require "moonlit.json"
local options = require "moonlit.options"

local Ledger = {}
Ledger.__index = Ledger
Ledger.__name = "moonlit.Ledger"

local EXCERPT = 120 -- characters

-- ---- counting ----

local function count() return { documents = 0, bytes = 0 } end

local function add(total, bytes)
  total.documents = total.documents + 1
  total.bytes = total.bytes + bytes
end

local function add_all(to, from)
  to.documents = to.documents + from.documents
  to.bytes = to.bytes + from.bytes
end

-- the account of a source in a stage: what came in, went out, was dropped, and bytes cut or added
local function account(stage, doc)
  local name = tostring(doc.source or stage.default_source)
  local a = stage.sources[name]
  if not a then
    a = { ["in"] = count(), out = count(), dropped = count(), changed = count(), cut = 0 }
    stage.sources[name] = a
  end
  return a
end

-- a string as JSON may hold it: UTF-8, one line
local function clean(text)
  text = tostring(text)
  local out, at = {}, 1
  while at <= #text do
    local bad = select(2, utf8.len(text, at)) or #text + 1
    out[#out + 1] = text:sub(at, bad - 1)
    if bad <= #text then out[#out + 1] = "?" end
    at = bad + 1
  end
  return (table.concat(out):gsub("%s+", " "))
end

local function excerpt(text, from)
  local piece = clean(text:sub(from or 1, (from or 1) + 4 * EXCERPT))
  local stop = utf8.offset(piece, EXCERPT + 1)
  return stop and piece:sub(1, stop - 1) .. "..." or piece
end

local function add_example(self, list, doc, fields)
  if #list >= self.examples then return end
  fields.id, fields.source = clean(doc.id or "?"), doc.source and clean(doc.source)
  list[#list + 1] = fields
end

local function reason_of(stage, reason)
  local r = stage.reasons[reason]
  if not r then
    r = { documents = 0, bytes = 0, sources = {}, examples = json.array {} }
    stage.reasons[reason] = r
  end
  return r
end

local function drop(self, stage, doc, reason, detail)
  local r, a = reason_of(stage, reason), account(stage, doc)
  add(r, #doc.text)
  add(a.dropped, #doc.text)
  local name = tostring(doc.source or stage.default_source)
  r.sources[name] = (r.sources[name] or 0) + 1
  add_example(self, r.examples, doc, { excerpt = excerpt(doc.text),
                                       detail = detail and clean(detail) })
end

-- where two texts begin to differ, a little before
local function difference(a, b)
  local low, high = 0, math.min(#a, #b) -- the first `low` bytes are equal
  while low < high do
    local middle = (low + high + 1) // 2
    if a:sub(low + 1, middle) == b:sub(low + 1, middle) then low = middle else high = middle - 1 end
  end
  local from = math.max(1, low - 30)
  while from > 1 and b:find("^[\x80-\xBF]", from) do from = from - 1 end
  return from
end

-- the document goes on; `before` is what it was when it came
local function pass(self, stage, doc, before)
  local a = account(stage, before)
  add(account(stage, doc).out, #doc.text)
  if doc.text == before.text then return end
  add(a.changed, #doc.text)
  a.cut = a.cut + #before.text - #doc.text
  add_example(self, stage.changes, doc,
              { excerpt = excerpt(doc.text, difference(before.text, doc.text)) })
end

-- ---- stages ----

local function new_stage(self, name, kind, from)
  if type(name) ~= "string" or name == "" then
    error(("ledger:%s: the name must be a string, got %s"):format(kind, type(name)), 3)
  elseif self.named[name] then
    error(('ledger:%s: there is a step "%s" already'):format(kind, name), 3)
  end
  local stage = { name = name, kind = kind, from = from, sources = {}, reasons = {},
                  default_source = from and from.default_source or name, changes = json.array {},
                  counts = {}, finished = false }
  self.named[name] = stage
  self.stages[#self.stages + 1] = stage
  return stage
end

-- the stage an iterator of this ledger belongs to
local function upstream(self, docs, kind)
  local from = self.of[docs]
  if not from then
    error(("ledger:%s: the documents must come from this ledger's read"):format(kind), 3)
  elseif from.taken then
    error(('ledger:%s: the documents of "%s" go elsewhere already'):format(kind, from.name), 3)
  end
  from.taken = true
  return from
end

local function check_function(f, kind, what)
  local fine = type(f) == "function" or what == "iterator"
               and (getmetatable(f) or {}).__call ~= nil
  if not fine then
    error(("ledger:%s: expected %s, got %s"):format(kind, what, type(f)), 3)
  end
end

local function own(self, stage, iterator)
  self.of[iterator] = stage
  return iterator
end

-- the next document of a stage, counted in; nil, and the stage is finished
local function take(stage, docs)
  local doc, extra = docs()
  if doc == nil then
    stage.finished = true
    return nil
  end
  local text = document.text(doc, "ledger: " .. stage.name, 4)
  add(account(stage, doc)["in"], #text)
  return doc, extra
end

--- Documents come in; what data.read marked as wrong is dropped here. @return function iterator
function Ledger:read(name, docs)
  check_function(docs, "read", "iterator")
  local stage = new_stage(self, name, "read")
  return own(self, stage, function()
    for doc in function() return take(stage, docs) end do
      if not document.is_wrong(doc) then
        pass(self, stage, doc, doc)
        return doc
      end
      drop(self, stage, doc, doc.wrong, doc.why)
    end
  end)
end

--- Some go on. The filter gives true, or true and a new document, or false and a reason (and a
--- detail, kept with the examples).
function Ledger:filter(name, docs, filter)
  check_function(filter, "filter", "a filter")
  local stage = new_stage(self, name, "filter", upstream(self, docs, "filter"))
  return own(self, stage, function()
    for doc in function() return take(stage, docs) end do
      local fine, what, detail = filter(doc)
      if fine then
        local after = type(what) == "table" and what or doc
        pass(self, stage, after, doc)
        return after
      end
      drop(self, stage, doc, tostring(what or name), detail)
    end
  end)
end

--- All go on, changed: fn gives the document as it is to be and, if it likes, counts by kind.
function Ledger:map(name, docs, fn)
  check_function(fn, "map", "a function of a document")
  local stage = new_stage(self, name, "map", upstream(self, docs, "map"))
  return own(self, stage, function()
    local doc = take(stage, docs)
    if not doc then return nil end
    local after, counts = fn(doc)
    document.text(after, "ledger:map: " .. name, 3)
    for _, kind in ipairs(options.keys(counts or {})) do
      stage.counts[kind] = (stage.counts[kind] or 0) + counts[kind]
    end
    pass(self, stage, after, doc)
    return after
  end)
end

--- Duplicates stay behind, and pieces are cut; dedup is one of ml.data.dedup, or anything with such
--- a mark. Its report, if it has one, is part of the books.
function Ledger:dedup(name, docs, dedup)
  if type(dedup) ~= "table" or type(dedup.mark) ~= "function" then
    error("ledger:dedup: expected a dedup object, got " .. type(dedup), 2)
  end
  local stage = new_stage(self, name, "dedup", upstream(self, docs, "dedup"))
  local marked = dedup:mark(function() return (take(stage, docs)) end)
  return own(self, stage, function()
    for doc, original, after in marked do
      if original == nil then
        pass(self, stage, after or doc, doc)
        return after or doc
      end
      drop(self, stage, doc, "duplicate", "of " .. tostring(original))
    end
    local report = dedup.report or {}
    stage.counts, stage.clusters = report.counts or stage.counts, report.clusters and report
  end)
end

-- ---- books of others ----

local function add_reason(self, stage, page)
  local r = reason_of(stage, page.reason)
  add_all(r, page)
  for source, n in pairs(page.sources) do r.sources[source] = (r.sources[source] or 0) + n end
  for _, e in ipairs(page.examples) do add_example(self, r.examples, e, e) end
end

local function add_page(self, stage, page)
  for source, theirs in pairs(page.sources) do
    local a = account(stage, { source = source })
    for _, what in ipairs { "in", "out", "dropped", "changed" } do
      add_all(a[what], theirs[what])
    end
    a.cut = a.cut + theirs.cut
  end
  for _, reason in ipairs(page.reasons) do add_reason(self, stage, reason) end
  for kind, n in pairs(page.counts) do stage.counts[kind] = (stage.counts[kind] or 0) + n end
  for _, e in ipairs(page.changes) do add_example(self, stage.changes, e, e) end
end

--- Books of the same steps over parts of the documents, in their order, as if one ledger had kept
--- them all: see moonlit.data.parts.
--- @param books table[]  what finish gives, one at least
--- @param docs function  iterator of what came out of the last step
--- @return function iterator
function Ledger:join(books, docs)
  check_function(docs, "join", "iterator")
  local stage
  for i, first in ipairs(books[1].steps) do
    stage = new_stage(self, first.name, first.kind, stage)
    stage.finished, stage.taken = true, i < #books[1].steps
    for _, b in ipairs(books) do add_page(self, stage, b.steps[i]) end
  end
  return own(self, stage, docs)
end

-- ---- closing the books ----

local function total(stage, what, source)
  local t = count()
  for _, name in ipairs(options.keys(stage.sources)) do
    if not source or name == source then add_all(t, stage.sources[name][what]) end
  end
  return t
end

local function refuse(format, ...) error("ledger: " .. format:format(...), 0) end

local function must_equal(stage, source, what, got, want)
  if got ~= want then
    refuse('"%s", source "%s": %s do not add up: %d came, %d are accounted for', stage.name,
           source, what, want, got)
  end
end

-- in = out + dropped (+ what changes took away), and in = the step before's out
local function check(stage)
  if not stage.finished then refuse('"%s" was not read to its end', stage.name) end
  for _, name in ipairs(options.keys(stage.sources)) do
    local a = stage.sources[name]
    must_equal(stage, name, "documents", a.out.documents + a.dropped.documents,
               a["in"].documents)
    must_equal(stage, name, "bytes", a.out.bytes + a.dropped.bytes + a.cut, a["in"].bytes)
  end
  local from = stage.from
  for _, name in ipairs(options.keys(from and from.sources or {})) do
    local out, into = from.sources[name].out, total(stage, "in", name)
    must_equal(stage, name, "documents", into.documents, out.documents)
    must_equal(stage, name, "bytes", into.bytes, out.bytes)
  end
end

-- the most frequent first
local function reasons_of(stage)
  local list = json.array {}
  for _, name in ipairs(options.keys(stage.reasons)) do
    local r = stage.reasons[name]
    list[#list + 1] = { reason = name, documents = r.documents, bytes = r.bytes,
                        sources = r.sources, examples = r.examples }
  end
  table.sort(list, function(a, b)
    if a.documents ~= b.documents then return a.documents > b.documents end
    return a.reason < b.reason
  end)
  return list
end

local function page_of(stage)
  return { name = stage.name, kind = stage.kind, sources = stage.sources,
           ["in"] = total(stage, "in"), out = total(stage, "out"),
           dropped = total(stage, "dropped"), changed = total(stage, "changed"),
           reasons = reasons_of(stage), counts = stage.counts, changes = stage.changes,
           clusters = stage.clusters }
end

-- first step in, last steps out, of every source
local function sources_of(stages)
  local sources = {}
  for _, stage in ipairs(stages) do
    for _, name in ipairs(options.keys(stage.sources)) do
      local s = sources[name] or { ["in"] = count(), out = count() }
      sources[name] = s
      if not stage.from then add_all(s["in"], stage.sources[name]["in"]) end
      if not stage.taken then add_all(s.out, stage.sources[name].out) end
    end
  end
  return sources
end

--- Close the books. Raises where counts do not add up, or documents were left unread.
--- @return table  { sources = { name = { in, out } }, steps = { { name, kind, in, out, dropped,
---         changed, sources, reasons = { { reason, documents, bytes, sources, examples } },
---         counts = { kind = n }, changes = examples, clusters? } }, in, out, sha256 }; in, out ...
---         are { documents, bytes }; counts and changes are what was done to texts; clusters are
---         what a dedup reports
function Ledger:finish()
  if self.books then return self.books end
  if #self.stages == 0 then refuse("nothing was read") end
  local books = { steps = json.array {}, ["in"] = count(), out = count() }
  for i, stage in ipairs(self.stages) do
    check(stage)
    books.steps[i] = page_of(stage)
  end
  books.sources = sources_of(self.stages)
  for _, name in ipairs(options.keys(books.sources)) do
    add_all(books["in"], books.sources[name]["in"])
    add_all(books.out, books.sources[name].out)
  end
  books.sha256 = core.sys.sha256(json.encode(books))
  self.books = books
  return books
end

--- Write the closed books; true, or nil, message, code.
function Ledger:save(path) return json.save(path, self:finish()) end

--- @param opt? {examples: integer?}  documents shown for a reason, 3
return function(opt)
  local o = options(opt, { examples = 3 }, "data.ledger")
  return setmetatable({ examples = o.examples, stages = {}, named = {},
                        of = setmetatable({}, { __mode = "k" }) }, Ledger)
end
