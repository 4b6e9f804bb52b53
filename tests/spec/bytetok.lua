--- A tokenizer small enough to see through: a byte is its own id, the special tokens follow.
local ml = require "moonlit"

local Bytes = {}
Bytes.__index = Bytes

function Bytes.encode(_, s, opt)
  assert(not (opt and opt.special), "a chat never asks for special tokens in text")
  return { s:byte(1, -1) }
end

function Bytes:decode(ids, opt)
  local out = {}
  for i, id in ipairs(ids) do
    local hide = opt and opt.special == false
    out[i] = id < 256 and string.char(id) or (hide and "" or self.special[id - 255])
  end
  return table.concat(out)
end

function Bytes:decoder()
  local held = ""
  return function(id)
    held = held .. (id and self:decode { id } or "")
    local good = id and select(2, utf8.len(held)) or #held + 1
    local out = held:sub(1, good - 1)
    held = held:sub(good)
    return out
  end
end

function Bytes:id(text)
  for i, name in ipairs(self.special) do
    if name == text then return 255 + i end
  end
  return #text == 1 and text:byte() or nil
end

function Bytes:size() return 256 + #self.special end
function Bytes.is_special(_, id) return id > 255 end
function Bytes.bytes(_, id) return id < 256 and string.char(id) or "" end

return function(special)
  return setmetatable({ special = special or ml.data.chat.special }, Bytes)
end
