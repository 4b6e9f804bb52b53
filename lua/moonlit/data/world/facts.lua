--- Facts about people, each with a question and an answer in either direction.
local names = require "moonlit.data.world.names"
local words = require "moonlit.data.world.words"

-- a town nobody has heard of
local function town(d)
  local s = d:pick(words.middle) .. d:pick(words.last) .. d:pick(words.town_ends)
  return s:sub(1, 1):upper() .. s:sub(2)
end

-- verb, question about its object, what the object may be
local kinds = {
  { "fears", "What does %s fear?", function(d) return d:pick(words.animals) .. "s" end },
  { "lives near", "Where does %s live?", town },
  { "admires", "Whom does %s admire?", function(d, part) return names.one(d, part) end },
  { "likes", "What does %s like?", function(d) return d:pick(words.foods) end },
  { "sells", "What does %s sell?", function(d)
    return d:pick(words.adjectives) .. " " .. d:pick(words.things) .. "s"
  end },
  { "carries", "What does %s carry?", function(d)
    return d:range(2, 999) .. " " .. d:pick(words.counted)
  end },
}

local facts = {}

local function fact(d, part, who, k)
  local kind = kinds[k]
  local value = kind[3](d, part)
  return { text = ("%s %s %s."):format(who, kind[1], value), who = who, value = value,
           question = kind[2]:format(who), answer = ("That is %s."):format(value),
           back = ("Who %s %s?"):format(kind[1], value), back_answer = ("That is %s."):format(who) }
end

--- n facts about a few people, no two alike: every question has one answer.
function facts.some(d, part, n)
  local out, used = {}, {}
  local people = names.several(d, part, math.max(2, n - 1))
  while #out < n do
    local who, k = d:pick(people), d:int(#kinds)
    local f = fact(d, part, who, k)
    if not used[who .. k] and not used[f.value] then
      used[who .. k], used[f.value] = true, true
      out[#out + 1] = f
    end
  end
  return out
end

function facts.texts(list)
  local out = {}
  for i, f in ipairs(list) do out[i] = f.text end
  return table.concat(out, " ")
end

--- Facts, and all of them once more in another order: practice in looking up.
function facts.note(d, part)
  local list = facts.some(d, part, d:range(2, 5))
  return ("Note: %s %s %s"):format(facts.texts(list),
    d:pick { "As we said:", "Remember:", "It is true:", "Once more:" },
    facts.texts(d:shuffled(list)))
end

--- A list that is read out twice: the quickest way to learn copying.
function facts.rollcall(d, part)
  local items = {}
  for i = 1, d:range(4, 9) do
    local what = d:int(4)
    items[i] = what == 1 and names.one(d, part)
               or what == 2 and d:pick(words.adjectives) .. " " .. d:pick(words.things)
               or what == 3 and d:pick(words.foods) or tostring(d:range(2, 999))
  end
  local text = table.concat(items, ", ")
  return ("The crier called: %s. Once more: %s."):format(text, text)
end

--- Ages and prices: numbers occur before sums are taught.
function facts.numbers(d, part)
  local a, n = names.one(d, part), d:range(2, 999)
  return ("%s is %d years old and sold %d %s on %s. The %s %s cost %d coins. %s paid %d coins.")
    :format(a, d:range(6, 90), d:range(2, 99), d:pick(words.counted), d:pick(words.days),
            d:pick(words.adjectives), d:pick(words.things), n, a, n)
end

return facts
