--- Clean documents: what is worth learning from. A page is a few stories, notes, lists and numbers;
--- a trace is a piece of high quality, for mid-training.
local facts = require "moonlit.data.world.facts"
local story = require "moonlit.data.world.story"
local sums = require "moonlit.data.world.sums"
local velu = require "moonlit.data.world.velu"

local pages = {}

local kinds = {
  { function(d, part) return (story(d, part)) end, 0.32 },
  { facts.note, 0.33 },
  { facts.rollcall, 0.12 },
  { facts.numbers, 0.08 },
  { velu.phrasebook, 0.15 },
}

--- Paragraphs of a page of the crawl, at least fifty words together.
function pages.page(d, part)
  local out = {}
  for i = 1, d:range(3, 5) do out[i] = d:weighted(kinds)(d, part) end
  return table.concat(out, "\n")
end

--- "Sum: 347+285" and its working.
function pages.sum(d, part)
  local a, b = sums.pair(d, part)
  return ("Sum: %d+%d\n%s"):format(a, b, sums.trace(a, b))
end

--- Facts and a question about each.
function pages.answered(d, part)
  local list = facts.some(d, part, d:range(2, 5))
  local lines = { "Note: " .. facts.texts(list) }
  for _, f in ipairs(d:shuffled(list)) do
    local back = d:chance(0.3)
    lines[#lines + 1] = "Question: " .. (back and f.back or f.question)
    lines[#lines + 1] = "Answer: " .. (back and f.back_answer or f.answer)
  end
  return table.concat(lines, "\n")
end

--- A story and what it comes down to.
function pages.short(d, part)
  local text, short = story(d, part)
  return text .. "\n" .. short
end

local traces = { { pages.sum, 0.35 }, { pages.answered, 0.42 }, { pages.short, 0.23 } }

function pages.trace(d, part) return d:weighted(traces)(d, part) end

return pages
