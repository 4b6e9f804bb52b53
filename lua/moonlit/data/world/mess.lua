--- What spoils a crawl: boilerplate, junk, personal data (made up), copies with a few words
--- changed.
local names = require "moonlit.data.world.names"
local words = require "moonlit.data.world.words"

local mess = {}

-- ---- boilerplate: lines around a page ----

local above = { "Home | News | Market | Harbour | Contact", "Menu  Search  Log in  Basket (0)",
  "You are here: Home > Town > Stories", "Skip to content" }
local below = { "Copyright 2024 The Town Crier All rights reserved",
  "Share this on Chatter | Print | E-mail a friend", "We use cookies to make this site better",
  "Read our terms of use and privacy policy", "Older posts | Newer posts",
  "Tags: town, news, people" }

function mess.boilerplate(d, text)
  local lines = d:sample(above, d:range(1, 2))
  lines[#lines + 1] = text
  for _, line in ipairs(d:sample(below, d:range(1, 3))) do lines[#lines + 1] = line end
  return table.concat(lines, "\n")
end

-- ---- personal data ----

-- the last digit that makes a card number valid (Luhn)
local function luhn(digits)
  local sum = 0
  for i = #digits, 1, -1 do
    local v = digits[i]
    if (#digits - i) % 2 == 0 then v = v * 2 > 9 and v * 2 - 9 or v * 2 end
    sum = sum + v
  end
  return (10 - sum % 10) % 10
end

local function card(d)
  local digits = { 4 }
  for i = 2, 15 do digits[i] = d:range(0, 9) end
  digits[16] = luhn(digits)
  return (table.concat(digits):gsub("(%d%d%d%d)(%d%d%d%d)(%d%d%d%d)", "%1 %2 %3 "))
end

local kinds = {
  function(d)
    local who = names.one(d, "train"):lower()
    return ("%s.%s@example.%s"):format(who, d:pick(words.jobs), d:pick { "com", "net", "org" }),
           "Write to %s about it."
  end,
  function(d)
    return ("%d.%d.%d.%d"):format(d:range(11, 99), d:range(1, 250), d:range(1, 250),
                                  d:range(1, 250)), "This was posted from %s on the same day."
  end,
  function(d)
    return ("(555) %03d-%04d"):format(d:range(200, 999), d:range(0, 9999)),
           "For the goods call %s before noon."
  end,
  function(d) return card(d), "The bill went to card %s in the end." end,
}

--- A text with one or two sentences that give somebody away.
--- @return string text, string[] what was planted
function mess.personal(d, text)
  local planted, lines = {}, { text }
  for _, kind in ipairs(d:sample(kinds, d:range(1, 2))) do
    local what, sentence = kind(d)
    planted[#planted + 1] = what
    lines[#lines + 1] = sentence:format(what)
  end
  return table.concat(lines, "\n"), planted
end

-- ---- junk ----

local letters = "abcdefghijklmnopqrstuvwxyz"

local function noise_word(d)
  local out = {}
  for i = 1, d:range(2, 14) do
    local at = d:int(26)
    out[i] = letters:sub(at, at)
  end
  return table.concat(out)
end

local junk = {
  function(d) -- letters at random
    local out = {}
    for i = 1, d:range(40, 120) do out[i] = noise_word(d) end
    return table.concat(out, " ")
  end,
  function(d) -- one line over and over
    local line = ("Buy %s %s now at the best price!"):format(d:pick(words.adjectives),
                                                            d:pick(words.things))
    return (line .. "\n"):rep(d:range(12, 40))
  end,
  function(d) -- keywords
    local out = {}
    for i = 1, d:range(20, 60) do
      out[i] = "- " .. d:pick(words.adjectives) .. " " .. d:pick(words.things) .. " cheap online"
    end
    return table.concat(out, "\n")
  end,
  function(d) -- symbols
    local out, signs = {}, { "###", "{}", "==", "<<>>", "$$", "%%", "//", "&&", "@@", "***" }
    for i = 1, d:range(60, 160) do out[i] = d:chance(0.7) and d:pick(signs) or noise_word(d) end
    return table.concat(out, " ")
  end,
  function(d) -- filler
    local latin = words.list [[lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod
      tempor incididunt ut labore et dolore magna aliqua]]
    local out = {}
    for i = 1, d:range(50, 150) do out[i] = d:pick(latin) end
    return table.concat(out, " ") .. "."
  end,
}

function mess.junk(d) return d:pick(junk)(d) end

-- ---- near copies ----

--- A copy with a few words changed: about one in forty, at least one.
function mess.near_copy(d, text)
  local count = select(2, text:gsub("%a+", ""))
  local changed, at = {}, 0
  for _ = 1, math.max(1, count // 40) do changed[d:int(count)] = true end
  return (text:gsub("%a+", function(word)
    at = at + 1
    if not changed[at] then return word end
    return word:find "^%u" and names.one(d, "train") or d:pick(words.adjectives)
  end))
end

return mess
