--- Conversations as ids and loss mask, in ChatML. A turn is put together from the ids of its
--- control tokens and the plain encoding of its content: what is learned is known token by token
--- as it is laid down, and text that looks like a control token stays text.
---
---   local chat = ml.data.chat(tok)                   -- tok: trained with ml.data.chat.special
---   local row = chat:render(messages)                -- { ids = {...}, mask = {...} }
---   local ids = chat:prompt(messages)                -- ends where the assistant begins
---   local message, stopped = chat:parse(new_ids)
---
--- messages: a list of { role = "system" | "user" | "assistant" | "tool", content = string }; an
--- assistant may have tool_calls = { { name = string, arguments = table } }, each answered by one
--- tool message after it. Learned (mask 1) is all an assistant says, its end of turn included, and
--- nothing else.
local json = require "moonlit.json"
local options = require "moonlit.options"

local chat = { special = { "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>",
                           "</tool_call>" } }

local Chat = {}
Chat.__index = Chat
Chat.__name = "moonlit.Chat"

local roles = { system = true, user = true, assistant = true, tool = true }

-- ---- is it a conversation? ----

-- a field that JSON has as null is not there
local function field(m, key)
  if m[key] ~= json.null then return m[key] end
end

local function wrong_call(call, i)
  if type(call) ~= "table" or type(call.name) ~= "string" or call.name == "" then
    return ("tool call %d: expected { name =, arguments = }"):format(i)
  elseif type(call.arguments) ~= "table" then
    return ("tool call %d: arguments must be a table, got %s"):format(i, type(call.arguments))
  end
end

-- the assistant's tool calls, {} if none; nil, message
local function calls_of(m)
  local calls = field(m, "tool_calls") or {}
  if type(calls) ~= "table" then
    return nil, "tool_calls must be a list, got " .. type(calls)
  elseif m.role ~= "assistant" and #calls > 0 then
    return nil, ("a %s cannot call tools"):format(m.role)
  end
  for i, call in ipairs(calls) do
    local wrong = wrong_call(call, i)
    if wrong then return nil, wrong end
  end
  return calls
end

-- open: calls that wait for a result; gives the calls that wait after this message
local function check_message(m, open)
  if type(m) ~= "table" then return nil, "expected an object, got " .. type(m) end
  if not roles[m.role] then
    return nil, "unknown role " .. options.unknown(m.role, options.keys(roles))
  end
  local calls, err = calls_of(m)
  if not calls then return nil, err end
  local content = field(m, "content")
  if content ~= nil and type(content) ~= "string" then
    return nil, "content must be text, got " .. type(content)
  elseif (content or "") == "" and #calls == 0 and m.role ~= "tool" then
    return nil, ("the %s says nothing"):format(m.role)
  elseif m.role == "tool" then
    if open == 0 then return nil, "a tool result without a call" end
    return open - 1
  elseif open > 0 then
    return nil, ("%d tool call(s) before it have no result"):format(open)
  end
  return #calls
end

