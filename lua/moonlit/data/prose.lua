--- Text out of nothing: simple English about the people of a small town, from a seed. Enough
--- regularity to be learned in a minute (spelling, quotation marks, who says what, small sums),
--- enough variety not to be learned by heart.
---
---   local s = ml.data.prose { bytes = 1000000, seed = 1 }
local options = require "moonlit.options"

local people = {
  { "Anna", "she", "her" }, { "Tom", "he", "his" }, { "Mira", "she", "her" },
  { "Oskar", "he", "his" }, { "Lena", "she", "her" }, { "Pavel", "he", "his" },
  { "Judith", "she", "her" }, { "Hugo", "he", "his" }, { "Clara", "she", "her" },
  { "Emil", "he", "his" }, { "Nora", "she", "her" }, { "Walter", "he", "his" },
}

-- a slot {name} of a template takes one of these, slots inside them included
local words = {
  place = { "harbour", "market", "mill", "old bridge", "bakery", "school", "station", "library",
            "church", "garden behind the inn", "lighthouse", "town hall" },
  road = { "along the river", "over the hill", "through the narrow lane", "past the well",
           "across the square" },
  time = { "in the morning", "before noon", "at dusk", "after supper", "on {day}",
           "when the bells rang", "early on {day}" },
  day = { "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday" },
  weather = { "It rained all day.", "The sun was warm.", "A cold wind came from the sea.",
              "Snow lay on the roofs.", "The fog was thick.", "The sky was clear." },
  went = { "walked", "ran", "hurried", "went", "came", "rode" },
  thing = { "basket", "letter", "lantern", "blue coat", "wooden boat", "loaf of bread", "clock",
            "bucket", "small dog", "map", "kettle", "red umbrella" },
  many = { "apples", "eggs", "candles", "fish", "nails", "pears", "books", "coins", "buttons" },
  found = { "found", "lost", "bought", "sold", "mended", "carried", "hid", "borrowed" },
  felt = { "glad", "tired", "hungry", "angry", "proud", "sorry", "afraid", "quiet" },
  said = { "said", "asked", "answered", "whispered", "called" },
  hello = { "Good morning", "Good evening", "Hello", "Well", "Listen", "Come in" },
  talk = { "the {thing} is at the {place}", "I have not seen the {thing}",
           "we shall meet {time}", "nobody goes to the {place} any more",
           "the ferry leaves {time}", "my brother works at the {place}",
           "you must not tell anyone about the {thing}", "there is no more bread" },
  question = { "Where is the {thing}", "Who {found} the {thing}", "Will you come to the {place}",
               "How far is it to the {place}", "What did {other} say" },
}

local sentences = {
  "{One} {went} to the {place} {time}.",
  "{One} {went} {road} and {found} a {thing}.",
  "{He} {found} the {thing} and gave it to {other}.",
  "{He} was {felt}, but {other} was {felt}.",
  "{weather}",
  '"{hello}, {other}," said {One}. "{Talk}."',
  '"{question}?" asked {other}. "{Talk}," answered {One}.',
  '"{Talk}," {said} {other}.',
  "{One} kept {his} {thing} at the {place}.",
  "{Sum}",
  "Nobody at the {place} had seen {other} since {day}.",
  "When {One} came home, {he} was {felt}.",
}

local numbers = { "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
                  "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen",
                  "eighteen" }

-- splitmix64 on Lua's own integers: the same text on every machine
local function generator(seed)
  local state = seed
  return function(n) -- an integer in 1..n
    state = state + 0x9E3779B97F4A7C15
    local z = state
    z = (z ~ (z >> 30)) * 0xBF58476D1CE4E5B9
    z = (z ~ (z >> 27)) * 0x94D049BB133111EB
    z = z ~ (z >> 31)
    return (z >> 11) % n + 1
  end
end

local function capital(s) return (s:gsub("^%l", string.upper)) end

-- "Anna had four eggs and Tom had three eggs. Together they had seven eggs."
local function sum(pick, cast)
  local a, b, what = pick(8) + 1, pick(8) + 1, words.many[pick(#words.many)]
  return ("%s had %s %s and %s had %s %s. Together they had %s %s."):format(
    cast.One, numbers[a], what, cast.other, numbers[b], what, numbers[a + b], what)
end

local function fill(template, pick, cast)
  return (template:gsub("{(%a+)}", function(slot)
    if cast[slot] then return cast[slot] end
    if slot == "Sum" then return sum(pick, cast) end
    local list = words[slot:lower()]
    local chosen = fill(list[pick(#list)], pick, cast)
    return slot:find("^%u") and capital(chosen) or chosen
  end))
end

-- a paragraph is about two people and stays with them
local function paragraph(pick)
  local one = people[pick(#people)]
  local other = people[pick(#people)]
  while other == one do other = people[pick(#people)] end
  local cast = { One = one[1], he = one[2], He = capital(one[2]), his = one[3], other = other[1] }
  local out = { fill(sentences[pick(2)], pick, cast) }
  for i = 2, 3 + pick(4) do out[i] = fill(sentences[pick(#sentences)], pick, cast) end
  return table.concat(out, " ")
end

--- @param opt? {bytes: integer?, seed: integer?}
--- @return string text of exactly so many bytes
return function(opt)
  local o = options(opt, { bytes = 1000000, seed = 1 }, "data.prose")
  local pick, out, n = generator(o.seed), {}, 0
  while n < o.bytes do
    out[#out + 1] = paragraph(pick)
    n = n + #out[#out] + 2
  end
  return table.concat(out, "\n\n", 1):sub(1, o.bytes - 1) .. "\n"
end
