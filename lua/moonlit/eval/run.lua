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
--- are not given but written by the model. tools = { names of tools that the caller must bring }.
local interval = require "moonlit.eval.interval"
local options = require "moonlit.options"
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

local function items_of(task, o)
  local items = o.items
  if not items then
    if not o.world then error(WHO .. ": one of the options world and items is needed", 3) end
    items = task.items(o.world, o.part, o.n)
  end
  if type(items) ~= "table" or #items == 0 then
    error(('%s: task "%s" has no items'):format(WHO, task.name), 3)
  end
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

-- the model's, where it has a way of its own, as the baselines do
local function converse(model, chat, conversations, o)
  local opt = { tools = o.tools, rounds = o.rounds, tokens = o.tokens, batch = o.batch,
                temperature = 0 }
  if model.converse then return model:converse(chat, conversations, opt) end
  return require("moonlit.generate.turns").converse(model, chat, conversations, opt)
end

local function append(list, more)
  return table.move(more, 1, #more, #list + 1, list)
end

-- Turn by turn, all conversations that have one more together; each state is left with the
-- conversation as it went and the last turn's result.
local function play(model, chat, task, items, o)
  local states, turn = {}, 1
  for i, item in ipairs(items) do
    states[i] = { stretches = stretches(task, item), messages = {} }
  end
  repeat
    local going, conversations = {}, {}
    for _, state in ipairs(states) do
      local said = state.stretches[turn]
      if said then
        state.before = #append(state.messages, said)
        going[#going + 1] = state
        conversations[#going] = append({}, state.messages) -- theirs to keep or change
      end
    end
    if #going > 0 then
      local results = converse(model, chat, conversations, o)
      for i, state in ipairs(going) do
        append(state.messages, results[i].messages)
        state.stopped = results[i].stopped and true or false
      end
    end
    turn = turn + 1
  until #going == 0
  return states
end

local function reply_of(state)
  local new = table.move(state.messages, state.before + 1, #state.messages, 1, {})
  local last = new[#new]
  local said = last and last.role == "assistant" and last.content or ""
  return { content = said, messages = new, stopped = state.stopped }
end

local function score_of(task, item, reply, i)
  local score = task.score(item, reply)
  if score == true then score = 1 elseif score == false then score = 0 end
  if type(score) ~= "number" or not (score >= 0 and score <= 1) then
    error(('%s: task "%s": item %d: expected a score in 0..1, got %s'):format(WHO, task.name, i,
                                                                             tostring(score)), 0)
  end
  return score
end

-- one message as a person reads it
local function line_of(message)
  local parts = { message.content }
  for _, call in ipairs(message.tool_calls or {}) do
    local arguments = type(call.arguments) == "table" and call.arguments.expression
    parts[#parts + 1] = ("[%s: %s]"):format(call.name, tostring(arguments or "..."))
  end
  return table.concat(parts, " ")
end

-- several messages have their roles before them
local function shown(messages, first, last)
  if first == last then return line_of(messages[first]) end
  local lines = {}
  for i = first, last do lines[#lines + 1] = messages[i].role .. ": " .. line_of(messages[i]) end
  return table.concat(lines, "\n")
end

local function sample_of(item, state, reply, score)
  return { prompt = shown(state.messages, 1, state.before),
           reply = shown(state.messages, state.before + 1, #state.messages),
           answer = item.answer, score = score, stopped = reply.stopped }
end

--- @param model Model  or a baseline: anything with converse(self, chat, conversations, opt)
--- @param chat Chat  ml.data.chat(tok)
--- @param task string|table  a built-in task's name, or a task
--- @param opt table  world or items (a list; instead of the world's); part ("test"), n (200) items;
---   tools ({ calculator = fn }), rounds (4) of tool calls a turn; tokens (96) a reply at most;
---   batch (32) sequences at once; samples (4) to keep
--- @return table  { task, name, title, unit = "%", better, value = mean score, low, high (Wilson,
---   95 %), n, stopped = share of replies that ended by themselves, scores = { one an item },
---   samples = { { prompt, reply, answer, score, stopped } } }
return function(model, chat, task, opt)
  local o = options(opt, defaults, WHO)
  task = check_task(task, o)
  local items = items_of(task, o)
  local scores, samples, sum, stopped = {}, {}, 0, 0
  for i, state in ipairs(play(model, chat, task, items, o)) do
    local reply = reply_of(state)
    scores[i] = score_of(task, items[i], reply, i)
    sum, stopped = sum + scores[i], stopped + (reply.stopped and 1 or 0)
    if i <= o.samples then samples[i] = sample_of(items[i], state, reply, scores[i]) end
  end
  local n = #items
  local low, high = interval.wilson(sum / n, n)
  return { task = task.name, name = task.name, title = task.title, unit = "%",
           better = task.better or "higher", value = sum / n, low = low, high = high, n = n,
           stopped = stopped / n, scores = scores, samples = samples }
end
