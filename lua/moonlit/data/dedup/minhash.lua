--- Near-duplicates: MinHash signatures find pairs that may be alike (Broder 1997; banded, as
--- Leskovec, Rajaraman, Ullman 3.4), the true Jaccard similarity of their shingles decides, and of
--- every cluster one document stays.
---
---   for doc in ml.data.dedup.minhash { threshold = 0.8 }(docs) do ... end
---
--- A shingle is 5 words in a row, in lower case, without punctuation, every number the same. Two
--- texts that share a part s of their shingles become a pair with probability 1 - (1 - s^8)^14:
--- 0.92 at 0.8, 0.05 at 0.5. Of a cluster that document stays whose text has the smallest SHA-256.
--- A text too short for a shingle always stays. See dedup.object for what a dedup can do.
local clusters_of = require "moonlit.data.dedup.clusters"
local core = require "moonlit.core"
local object = require "moonlit.data.dedup.object"
local options = require "moonlit.options"

local BYTES = 8 -- of a hash
local FULL = 16 -- members of a bucket that others are compared with, once a cluster is known

local kind = { name = "dedup.minhash" }

function kind.keys(self, text)
  local shingles = core.shingles.of(text, self.words)
  if shingles == "" then return "" end
  return core.shingles.signature(shingles, self.bands, self.rows, self.seed)
end

-- the Jaccard similarity of two sets of core.shingles: shared by all
local function jaccard(a, b)
  local shared = core.shingles.shared(a, b)
  return shared * BYTES / (#a + #b - shared * BYTES)
end

-- what compares two documents of a bucket; the shingles of the first few are kept
local function comparer(self, shelf)
  local sets, n = {}, 0
  local function set_of(i)
    local set = sets[i] or core.shingles.of(shelf:text(i), self.words)
    if not sets[i] and n < FULL then sets[i], n = set, n + 1 end
    return set
  end
  return function(i, j)
    self.pairs = self.pairs + 1
    return self.threshold == 0 or jaccard(set_of(i), set_of(j)) >= self.threshold
  end
end

local function all_together(clusters, members)
  local root = clusters:root(members[1])
  for i = 2, #members do
    if clusters:root(members[i]) ~= root then return false end
  end
  return true
end

-- the documents of a bucket. One that is full takes no more members of a cluster that is known: a
-- thousand copies are not compared with one another.
local function compare(self, shelf, clusters, members)
  table.sort(members, function(a, b) return shelf:before(a, b) end)
  local alike, kept = comparer(self, shelf), {}
  for _, i in ipairs(members) do
    local known = false
    for _, j in ipairs(kept) do
      if clusters:root(i) == clusters:root(j) then known = true
      elseif alike(i, j) then
        self.alike = self.alike + 1
        clusters:unite(i, j)
        known = true
      end
    end
    if #kept < FULL or not known then kept[#kept + 1] = i end
  end
end

function kind.decide(self, shelf, next_group)
  local clusters = clusters_of()
  for members in next_group do
    if not all_together(clusters, members) then compare(self, shelf, clusters, members) end
  end
  local original
  original, self.report = clusters:settle(shelf, self.list)
  return original
end

--- @param opt? {words: integer?, bands: integer?, rows: integer?, threshold: number?,
---        seed: integer?, list: string?, dir: string?}  5 words a shingle, 14 bands of 8 rows;
---        pairs at least 0.7 alike are duplicates, 0 believes the bands; list, dir: see dedup.exact
--- @return table dedup  after use, pairs and alike say how many pairs were compared and joined, and
---         report how many clusters there were
return function(opt)
  local o = object(kind, opt, { words = 5, bands = 14, rows = 8, threshold = 0.7, seed = 1,
                                list = options.optional })
  if type(o.threshold) ~= "number" or not (o.threshold >= 0 and o.threshold <= 1) then
    error("dedup.minhash: the threshold must lie between 0 and 1, got " .. tostring(o.threshold), 2)
  end
  o.pairs, o.alike = 0, 0
  return o
end
