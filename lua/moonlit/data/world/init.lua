--- The built-in world: a small town with known truth, for a pipeline that measures what each of its
--- stages does. ml.data.world { seed = 1 } makes, without a file and always the same,
---
---   w:crawl(n)              pages of a crawl, spoilt: doc.truth says how
---   w:documents(part, n)    clean pages;  w:traces(part, n)  worked sums, answered questions
---   w:chats(part, n)        conversations, { id, task, messages };  w:chats(part, n, "summary")
---   w:pairs(part, n)        { prompt, chosen, rejected, kind, full }, the better reply first
---   w:prompts(part, n)      { prompt, answer }: sums, to be verified
---   w:requests(part, n)     { prompt, full }: questions that w.gold judges replies to
---   w:tasks(part, n)        what to measure a model with: name -> list of items
---
--- part is "train", "valid" or "test". No name, sum, calculation or sentence of the second language
--- is in two parts. Item i of a kind is a function of (seed, kind, part, i).
local chats = require "moonlit.data.world.chats"
local crawl = require "moonlit.data.world.crawl"
local draw = require "moonlit.data.world.draw"
local manners = require "moonlit.data.world.manners"
local options = require "moonlit.options"
local pages = require "moonlit.data.world.pages"
local tools = require "moonlit.data.tools"

local World = { gold = manners.gold, preferred = manners.preferred,
                tools = { calculator = tools.calculator } }
World.__index = World
World.__name = "moonlit.World"

local parts = { train = true, valid = true, test = true }

local function check(part, n, who)
  if not parts[part] then
    error(('world:%s: part must be "train", "valid" or "test", got %s'):format(who,
          tostring(part)), 4)
  elseif math.type(n) ~= "integer" or n < 0 then
    error(("world:%s: n must be an integer, 0 or more, got %s"):format(who, tostring(n)), 4)
  end
end

-- an iterator over make(draw, i) for i from 1 to n
local function items(self, who, part, n, make)
  check(part, n, who)
  local i = 0
  return function()
    if i >= n then return nil end
    i = i + 1
    return make(draw.new(self.seed, who .. "/" .. part, i), i)
  end
end

local function id(who, part, i) return ("%s-%s-%06d"):format(who, part, i) end

--- @return function iterator of { id, text, source, truth = { kind, junk, duplicate_of, personal,
---   boilerplate } }
function World:crawl(n)
  return items(self, "crawl", "train", n, function(_, i) return crawl.document(self.seed, i) end)
end

--- @return function iterator of { id, text, source }
function World:documents(part, n)
  return items(self, "documents", part, n, function(d, i)
    return { id = id("page", part, i), text = pages.page(d, part), source = "world" }
  end)
end

--- @return function iterator of { id, text, source }
function World:traces(part, n)
  return items(self, "traces", part, n, function(d, i)
    return { id = id("trace", part, i), text = pages.trace(d, part), source = "traces" }
  end)
end

-- what is asked for of the mix, shares that add up to 1: one task, several, all
local function mix_of(task)
  local known, wanted, mix, sum = {}, type(task) == "string" and { task } or task, {}, 0
  for i, entry in ipairs(chats.mix) do known[i], known[entry[1]] = entry[1], entry end
  if wanted == nil then return chats.mix end
  for i, name in ipairs(wanted) do
    if not known[name] then
      error("world:chats: unknown task " .. options.unknown(tostring(name), known), 3)
    end
    mix[i] = { name, known[name][2] }
    sum = sum + mix[i][2]
  end
  for _, entry in ipairs(mix) do entry[2] = entry[2] / sum end
  return mix
end

--- @param task? string|string[]  "summary", "translate", "questions", "calculator", "sums" or
---        "style", or several of them, mixed as all are; without, all of them
--- @return function iterator of { id, task, messages }
function World:chats(part, n, task)
  local mix = mix_of(task)
  local who = "chats" .. (type(task) == "table" and table.concat(task, "+") or task or "")
  return items(self, who, part, n, function(d, i)
    local kind = #mix == 1 and mix[1][1] or d:weighted(mix)
    return { id = id("chat", part, i), task = kind, messages = (chats[kind](d, part)) }
  end)
end

--- @return function iterator of { id, prompt, chosen, rejected, kind = "style" | "content", full }
function World:pairs(part, n)
  return items(self, "pairs", part, n, function(d, i)
    local pair = manners.pair(d, part)
    pair.id = id("pair", part, i)
    return pair
  end)
end

--- @return function iterator of { id, prompt, answer }
function World:prompts(part, n)
  return items(self, "prompts", part, n, function(d, i)
    local messages, sum = chats.sums(d, part)
    return { id = id("sum", part, i), prompt = { messages[1] }, answer = tostring(sum) }
  end)
end

--- @return function iterator of { id, prompt, full }; full is the right statement, for w.gold and
---   w.preferred
function World:requests(part, n)
  return items(self, "requests", part, n, function(d, i)
    local m = manners.question(d, part)
    return { id = id("request", part, i), prompt = { { role = "user", content = m.prompt } },
             full = m.full }
  end)
end

-- a conversation without its last reply
local function asked(messages)
  local n = #messages
  return { messages = table.move(messages, 1, n - 1, 1, {}), answer = messages[n].content }
end

local tasks = {
  summary = function(d, part) return asked(chats.summary(d, part)) end,
  translate = function(d, part) return asked(chats.translate(d, part)) end,
  questions = function(d, part) return asked(chats.questions(d, part)) end,
  questions_back = function(d, part) return asked(chats.questions_back(d, part)) end,
  calculator = function(d, part)
    local messages, c = chats.one_calculation(d, part)
    return { messages = { messages[1] }, answer = c.answer, call = c.call, result = c.result }
  end,
  style = function(d, part)
    local m = manners.question(d, part)
    return { messages = { { role = "user", content = m.prompt } }, answer = m.full }
  end,
  sums = function(d, part)
    local messages, sum = chats.sums(d, part)
    local a, b = messages[1].content:match "(%d+)%+(%d+)"
    return { messages = { messages[1] }, prompt = ("Sum: %s+%s\n"):format(a, b),
             answer = tostring(sum) }
  end,
}

--- Items to measure with: { messages = that end with the user's, answer = the reply in full }; sums
--- have a plain `prompt` besides, the calculator the `call` and the `result`; the answer of style
--- is the right statement, however it is said.
--- @return table<string, table[]>
function World:tasks(part, n)
  local out = {}
  for _, name in ipairs(options.keys(tasks)) do
    out[name] = {}
    local function make(d) return tasks[name](d, part) end
    for item in items(self, "tasks/" .. name, part, n, make) do table.insert(out[name], item) end
  end
  return out
end

--- @param opt? {seed: integer?}
--- @return World
return function(opt)
  local o = options(opt, { seed = 1 }, "data.world")
  if math.type(o.seed) ~= "integer" then
    error("data.world: seed must be an integer, got " .. tostring(o.seed), 2)
  end
  return setmetatable({ seed = o.seed }, World)
end
