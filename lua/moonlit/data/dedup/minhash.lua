--- Near-duplicates: MinHash signatures find pairs that may be alike (Broder 1997; banded, as
--- Leskovec, Rajaraman, Ullman 3.4), the true Jaccard similarity of their shingles decides, and of
--- every cluster one document stays.
---
---   for doc in ml.data.dedup.minhash { threshold = 0.8 }(docs) do ... end
---
--- A shingle is 5 words in a row, in lower case, without punctuation, every number the same. Two
--- texts that share a part s of their shingles become a pair with probability 1 - (1 - s^8)^14:
--- 0.92 at 0.8, 0.05 at 0.5. Of a cluster that document stays whose text has the smallest SHA-256,
--- so what stays does not depend on the order documents come in. A text too short for a shingle
--- always stays. All documents are held in memory until the iterator is read.
local core = require "moonlit.core"
local document = require "moonlit.data.document"
local options = require "moonlit.options"

local Minhash = {}
Minhash.__index = Minhash
Minhash.__name = "moonlit.Minhash"

local BYTES = 8 -- of a hash

--- The Jaccard similarity of two sets of core.shingles: shared by all.
local function jaccard(a, b)
  local shared = core.shingles.shared(a, b)
  return shared * BYTES / (#a + #b - shared * BYTES)
end

-- ---- clusters ----

local function root_of(parent, i)
  while parent[i] ~= i do
    parent[i] = parent[parent[i]]
    i = parent[i]
  end
  return i
end

-- the smaller root stays root: it is the first in the order of hashes
local function unite(parent, a, b)
  a, b = root_of(parent, a), root_of(parent, b)
  if a < b then parent[b] = a else parent[a] = b end
end

-- compares item i with those before it that have the same hash in one of the bands, each once
local function compare(self, items, parent, i, mates)
  local tried = {}
  for _, j in ipairs(mates) do
    if not tried[j] and root_of(parent, j) ~= root_of(parent, i) then
      tried[j] = true
      self.pairs = self.pairs + 1
      local alike = jaccard(items[i].shingles, items[j].shingles) >= self.threshold
      if alike then
        self.alike = self.alike + 1
        unite(parent, i, j)
      end
    end
  end
end

-- the buckets of an item, one a band; none for a text too short
local function buckets_of(self, buckets, shingles)
  local mine = {}
  if shingles == "" then return mine end
  local bands = core.shingles.signature(shingles, self.bands, self.rows, self.seed)
  for band = 1, self.bands do
    local key = band .. ":" .. bands:sub((band - 1) * BYTES + 1, band * BYTES)
    mine[band] = buckets[key] or {}
    buckets[key] = mine[band]
  end
  return mine
end

-- items in the order of their hashes -> the root of each. A bucket that is full takes no more
-- members of a cluster that is known: a thousand copies are not compared with one another.
local function cluster(self, items)
  local buckets, parent, full = {}, {}, 16
  for i, item in ipairs(items) do
    parent[i] = i
    local mine, mates = buckets_of(self, buckets, item.shingles), {}
    for _, bucket in ipairs(mine) do table.move(bucket, 1, #bucket, #mates + 1, mates) end
    compare(self, items, parent, i, mates)
    for _, bucket in ipairs(mine) do
      if #bucket < full or parent[i] == i then bucket[#bucket + 1] = i end
    end
  end
  return parent
end

-- ---- the object ----

-- every document as an item: its number, hash and shingles
local function gather(self, docs)
  local items = {}
  for doc in docs do
    local text = document.text(doc, "dedup.minhash")
    items[#items + 1] = { doc = doc, number = #items + 1, hash = core.sys.sha256(text),
                          shingles = core.shingles.of(text, self.words) }
  end
  return items
end

-- by hash; equal texts by id, then as they came
local function before(a, b)
  if a.hash ~= b.hash then return a.hash < b.hash end
  local x, y = tostring(a.doc.id), tostring(b.doc.id)
  if x ~= y then return x < y end
  return a.number < b.number
end

local function marked(self, docs)
  local items = gather(self, docs)
  local sorted = table.move(items, 1, #items, 1, {})
  table.sort(sorted, before)
  local parent = cluster(self, sorted)
  local original = {}
  for i, item in ipairs(sorted) do
    local first = sorted[root_of(parent, i)]
    if first ~= item then original[item.number] = first.doc.id or first.number end
  end
  return items, original
end

--- Every document, in the order it came in, and the id (or, without one, the number) of the one
--- that stays in its place, if any.
function Minhash:mark(docs)
  local items, original, i = nil, nil, 0
  return function()
    if not items then items, original = marked(self, docs) end
    i = i + 1
    if not items[i] then return nil end
    return items[i].doc, original[i]
  end
end

--- Only the documents that stay.
function Minhash:__call(docs)
  local all = self:mark(docs)
  return function()
    local doc, original
    repeat doc, original = all() until doc == nil or original == nil
    return doc
  end
end

--- @param opt? {words: integer?, bands: integer?, rows: integer?, threshold: number?,
---        seed: integer?}  5 words a shingle, 14 bands of 8 rows; pairs at least 0.7 alike are
---        duplicates, 0 believes the bands
--- @return table dedup  after use, pairs and alike say how many pairs were compared and joined
return function(opt)
  local o = options(opt, { words = 5, bands = 14, rows = 8, threshold = 0.7, seed = 1 },
                    "dedup.minhash")
  if type(o.threshold) ~= "number" or not (o.threshold >= 0 and o.threshold <= 1) then
    error("dedup.minhash: the threshold must lie between 0 and 1, got " .. tostring(o.threshold), 2)
  end
  o.pairs, o.alike = 0, 0
  return setmetatable(o, Minhash)
end
