-- lua5.4 tests/bench/data.lua DOCUMENTS.jsonl -- our side of data.py: a line "what MB/s documents"
-- for reading, for the rules of FineWeb's chain and for near-duplicates, on one thread.
package.path = "lua/?.lua;lua/?/init.lua;" .. package.path
package.cpath = "build/release/?.so;" .. package.cpath
local ml = require "moonlit"
ml.threads(1)

local bytes

local function timed(name, work)
  local start = ml.clock()
  local left = work()
  print(("%s %.2f %d"):format(name, bytes / 1e6 / (ml.clock() - start), left))
end

local docs = {}
local start = ml.clock()
for doc in ml.data.read(arg[1]) do docs[#docs + 1] = doc end
local reading = ml.clock() - start
bytes = 0
for _, doc in ipairs(docs) do bytes = bytes + #doc.text end
print(("read %.2f %d"):format(bytes / 1e6 / reading, #docs))

local filter = ml.data.filter
local rules = { filter.gopher_repetition(), filter.gopher_quality(),
                filter.c4 { terminal_punctuation = false }, filter.fineweb_quality() }
local mask = ml.data.pii()

local function stays(doc)
  for _, keep in ipairs(rules) do
    local fine, changed = keep(doc)
    if not fine then return nil end
    doc = changed or doc
  end
  return mask(doc)
end

timed("rules", function()
  local left = 0
  for _, doc in ipairs(docs) do left = left + (stays(doc) and 1 or 0) end
  return left
end)

timed("minhash", function()
  local left = 0
  for _ in ml.data.dedup.minhash { threshold = 0 }(docs) do left = left + 1 end
  return left
end)
