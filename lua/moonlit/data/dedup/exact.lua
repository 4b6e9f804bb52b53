--- Exact duplicates: of documents with the same text, the one with the smallest id stays.
---
---   for doc in ml.data.dedup.exact()(docs) do ... end
---
--- See dedup.object for what a dedup can do.
local clusters_of = require "moonlit.data.dedup.clusters"
local core = require "moonlit.core"
local object = require "moonlit.data.dedup.object"
local options = require "moonlit.options"

local kind = { name = "dedup.exact" }

function kind.keys(_, text)
  return string.pack("<I8", tonumber(core.sys.sha256(text):sub(1, 16), 16))
end

function kind.decide(self, shelf, next_group)
  local clusters = clusters_of()
  for members in next_group do
    local first = {} -- of a hash: keys are only a part of it
    for _, i in ipairs(members) do
      local hash = shelf:hash(i)
      if first[hash] then clusters:unite(first[hash], i) else first[hash] = i end
    end
  end
  local original
  original, self.report = clusters:settle(shelf, self.list)
  return original
end

--- @param opt? {list: string?, dir: string?}  list: a .jsonl file that gets every cluster; dir: for
---        temporary files, $TMPDIR or /tmp
--- @return table dedup  after use, report says how many clusters there were, and names the largest
return function(opt) return object(kind, opt, { list = options.optional }) end
