--- Stories of what somebody did somewhere, with other people doing other things around it, and what
--- each comes down to.
local names = require "moonlit.data.world.names"
local words = require "moonlit.data.world.words"

local function opening(d, a, place)
  local day = d:pick(words.days)
  return d:pick {
    ("On %s %s walked to the %s."):format(day, a, place),
    ("One morning %s went to the %s."):format(a, place),
    ("Last %s %s was at the %s."):format(day, a, place),
    ("It was %s and %s was at the %s."):format(day, a, place),
    ("Early on %s %s came to the %s."):format(day, a, place),
  }
end

local function deed(d, a, did, thing)
  return d:pick {
    ("There %s %s %s."):format(a, did, thing), ("After a while %s %s %s."):format(a, did, thing),
    ("Before noon %s %s %s."):format(a, did, thing),
    ("Then at last %s %s %s."):format(a, did, thing),
  }
end

-- what does not matter: other people, other things, the weather
local function noise(d, b, place, thing)
  return d:shuffled {
    ("There was %s all day."):format(d:pick(words.skies)),
    ("%s was at the %s with %s."):format(b, place, thing),
    ("%s the %s ate %s."):format(b, d:pick(words.jobs), d:pick(words.foods)),
    ("The %s slept near the %s."):format(d:pick(words.animals), place),
    ("The %s talked about %s."):format(d:pick(words.jobs), d:pick(words.foods)),
    ("Everyone liked the %s."):format(d:pick(words.skies)),
    ("%s wanted %s too."):format(b, thing),
    ("At the %s the %s waited for %s."):format(place, d:pick(words.jobs), b),
  }
end

local function ending(d, a, b)
  return d:pick {
    ("In the evening %s was %s."):format(a, d:pick(words.moods)),
    ("%s went home %s."):format(a, d:pick(words.moods)),
    ("Then %s told %s about it."):format(a, b),
    ("%s and %s laughed about it for days."):format(a, b),
  }
end

--- @return string story, string summary
return function(d, part)
  local people, places = names.several(d, part, 2), d:sample(words.places, 2)
  local things, kinds = d:sample(words.things, 2), d:sample(words.adjectives, 2)
  local a, b, did = people[1], people[2], d:pick(words.deeds)[1]
  local thing = words.a(kinds[1] .. " " .. things[1])
  local lines = { opening(d, a, places[1]) }
  local around = noise(d, b, places[2], words.a(kinds[2] .. " " .. things[2]))
  local count = d:range(1, 3)
  local before = d:range(0, count)
  for i = 1, before do lines[#lines + 1] = around[i] end
  lines[#lines + 1] = deed(d, a, did, thing)
  for i = before + 1, count do lines[#lines + 1] = around[i] end
  lines[#lines + 1] = ending(d, a, b)
  return table.concat(lines, " "),
         ("In short, %s %s %s at the %s."):format(a, did, thing, places[1])
end
