--- A conversation with a model as it streams: turns, tools, what fits the context. No terminal in
--- here; `write` gets what to show, safe to show anywhere.
---
---   local d = dialogue { model = m, tok = tok, chat = ml.data.chat(tok), write = io.write }
---   d:say "What is 12 + 30?"
---
--- Without a chat each text is continued by itself, as a base model does.
local core = require "moonlit.core"
local options = require "moonlit.options"
local printable = require "moonlit.text.printable"

local ROUNDS = 4   -- turns of the assistant for one of the user, when it calls tools
local ROOM = 4     -- a part of the context, one in so many, is kept free for the reply

local Dialogue = {}
Dialogue.__index = Dialogue

local defaults = { model = options.required, tok = options.required, chat = options.optional,
                   write = options.required, tools = {}, temperature = 0.7, seed = 0,
                   tokens = 256 }

--- Forget all but the system message.
function Dialogue:reset()
  self.messages, self.turn = {}, 0
  if self.system then self.messages[1] = { role = "system", content = self.system } end
end

--- Begin anew with a system message, or without one.
function Dialogue:instruct(text)
  self.system = text ~= "" and text or nil
  self:reset()
end

-- ---- one turn of the model ----

-- never half a character; where tokens are whole characters there may be no decoder
local function decoder_of(tok)
  if tok.decoder then return tok:decoder() end
  return function(id) return id and tok:decode { id } or "" end
end

-- shows what an id adds; the text of a call is for the tool
local function shower(self)
  local tok, decode, inside = self.tok, decoder_of(self.tok), false
  local call, call_end = self.chat and tok:id "<tool_call>", self.chat and tok:id "</tool_call>"
  return function(id)
    if id ~= nil and id == call then inside = true end
    local hidden = inside or id and tok.is_special and tok:is_special(id)
    if id ~= nil and id == call_end then inside = false end
    if not hidden then self.write(printable(decode(id))) end
  end
end

-- the ids of a reply, and the signal that ended it, if one did
local function stream(self, ids)
  local show, said, signal = shower(self), {}, nil
  local opt = { tokens = self.tokens, temperature = self.temperature, seed = self.seed,
                rollout = self.turn, stop = self.stop }
  for _, id in self.model:stream(ids, opt) do
    said[#said + 1] = id
    show(id)
    signal = core.sys.signal()
    if signal then break end
  end
  show(nil)
  return said, signal
end

-- Ctrl-C while the model speaks only ends its turn
local function listening(fn, ...)
  core.sys.signal_clear()
  core.sys.signals(true)
  local result = table.pack(pcall(fn, ...))
  core.sys.signals(false)
  core.sys.signal_clear()
  if not result[1] then error(result[2], 0) end
  return table.unpack(result, 2, result.n)
end

-- ---- conversations ----

-- The messages that fit, the oldest turns left out, and their ids; nil if the last turn alone is
-- too long.
local function fitting(self)
  local context, first = self.model.options.context, self.system and 2 or 1
  local kept = table.move(self.messages, 1, #self.messages, 1, {})
  while true do
    local ids = self.chat:prompt(kept)
    if #ids + context // ROOM <= context then return kept, ids end
    -- up to the next user's message, where a conversation can begin
    local upto = first + 1
    while kept[upto] and kept[upto].role ~= "user" do upto = upto + 1 end
    if not kept[upto] then
      if #ids < context then return kept, ids end
      return nil
    end
    for _ = first, upto - 1 do table.remove(kept, first) end
  end
end

local function run_tool(self, call)
  local tool = self.tools[call.name]
  local expression = type(call.arguments) == "table" and call.arguments.expression
  local result = tool and tostring(tool(call.arguments)) or "error: no tool of that name"
  self.write(printable(("[%s %s = %s]\n"):format(call.name, tostring(expression or "?"), result)))
  self.messages[#self.messages + 1] = { role = "tool", content = result }
end

-- one turn of the assistant; whether it called tools (nil and why: it had no turn), and the signal
local function answer(self)
  local kept, ids = fitting(self)
  if not kept then return nil, "that is more than the model's context holds" end
  if #kept < #self.messages then
    self.write(("[%d old messages no longer fit the context]\n"):format(#self.messages - #kept))
  end
  self.messages = kept
  local said, signal = stream(self, ids)
  self.write("\n")
  local message = self.chat:parse(said)
  if not message.tool_calls and (message.content or "") == "" then
    self.write("[no words]\n")
    return false, nil, signal
  end
  self.messages[#self.messages + 1] = message
  for _, call in ipairs(message.tool_calls or {}) do run_tool(self, call) end
  return message.tool_calls ~= nil, nil, signal
end

local function converse(self, text)
  local asked = { role = "user", content = text }
  self.messages[#self.messages + 1] = asked
  for _ = 1, ROUNDS do
    local calls, err, signal = answer(self)
    -- nothing was said: as if nothing had been asked
    if self.messages[#self.messages] == asked then table.remove(self.messages) end
    if calls == nil then return nil, err end
    if signal or not calls then return true, nil, signal end
  end
  return true
end

-- ---- plain text ----

local function continue(self, text)
  local ok, ids = pcall(self.tok.encode, self.tok, text)
  if not ok then return nil, tostring(ids):gsub("^.-encode: ", "") end
  if self.start then table.insert(ids, 1, self.start) end
  if #ids >= self.model.options.context then
    return nil, "that is more than the model's context holds"
  end
  self.write(printable(text))
  local said, signal = stream(self, ids)
  self.write("\n")
  self.messages[#self.messages + 1] = { role = "user", content = text }
  self.messages[#self.messages + 1] = { role = "assistant", content = self.tok:decode(said) }
  return true, nil, signal
end

--- What the user says; the reply goes to write.
--- @return boolean|nil, string? message, integer? signal  nil and why when there is no reply
function Dialogue:say(text)
  self.turn = self.turn + 1
  return listening(self.chat and converse or continue, self, text)
end

--- @param opt table  model, tok, chat (or nil), write(text), tools (name -> function(arguments)),
---   temperature (0.7), seed (0), tokens (256: of a reply, at most)
return function(opt)
  local self = setmetatable(options(opt, defaults, "dialogue"), Dialogue)
  self.start = self.tok.id and self.tok:id "<|endoftext|>"
  self.stop = self.chat and self.chat.stop or { self.start }
  self:reset()
  return self
end
