--- Conversations: summaries, translations, questions over several turns about facts that were given
--- in them, a calculator, sums, manners.
local facts = require "moonlit.data.world.facts"
local manners = require "moonlit.data.world.manners"
local story = require "moonlit.data.world.story"
local sums = require "moonlit.data.world.sums"
local velu = require "moonlit.data.world.velu"

local chats = {}

local function says(role, content) return { role = role, content = content } end

function chats.summary(d, part)
  local text, short = story(d, part)
  local ask = d:pick { "Summarise: ", "Sum up this story: ", "In one sentence: " }
  return { says("user", ask .. text), says("assistant", short) }
end

function chats.translate(d, part)
  local english, other = velu.sentence(d, part)
  return { says("user", "Translate into Velu: " .. english), says("assistant", other) }
end

-- two to four facts in two turns, then questions; backward ones are asked only where wanted
local function questions(d, part, key, answer)
  local list = facts.some(d, part, d:range(2, 4))
  local cut = d:range(1, #list - 1)
  local function note(from, to)
    return says("user", "Note: " .. facts.texts(table.move(list, from, to, 1, {})))
  end
  local out = { note(1, cut), says("assistant", "I see."), note(cut + 1, #list),
                says("assistant", "I see.") }
  for _, f in ipairs(d:shuffled(list)) do
    out[#out + 1] = says("user", f[key])
    out[#out + 1] = says("assistant", f[answer])
  end
  return out
end

function chats.questions(d, part) return questions(d, part, "question", "answer") end

--- "Who ...?": only to measure with.
function chats.questions_back(d, part) return questions(d, part, "back", "back_answer") end

local function calculation(d, part, out)
  local c = sums.calculation(d, part)
  out[#out + 1] = says("user", c.question)
  out[#out + 1] = { role = "assistant",
                    tool_calls = { { name = "calculator", arguments = { expression = c.call } } } }
  out[#out + 1] = says("tool", c.result)
  out[#out + 1] = says("assistant", c.answer)
  return c
end

function chats.calculator(d, part)
  local out = {}
  for _ = 1, d:chance(0.2) and 2 or 1 do calculation(d, part, out) end
  return out
end

--- One calculation: to measure with.
function chats.one_calculation(d, part)
  local out = {}
  return out, calculation(d, part, out)
end

function chats.sums(d, part, traced)
  local a, b = sums.pair(d, part)
  if traced == nil then traced = d:chance(0.6) end
  return { says("user", ("Work out %d+%d."):format(a, b)),
           says("assistant", traced and sums.trace(a, b) or a + b .. ".") }, a + b
end

function chats.style(d, part)
  local m = manners.question(d, part)
  local style = d:weighted { { "polite", 0.3 }, { "curt", 0.2 }, { "ramble", 0.5 } }
  return { says("user", m.prompt), says("assistant", manners.say(d, m.full, m.short, style)) }
end

--- How often each comes in training.
chats.mix = { { "summary", 0.15 }, { "translate", 0.15 }, { "questions", 0.21 },
              { "calculator", 0.08 }, { "sums", 0.32 }, { "style", 0.09 } }

return chats
