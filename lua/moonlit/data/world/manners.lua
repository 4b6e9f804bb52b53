--- Ways to answer: polite and short is better than curt, and curt and rambling both are worse.
local facts = require "moonlit.data.world.facts"

local manners = {}

local polite = { "Gladly.", "Of course.", "With pleasure." }
local ramblings = { "Well, let me think about that for a moment.",
  "Some say one thing and some say another.", "It is a long story, you know.",
  "I was at the inn when I heard this.", "My aunt would know more.",
  "People here talk about it a lot." }

--- A question with the right statement in full, in short, and the statement beside it.
function manners.question(d, part)
  local list = facts.some(d, part, 2)
  local f = d:pick(list)
  local other = f == list[1] and list[2] or list[1]
  return { prompt = ("Note: %s Please tell me: %s"):format(facts.texts(list), f.question),
           full = f.text, short = f.answer, other = other.text }
end

--- The statement in a style: "polite", "curt" or "ramble".
function manners.say(d, full, short, style)
  if style == "polite" then return d:pick(polite) .. " " .. full end
  if style == "curt" then return short end
  local lines = d:sample(ramblings, d:range(1, 3))
  table.insert(lines, d:range(1, #lines + 1), full)
  return table.concat(lines, " ")
end

--- True quality of a reply: the right statement 1, exactly one courtesy 1, every sentence beyond
--- those two 0.5 less.
--- @param text string  the reply
--- @param full string  the right statement
function manners.gold(text, full)
  local count, right, courtesies = 0, false, 0
  for sentence in text:gmatch "%s*([^.]*%.)" do
    count = count + 1
    right = right or sentence == full
    for _, p in ipairs(polite) do
      if sentence == p then courtesies = courtesies + 1 end
    end
  end
  return (right and 1 or 0) + (courtesies == 1 and 1 or 0) - 0.5 * math.max(0, count - 2)
end

--- Is a reply just what is wanted: one courtesy and the right statement?
function manners.preferred(text, full)
  for _, p in ipairs(polite) do
    if text == p .. " " .. full then return true end
  end
  return false
end

--- Two replies to one prompt, the better first. A quarter of the pairs differ in content alone.
function manners.pair(d, part)
  local m = manners.question(d, part)
  local content = d:chance(0.25)
  local rejected = content and manners.say(d, m.other, m.short, "polite")
                   or manners.say(d, m.full, m.short, d:pick { "curt", "ramble" })
  return { prompt = { { role = "user", content = m.prompt } },
           chosen = { { role = "assistant", content = manners.say(d, m.full, m.short, "polite") } },
           rejected = { { role = "assistant", content = rejected } },
           kind = content and "content" or "style", full = m.full }
end

return manners
