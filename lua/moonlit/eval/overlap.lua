--- How much of a reference a text has: ROUGE-L for summaries, chrF for translations.
local overlap = {}

local function words(s)
  local list = {}
  for w in s:lower():gmatch "[a-z0-9]+" do list[#list + 1] = w end
  return list
end

-- length of the longest common subsequence
local function common(a, b)
  local row = {}
  for j = 0, #b do row[j] = 0 end
  for i = 1, #a do
    local corner = 0
    for j = 1, #b do
      local above = row[j]
      row[j] = a[i] == b[j] and corner + 1 or math.max(above, row[j - 1])
      corner = above
    end
  end
  return row[#b]
end

--- ROUGE-L (Lin 2004): F1 of the longest common subsequence of words (letters and digits of ASCII,
--- lower case), as rouge_score has it without stemming.
--- @return number 0 to 1
function overlap.rouge_l(text, reference)
  local a, b = words(text), words(reference)
  if #a == 0 or #b == 0 then return 0 end
  local n = common(a, b)
  return 2 * n / (#a + #b)
end

-- n characters in a row -> how often; and how many in all
local function grams(chars, n)
  local counts, total = {}, 0
  for i = 1, #chars - n + 1 do
    local g = table.concat(chars, "", i, i + n - 1)
    counts[g], total = (counts[g] or 0) + 1, total + 1
  end
  return counts, total
end

local function characters(s)
  local list = {}
  for c in s:gmatch(utf8.charpattern) do
    if not c:find "^%s$" then list[#list + 1] = c end
  end
  return list
end

--- chrF (Popovic 2015): F2 of character n-grams, n to 6, white space left out, as sacreBLEU has it.
--- @return number 0 to 1
function overlap.chrf(text, reference)
  local a, b = characters(text), characters(reference)
  local precision, recall, orders = 0, 0, 0
  for n = 1, 6 do
    local have, count = grams(a, n)
    local want, wanted = grams(b, n)
    if count > 0 and wanted > 0 then
      local hits = 0
      for g, times in pairs(have) do hits = hits + math.min(times, want[g] or 0) end
      precision, recall, orders = precision + hits / count, recall + hits / wanted, orders + 1
    end
  end
  if orders == 0 then return 0 end
  precision, recall = precision / orders, recall / orders
  if precision + recall == 0 then return 0 end
  return 5 * precision * recall / (4 * precision + recall)
end

return overlap
