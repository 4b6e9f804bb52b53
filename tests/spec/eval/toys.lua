-- What the eval specs share: a tokenizer of bytes and pairs, a chat for it, models that recite.
local toys = {}

local Bytes = {}
Bytes.__index = Bytes

-- ids 0..255 are bytes, 256 is "th", 257 " t", 258 <|endoftext|>, 259 end of turn
local pieces = { [256] = "th", [257] = " t" }

function Bytes.encode(_, s)
  local ids, i = {}, 1
  while i <= #s do
    local two = s:sub(i, i + 1)
    local id = two == "th" and 256 or two == " t" and 257 or s:byte(i)
    ids[#ids + 1] = id
    i = i + #(pieces[id] or " ")
  end
  return ids
end
function Bytes.bytes(_, id) return id > 257 and "" or pieces[id] or string.char(id) end
function Bytes:size() return self.count end
function Bytes:id(text) return self.start and text == "<|endoftext|>" and 258 or nil end
function Bytes:decode(ids)
  local out = {}
  for i, id in ipairs(ids) do out[i] = self:bytes(id) end
  return table.concat(out)
end

--- A tokenizer with 260 ids; start: has it <|endoftext|>?
function toys.tokenizer(start)
  return setmetatable({ count = 260, start = start }, Bytes)
end

--- chat:render, prompt and parse over the tokenizer: contents with an end of turn after each.
function toys.chat()
  local tok = toys.tokenizer(true)
  local chat = { stop = { 259 } }
  function chat.prompt(_, messages)
    local ids = {}
    for _, m in ipairs(messages) do
      for _, id in ipairs(tok:encode(m.content)) do ids[#ids + 1] = id end
      ids[#ids + 1] = 259
    end
    return ids
  end
  function chat:render(messages) return { ids = self:prompt(messages) } end
  function chat.parse(_, ids)
    local stopped = ids[#ids] == 259
    return { role = "assistant", content = tok:decode(ids) }, stopped
  end
  return chat
end

--- A model for ml.eval.run: reply(messages) gives text, or a list of new messages; stopped unless
--- it ends in "...". Keeps the conversations it was asked in `asked`.
function toys.reciter(reply)
  return { asked = {}, converse = function(self, _, conversations, opt)
    local out = {}
    self.opt = opt
    for i, messages in ipairs(conversations) do
      self.asked[#self.asked + 1] = table.move(messages, 1, #messages, 1, {})
      local said = reply(messages)
      if type(said) == "string" then said = { { role = "assistant", content = said } } end
      local last = said[#said] and said[#said].content or ""
      out[i] = { messages = said, stopped = last:sub(-3) ~= "..." }
    end
    return out
  end }
end

function toys.user(content) return { role = "user", content = content } end
function toys.assistant(content) return { role = "assistant", content = content } end

return toys
