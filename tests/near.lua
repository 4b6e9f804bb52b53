-- lua5.4 tests/near.lua [DOCUMENTS.jsonl] [PAIRS] -- how many near-duplicates does minhash find?
-- Real documents (those of tests/golden/data unless given), and of each a copy with so many words
-- changed that the pair's Jaccard similarity is near one drawn between 0.5 and 1. The similarity is
-- counted here, on sets of strings. Prints, by similarity, how many copies were found and what
-- 1 - (1 - s^8)^14 promises; then precision: of the pairs joined, those at least as alike as asked.
package.path = "lua/?.lua;lua/?/init.lua;" .. package.path
package.cpath = "build/release/?.so;" .. package.cpath
local core = require "moonlit.core"
local ml = require "moonlit"

local PATH = arg[1] or "tests/golden/data/filters.jsonl"
local PAIRS = math.tointeger(tonumber(arg[2] or 3000))
local SIZE = 150 -- words
local STREAM, THRESHOLD = 8, 0.5

local function draw(i, n, most) return core.sys.random(1, STREAM, i, n, 0) % most + 1 end

local function words_of(text)
  local list = {}
  for word in text:gmatch "%a+" do list[#list + 1] = word:lower() end
  return list
end

-- 5 words in a row, as a set of strings
local function shingles(words)
  local set, n = {}, 0
  for i = 1, #words - 4 do
    local s = table.concat(words, " ", i, i + 4)
    if not set[s] then set[s], n = true, n + 1 end
  end
  return set, n
end

local function jaccard(a, b)
  local x, nx = shingles(a)
  local y, ny = shingles(b)
  local shared = 0
  for s in pairs(x) do shared = shared + (y[s] and 1 or 0) end
  return shared / math.max(1, nx + ny - shared)
end

-- pieces of SIZE words of all documents, one after the other; no two begin alike
local pieces, seen, rest = {}, {}, {}
for doc in ml.data.read(PATH) do
  local words = words_of(doc.text)
  table.move(words, 1, #words, #rest + 1, rest)
  while #rest >= SIZE do
    local piece = table.move(rest, 1, SIZE, 1, {})
    rest = table.move(rest, SIZE + 1, #rest, 1, {})
    local key = table.concat(piece, " ", 1, 20)
    if not seen[key] and #pieces < PAIRS then
      seen[key] = true
      pieces[#pieces + 1] = piece
    end
  end
end

local docs, truth = {}, {}
for i, words in ipairs(pieces) do
  local copy, target = table.move(words, 1, #words, 1, {}), 0.5 + draw(i, 0, 1000) / 2000
  local n = 0
  repeat
    n = n + 1
    copy[draw(i, n, #copy)] = pieces[draw(i, -n, #pieces)][draw(i, n + 10000, SIZE)]
    truth[i] = jaccard(words, copy)
  until truth[i] <= target or n == SIZE
  docs[#docs + 1] = { id = "a" .. i, text = table.concat(words, " ") }
  docs[#docs + 1] = { id = "b" .. i, text = table.concat(copy, " ") }
end

local text = {}
for _, doc in ipairs(docs) do text[doc.id] = doc.text end

local found, joined, right = {}, 0, 0
for doc, original in ml.data.dedup.minhash({ threshold = THRESHOLD }):mark(docs) do
  if original then
    joined = joined + 1
    if doc.id:sub(2) == original:sub(2) then found[tonumber(doc.id:sub(2))] = true end
    if jaccard(words_of(text[doc.id]), words_of(text[original])) >= THRESHOLD - 0.02 then
      right = right + 1
    end
  end
end

print(("%d pairs of real text"):format(#pieces))
print "similarity   pairs  found    promised"
for bin = 10, 19 do
  local n, hits, sum = 0, 0, 0
  for i in ipairs(pieces) do
    local s = truth[i]
    if s >= bin / 20 and (s < (bin + 1) / 20 or bin == 19) then
      n, hits = n + 1, hits + (found[i] and 1 or 0)
      sum = sum + 1 - (1 - s ^ 8) ^ 14
    end
  end
  if n > 0 then
    print(("%.2f-%.2f  %7d  %5.1f %%  %6.1f %%"):format(bin / 20, (bin + 1) / 20, n, 100 * hits / n,
                                                      100 * sum / n))
  end
end
local n, hits = 0, 0
for i in ipairs(pieces) do
  if truth[i] >= 0.8 then n, hits = n + 1, hits + (found[i] and 1 or 0) end
end
print(("recall at 0.8 and above %.2f %% of %d; precision %.2f %% of %d joined"):format(
  100 * hits / n, n, 100 * right / joined, joined))
