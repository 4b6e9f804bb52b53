--- Conversations carried on by a model: its turns are generated in batches, tools run on what it
--- calls, their results fed back, until it answers. Reached as ml.converse.
---
---   local out = ml.converse(model, chat, { messages }, { tokens = 100,
---     tools = { calculator = ml.data.tools.calculator } })
---   out[1].messages[1].content
---
--- Ids are never decoded and encoded again: what a turn was drawn from is what it is learned from.
local options = require "moonlit.options"
local gen = require "moonlit.generate"

--- rounds: turns of the assistant at most; tools: name -> function(arguments) -> text.
--- reply(i, message, c) -> messages or nil: what comes back to result number i, so far c, after a
--- turn that calls no tools; nothing ends the conversation, and so does a turn that was cut (it is
--- told of those too: c.stopped is false). The others are those of model:generate, without stop and
--- tokenizer, which the chat knows.
local defaults = { tools = {}, rounds = 4, reply = options.optional }
for _, name in ipairs(options.keys(gen.defaults)) do
  if name ~= "stop" and name ~= "tokenizer" then defaults[name] = gen.defaults[name] end
end

local function extend(list, more) table.move(more, 1, #more, #list + 1, list) end

-- ids that the model did not draw
local function feed(c, ids)
  extend(c.ids, ids)
  for _ = 1, #ids do
    c.mask[#c.mask + 1] = 0
    if c.logprobs then c.logprobs[#c.logprobs + 1] = 0 end
  end
end

local function run_tool(call, tools)
  local tool = tools[call.name]
  if not tool then
    return ("error: no tool %s"):format(options.unknown(call.name, options.keys(tools)))
  end
  local ok, result = pcall(tool, call.arguments)
  if ok then return tostring(result) end
  return "error: " .. (type(result) == "string" and result or "the tool failed")
end

-- what the model said goes in
local function take(c, said, chat)
  extend(c.ids, said.ids)
  for _ = 1, #said.ids do c.mask[#c.mask + 1] = 1 end
  if c.logprobs then extend(c.logprobs, said.logprobs) end
  local message
  message, c.stopped = chat:parse(said.ids)
  c.messages[#c.messages + 1] = message
  return message
end

local function run_tools(calls, tools)
  local results = {}
  for i, call in ipairs(calls) do
    results[i] = { role = "tool", content = run_tool(call, tools) }
  end
  return results
end

-- what comes back to a message goes in, if anything does and it leaves room for an answer
local function answer(c, message, chat, o, context)
  local back
  if c.stopped and message.tool_calls then back = run_tools(message.tool_calls, o.tools)
  elseif o.reply then back = o.reply(o.place[c], message, c) end
  if not c.stopped or not back then return false end
  local ids = chat:follow(back)
  c.stopped = #c.ids + #ids < context
  if not c.stopped then return false end
  extend(c.messages, back)
  feed(c, ids)
  return true
end

local function generate_options(o, chat, samples)
  local g = {}
  for k, v in pairs(o) do g[k] = v end
  g.tools, g.rounds, g.reply, g.place, g.samples = nil, nil, nil, nil, samples
  g.stop = chat.stop
  return g
end

-- one turn each; those that go on. A prompt and its samples are given to generate as one.
local function round(model, chat, active, o, samples)
  local prompts, going = {}, {}
  for i = 1, #active, samples do prompts[#prompts + 1] = active[i].ids end
  local said = gen.generate(model, prompts, generate_options(o, chat, samples))
  for i, c in ipairs(active) do
    local message = take(c, said[i], chat)
    if answer(c, message, chat, o, model.options.context) then going[#going + 1] = c end
  end
  return going
end

local function start(chat, conversations, o, context)
  local all = {}
  for i, messages in ipairs(conversations) do
    local ok, ids = pcall(chat.prompt, chat, messages)
    if not ok then error(("converse: conversation %d: %s"):format(i, ids), 3) end
    if #ids > context then
      error(("converse: conversation %d has %d ids, the context is %d"):format(i, #ids, context), 3)
    end
    for _ = 1, o.samples do
      local c = { messages = {}, ids = {}, mask = {}, logprobs = o.logprobs and {} or nil,
                  prompt = #ids }
      feed(c, ids)
      all[#all + 1] = c
    end
  end
  return all
end

local function check(chat, conversations, o)
  if type(chat) ~= "table" or not chat.prompt then
    error("converse: expected a chat (ml.data.chat), got " .. type(chat), 3)
  elseif type(conversations) ~= "table" or type(conversations[1]) ~= "table"
         or conversations[1].role then
    error("converse: expected a list of conversations, each a list of messages", 3)
  end
  if o.reply ~= nil and type(o.reply) ~= "function" then
    error("converse: reply must be a function, got " .. type(o.reply), 3)
  end
  for _, key in ipairs { "rounds", "samples" } do
    if (math.tointeger(o[key]) or 0) < 1 then
      error(("converse: %s must be a positive integer, got %s"):format(key, tostring(o[key])), 3)
    end
  end
end

--- Continue conversations that end with a user (or a tool).
--- @param model Model
--- @param chat Chat          ml.data.chat of the model's tokenizer
--- @param conversations table[]  lists of messages
--- @param opt? table         see defaults above
--- @return {messages: table[], ids: integer[], mask: integer[], logprobs: number[]?,
---          prompt: integer, stopped: boolean}[]
---   in order, a conversation's samples together. messages are the new ones, results of tools
---   among them; ids the whole of it, the first `prompt` of them the prompt's; mask 1 where the
---   model drew, logprobs 0 where it did not; stopped: it came to the end of an answer, not to
---   the end of tokens, rounds or context
return function(model, chat, conversations, opt)
  local o = options(opt, defaults, "converse")
  check(chat, conversations, o)
  local all = start(chat, conversations, o, model.options.context)
  local active, samples = all, o.samples
  o.place = {}
  for i, c in ipairs(all) do o.place[c] = i end
  for _ = 1, o.rounds do
    if #active == 0 then break end
    active, samples = round(model, chat, active, o, samples), 1
  end
  for _, c in ipairs(active) do c.stopped = false end
  return all
end
