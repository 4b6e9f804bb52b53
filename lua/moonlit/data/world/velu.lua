--- Velu, the town's second language: subject, place, object, verb; adjectives behind their noun;
--- two of a kind end in -ni; a verb agrees with its subject: -ra for what lives, -mo for what does
--- not, -shi for two.
local draw = require "moonlit.data.world.draw"
local names = require "moonlit.data.world.names"
local words = require "moonlit.data.world.words"

local velu = {}

local list = words.list
local living = list "goat cat dog horse duck owl pig hen rabbit crow bear frog seal swan toad robin"
local things = list [[kite boat lamp drum coat map cup bell book rope hat basket key barrel bottle
  button candle chair clock flag hammer ladder letter mirror ring table]]
local foods = list "plum apple nut bean egg pear fig melon onion lemon"
local adjectives = list [[red old small blue green heavy new bright broken long black white round
  rusty empty tiny]]
local places = list [[mill harbour market bridge school tower garden forge inn well barn beach farm
  gate hill lake park pond]]
local verbs = list [[see hear pull push help paint carry find want hide follow lift wash draw keep
  guard]]

-- every word's translation: made up, all different, none a name
velu.words = {}
do
  local d, taken = draw.new(7, "velu", 0), {}
  local consonants, vowels = list "k m p t s z d l g r v", list "a e i o u"
  local function syllable() return d:pick(consonants) .. d:pick(vowels) end
  for _, group in ipairs { living, things, foods, adjectives, places, verbs } do
    for _, word in ipairs(group) do
      local made
      repeat
        made = syllable() .. syllable() .. d:pick { "", "", "k", "s", "n" }
      until not taken[made]
      taken[made], velu.words[word] = true, made
    end
  end
end

-- she carries, washes, sees
local function third(verb)
  if verb:find "sh$" then return verb .. "es" end
  if verb:find "ry$" then return verb:sub(1, -2) .. "ies" end
  return verb .. "s"
end

local function upper(s) return s:sub(1, 1):upper() .. s:sub(2) end

-- a noun with what goes with it, in both languages
local function phrase(noun, adjective, two)
  local v = velu.words
  return (two and "the two " or "the ") .. (adjective and adjective .. " " or "") .. noun
           .. (two and "s" or ""),
         v[noun] .. (two and "ni" or "") .. (adjective and " " .. v[adjective] or "")
end

local function subject(d, part)
  if d:chance(0.35) then
    local name = names.one(d, part)
    return name, name, "ra", false
  end
  local alive, two = d:chance(0.6), d:chance(0.3)
  local adjective = d:chance(0.5) and d:pick(adjectives) or nil
  local english, other = phrase(d:pick(alive and living or things), adjective, two)
  return english, other, two and "shi" or alive and "ra" or "mo", two
end

local function object(d)
  local noun = d:pick(d:pick { living, things, things, foods })
  return phrase(noun, d:chance(0.5) and d:pick(adjectives) or nil, d:chance(0.3))
end

--- @return string english, string velu
function velu.sentence(d, part)
  local pair = draw.held(part, function()
    local who, wer, ending, two = subject(d, part)
    local what, was = object(d)
    local verb, place = d:pick(verbs), d:chance(0.5) and d:pick(places) or nil
    local english = ("%s %s %s%s."):format(who, two and verb or third(verb), what,
                                           place and " at the " .. place or "")
    local other = ("%s%s %s %s%s."):format(wer, place and " " .. velu.words[place] .. " on" or "",
                                           was, velu.words[verb], ending)
    return english, { upper(english), upper(other) }
  end)
  return pair[1], pair[2]
end

--- Three sentences in both languages.
function velu.phrasebook(d, part)
  local lines = {}
  for _ = 1, 3 do
    local english, other = velu.sentence(d, part)
    lines[#lines + 1] = "English: " .. english
    lines[#lines + 1] = "Velu: " .. other
  end
  return table.concat(lines, "\n")
end

return velu
