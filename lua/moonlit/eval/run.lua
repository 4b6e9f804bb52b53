--- A generation task: the model answers each item's conversation greedily, in batches, with tools
--- where the task has some, and the task scores the replies.
---
---   ml.eval.run(model, chat, "summary", { world = w, n = 200 })
---     -> { task = "summary", value = 0.93, low = 0.886, high = 0.958, n = 200, stopped = 1, ... }
---
--- A task is a small table, lua/moonlit/eval/task/ has the built-in ones:
---   { name = "upper", title = "words in capitals", better = "higher",
---     items = function(world, part, n) return { { messages = {...}, answer = "MOON" } } end,
---     score = function(item, reply) return reply.content == item.answer and 1 or 0 end }
--- An item's messages end with the user's; reply = { content = the last text, messages = all that
--- the model and its tools said since, stopped = whether it ended its turn by itself }. A score is
--- a number in 0..1, or a boolean. own_turns = true: the assistant's turns in an item's messages
--- are not given but written by the model; a conversation ends, unanswered, where it says nothing,
--- leaves a call open or fills its context. tools = { names of tools that the caller must bring }.
--- temperature = 1: replies are drawn instead, always from the same seed. unit = "points": a score
--- is any finite number, as it is no share.
local interval = require "moonlit.eval.interval"
local options = require "moonlit.options"
local shown = require "moonlit.eval.shown"
local tasks = require "moonlit.eval.tasks"

local WHO = "eval.run"

local defaults = {
  world = options.optional, items = options.optional, part = "test", n = 200,
  tools = options.optional, rounds = 4, tokens = 96, batch = 32, samples = 4,
}

local function check_task(task, o)
  if type(task) == "string" then
    if not tasks[task] then
      error(WHO .. ": unknown task " .. options.unknown(task, options.keys(tasks)), 3)
    end
    task = tasks[task]
  end
  if type(task) ~= "table" or type(task.name) ~= "string" or type(task.score) ~= "function" then
    error(WHO .. ": expected a task's name or { name =, items =, score = }, got " .. type(task), 3)
  end
  for _, name in ipairs(task.tools or {}) do
    if not (o.tools and o.tools[name]) then
      error(('%s: task "%s" needs the tool "%s" in the option tools'):format(WHO, task.name, name),
            3)
    end
  end
  return task
end

-- items with their prompt as the one message: ml.eval.plain
local function as_documents(task, items)
  local list = {}
  for i, item in ipairs(items) do
    if type(item.prompt) ~= "string" then
      error(('%s: task "%s": item %d has no prompt for a plain document'):format(WHO, task.name, i),
            4)
    end
    local messages = { { role = "user", content = item.prompt } }
    list[i] = setmetatable({ messages = messages }, { __index = item })
  end
  return list
end