--- Is this a conversation that ends with an assistant?
--- @param messages any
--- @return true|nil, string? message, string? code  the message names what is wrong by its number
function chat.check(messages)
  if type(messages) ~= "table" then
    return nil, "expected a list of messages, got " .. type(messages), "format"
  elseif #messages == 0 then return nil, "no messages", "format" end
  local open = 0
  for i, m in ipairs(messages) do
    local err
    open, err = check_message(m, open)
    if not open then return nil, ("message %d: %s"):format(i, err), "format" end
  end
  if messages[#messages].role ~= "assistant" then
    return nil, ("message %d: the last one must be the assistant's, got role %q"):format(
      #messages, messages[#messages].role), "format"
  end
  return true
end

-- the same of messages that an assistant is to answer
local function check_open(messages)
  if type(messages) ~= "table" then
    return nil, "expected a list of messages, got " .. type(messages)
  end
  local whole = table.move(messages, 1, #messages, 1, {})
  if #whole == 0 then return nil, "no messages" end
  if type(whole[#whole]) == "table" and whole[#whole].role == "assistant" then
    return nil, ("message %d: the last one is the assistant's already"):format(#whole)
  end
  whole[#whole + 1] = { role = "assistant", content = "." }
  return chat.check(whole)
end

-- ---- laying down tokens ----

local function special_id(tok, name)
  local id = tok.id and tok:id(name) -- a tokenizer of characters knows no such thing
  if id then return id end
  error(("data.chat: the tokenizer has no %q; train it with special = ml.data.chat.special")
        :format(name), 4)
end

local function add(out, ids, bit)
  local n = #out.ids
  for i, id in ipairs(ids) do out.ids[n + i], out.mask[n + i] = id, bit end
end

-- {"name": "calculator", "arguments": {"expression": "1+2"}}, spaced as Qwen's templates do
local function call_text(call)
  local function line(value)
    local s = json.encode(value, { pretty = true }) -- strings hold no bare line breaks
    return (s:gsub(",\n%s*", ", "):gsub("\n%s*", ""))
  end
  return ('{"name": %s, "arguments": %s}'):format(line(call.name), line(call.arguments))
end

local function add_turn(self, out, m, learned)
  local bit = learned and m.role == "assistant" and 1 or 0
  local tok, content = self.tok, field(m, "content") or ""
  add(out, { self.im_start }, 0)
  add(out, self.header[m.role], 0)
  add(out, tok:encode(content), bit)
  for i, call in ipairs(field(m, "tool_calls") or {}) do
    if i > 1 or content ~= "" then add(out, self.newline, bit) end
    add(out, { self.call }, bit)
    add(out, tok:encode("\n" .. call_text(call) .. "\n"), bit)
    add(out, { self.call_end }, bit)
  end
  add(out, { self.im_end }, bit)
  add(out, self.newline, 0)
end

local function add_open(self, out, messages)
  for _, m in ipairs(messages) do add_turn(self, out, m, false) end
  add(out, { self.im_start }, 0)
  add(out, self.header.assistant, 0)
  return out.ids
end

--- A conversation to learn from.
--- @param messages table
--- @param opt? {from: integer?}  assistants from this message on are learned; 1 by default
--- @return {ids: integer[], mask: integer[]}
function Chat:render(messages, opt)
  local o = options(opt, { from = 1 }, "chat.render")
  local ok, err = chat.check(messages)
  if not ok then error("chat.render: " .. err, 2) end
  local out = { ids = {}, mask = {} }
  for i, m in ipairs(messages) do add_turn(self, out, m, i >= o.from) end
  return out
end

--- Conversations as what a loader takes.
--- @param conversations function|table[]  an iterator or a list of { messages =, id = }
--- @return function iterator of { ids =, mask =, id = }
function Chat:sequences(conversations)
  local n = 0
  return function()
    n = n + 1
    local c
    if type(conversations) == "function" then c = conversations() else c = conversations[n] end
    if c == nil then return nil end
    local row = self:render(c.messages)
    row.id = c.id
    return row
  end
end

--- The ids of a conversation that the assistant is to continue.
--- @return integer[]
function Chat:prompt(messages)
  local ok, err = check_open(messages)
  if not ok then error("chat.prompt: " .. err, 2) end
  return add_open(self, { ids = {}, mask = {} }, messages)
end

--- What follows the assistant's end of turn when these messages come next and it is to go on:
--- chat:prompt of all is chat:prompt of the first, the assistant's ids, and this.
--- @return integer[]
function Chat:follow(messages)
  local out = { ids = {}, mask = {} }
  add(out, self.newline, 0)
  return add_open(self, out, messages)
end

-- ---- reading what a model said ----

-- { name =, arguments = }, or nil if the text between the two tokens is no call
local function read_call(text)
  local call = json.decode(text)
  if type(call) == "table" and not wrong_call(call, 1) then
    return { name = call.name, arguments = call.arguments }
  end
end

-- cuts ids in plain runs and calls; a call that is none stays in the run before it
local function pieces(self, ids)
  local plain, calls, i = {}, {}, 1
  while ids[i] and not self.stops[ids[i]] do
    local last = i
    while ids[i] == self.call and ids[last] and ids[last] ~= self.call_end
          and not self.stops[ids[last]] do last = last + 1 end
    local call = last > i and ids[last] == self.call_end
                 and read_call(self.tok:decode(table.move(ids, i + 1, last - 1, 1, {})))
    if call then
      calls[#calls + 1] = call
      i = last
      if #calls == 1 then plain[#plain + 1] = false end
    else
      plain[#plain + 1] = ids[i]
    end
    i = i + 1
  end
  return plain, calls, ids[i] ~= nil
end

-- the text of plain runs; false marks where the first call stood
local function text_of(self, plain)
  local before, after, at = {}, {}, nil
  for _, id in ipairs(plain) do
    if id == false then at = true
    elseif at then after[#after + 1] = id
    else before[#before + 1] = id end
  end
  local head = self.tok:decode(before)
  if at then head = head:gsub("\n$", "") end
  local tail = self.tok:decode(after)
  return head .. (tail:find "%S" and tail or "")
end

--- The message in what a model generated after a prompt; what comes after a stop id is left out.
--- Tool calls are read; a call that is not JSON with a name and arguments stays text.
--- @param ids integer[]
--- @return table message, boolean stopped  stopped: the turn was ended
function Chat:parse(ids)
  local plain, calls, stopped = pieces(self, ids)
  local text = text_of(self, plain)
  local message = { role = "assistant", content = text }
  if #calls > 0 then
    message.tool_calls = calls
    if text == "" then message.content = nil end
  end
  return message, stopped
end

-- ---- making one ----

local function new(tok)
  if type(tok) ~= "table" or type(tok.encode) ~= "function" then
    error("data.chat: expected a tokenizer, got " .. type(tok), 3)
  end
  local self = setmetatable({
    tok = tok, im_start = special_id(tok, "<|im_start|>"), im_end = special_id(tok, "<|im_end|>"),
    call = special_id(tok, "<tool_call>"), call_end = special_id(tok, "</tool_call>"),
    newline = tok:encode "\n", header = {}, stops = {},
  }, Chat)
  self.stop = { self.im_end, special_id(tok, "<|endoftext|>") }
  for _, id in ipairs(self.stop) do self.stops[id] = true end
  -- apart from the content, as a prompt ends between the two
  for role in pairs(roles) do self.header[role] = tok:encode(role .. "\n") end
  return self
end

return setmetatable(chat, { __call = function(_, tok) return new(tok) end })