local function items_of(task, chat, o)
  local items = o.items
  if not items then
    if not o.world then error(WHO .. ": one of the options world and items is needed", 3) end
    items = task.items(o.world, o.part, o.n)
  end
  if type(items) ~= "table" or #items == 0 then
    error(('%s: task "%s" has no items'):format(WHO, task.name), 3)
  end
  if chat.plain then items = as_documents(task, items) end
  for i, item in ipairs(items) do
    local messages = type(item) == "table" and item.messages
    local last = type(messages) == "table" and messages[#messages]
    if not last or last.role ~= "user" then
      error(('%s: task "%s": item %d: expected messages that end with the user\'s'):format(WHO,
            task.name, i), 3)
    end
  end
  return items
end

-- an item's messages cut where the model is to speak: lists that end with a user's message
local function stretches(task, item)
  if not task.own_turns then return { item.messages } end
  local list, open = {}, {}
  for i, message in ipairs(item.messages) do
    if message.role ~= "assistant" and message.role ~= "tool" then
      open[#open + 1] = message
      local following = item.messages[i + 1]
      if not following or following.role == "assistant" then
        list[#list + 1], open = open, {}
      end
    end
  end
  return list
end

-- the model's, where it has a way of its own, as a baseline may
local function converse(model, chat, task, conversations, o)
  local tools = {} -- no others: a sum is to be worked out
  for _, name in ipairs(task.tools or {}) do tools[name] = o.tools[name] end
  local opt = { tools = tools, rounds = o.rounds, tokens = o.tokens, batch = o.batch,
                temperature = task.temperature or 0 }
  if model.converse then return model:converse(chat, conversations, opt) end
  return require "moonlit.generate.turns"(model, chat, conversations, opt)
end

local function append(list, more)
  return table.move(more, 1, #more, #list + 1, list)
end

-- the text a turn ended with; nil if nothing was said, or a call got no answer
local function said_last(messages)
  local last = messages[#messages]
  local calls = last and last.tool_calls or {}
  if last and last.role == "assistant" and #calls == 0 and last.content ~= "" then
    return last.content
  end
end

-- does what the model itself has said leave room for more?
local function fits(model, chat, state)
  if state.before == 0 or not model.options then return true end
  return #chat:prompt(state.messages) < model.options.context
end

-- the conversations that have a turn of this number, with its user's messages in place
local function going_on(model, chat, states, turn)
  local going = {}
  for _, state in ipairs(states) do
    local said = state.stretches[turn]
    if said and not state.broken then
      append(state.messages, said)
      state.broken = not fits(model, chat, state)
      state.before, state.stopped = #state.messages, false
      if not state.broken then going[#going + 1] = state end
    end
  end
  return going
end

-- Turn by turn, all conversations that have one more together; each state is left with the
-- conversation as it went.
local function play(model, chat, task, items, o)
  local states, longest = {}, 0
  for i, item in ipairs(items) do
    states[i] = { stretches = stretches(task, item), messages = {}, before = 0 }
    longest = math.max(longest, #states[i].stretches)
  end
  for turn = 1, longest do
    local going, conversations = going_on(model, chat, states, turn), {}
    for i, state in ipairs(going) do conversations[i] = append({}, state.messages) end
    local results = #going > 0 and converse(model, chat, task, conversations, o)
    for i, state in ipairs(going) do
      append(state.messages, results[i].messages)
      state.stopped = results[i].stopped and true or false
      state.broken = turn < #state.stretches and not said_last(results[i].messages)
    end
  end
  return states
end

local function reply_of(state)
  if state.broken then return { content = "", messages = {}, stopped = state.stopped } end
  local new = table.move(state.messages, state.before + 1, #state.messages, 1, {})
  return { content = said_last(new) or "", messages = new, stopped = state.stopped }
end

local function score_of(task, item, reply, i)
  local score = task.score(item, reply)
  if score == true then score = 1 elseif score == false then score = 0 end
  local number = type(score) == "number" and score - score == 0
  if not number or not task.unit and (score < 0 or score > 1) then
    error(('%s: task "%s": item %d: expected %s, got %s'):format(WHO, task.name, i,
          task.unit and "a finite number" or "a score in 0..1", tostring(score)), 0)
  end
  return score
end

local function sample_of(item, state, reply, score)
  return { prompt = shown(state.messages, 1, state.before),
           reply = shown(state.messages, state.before + 1, #state.messages),
           answer = item.answer, score = score, stopped = reply.stopped }
end

--- @param model Model  or a baseline: anything with converse(self, chat, conversations, opt)
--- @param chat Chat  ml.data.chat(tok), or ml.eval.plain(tok)
--- @param task string|table  a built-in task's name, or a task
--- @param opt table  world or items (a list; instead of the world's); part ("test"), n (200) items;
---   tools ({ calculator = fn }; a task gets those it names), rounds (4) of the assistant a turn;
---   tokens (96) of a message at most; batch (32) sequences at once; samples (4) to keep
--- @return table  { task, name, title, unit = "%", better, value = mean score, low, high (95 %;
---   Wilson's for shares), n, stopped = share of replies that ended by themselves, scores = { one
---   an item }, samples = { { prompt, reply, answer, score, stopped } } }
return function(model, chat, task, opt)
  local o = options(opt, defaults, WHO)
  task = check_task(task, o)
  local items = items_of(task, chat, o)
  local scores, samples, sum, stopped = {}, {}, 0, 0
  for i, state in ipairs(play(model, chat, task, items, o)) do
    local reply = reply_of(state)
    scores[i] = score_of(task, items[i], reply, i)
    sum, stopped = sum + scores[i], stopped + (reply.stopped and 1 or 0)
    if i <= o.samples then samples[i] = sample_of(items[i], state, reply, scores[i]) end
  end
  local n = #items
  local low, high = interval[task.unit and "mean" or "wilson"](task.unit and scores or sum / n, n)
  return { task = task.name, name = task.name, title = task.title, unit = task.unit or "%",
           better = task.better or "higher", value = sum / n, low = low, high = high, n = n,
           stopped = stopped / n, scores = scores, samples = samples }
end
