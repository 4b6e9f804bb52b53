--- A model and its tokenizer for the specs of commands: a token is a byte or one of the chat's
--- specials; the model says what it was told to, in chat or as plain text.
local json = require "moonlit.json"

local fake = {}

local SPECIAL = { "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>" }

--- @param talks boolean  whether it has the specials
function fake.tokenizer(talks)
  local tok, ids = {}, {}
  for i, name in ipairs(talks and SPECIAL or {}) do ids[name] = 255 + i end
  function tok.id(_, name) return ids[name] end
  function tok.is_special(_, id) return id > 255 end
  function tok.size() return 256 + #SPECIAL end
  function tok.encode(_, s) return { s:byte(1, -1) } end
  function tok.decode(_, list)
    local out = {}
    for i, id in ipairs(list) do out[i] = id > 255 and SPECIAL[id - 255] or string.char(id) end
    return table.concat(out)
  end
  -- a byte of a wide character waits for the others
  function tok.decoder()
    local held = ""
    return function(id)
      if not id then return held end
      held = held .. (id > 255 and SPECIAL[id - 255] or string.char(id))
      if not utf8.len(held) and #held < 4 then return "" end
      local piece = held
      held = ""
      return piece
    end
  end
  return tok
end

-- ids of a text with specials in it
local function ids_of(tok, text)
  local out = {}
  while #text > 0 do
    local name
    for _, special in ipairs(SPECIAL) do
      if text:sub(1, #special) == special and tok:id(special) then name = special end
    end
    out[#out + 1] = name and tok:id(name) or text:byte()
    text = text:sub(#(name or "x") + 1)
  end
  return out
end

--- @param tok table
--- @param replies string[]  what it says, turn by turn
--- @return table model      model.asked: each turn's prompt as text, and its options
function fake.model(tok, replies, context)
  local model = { options = { context = context or 1000 }, asked = {} }
  function model.stream(_, prompt, opt)
    local turn = #model.asked + 1
    model.asked[turn] = { text = tok:decode(prompt), opt = opt }
    local list, i = ids_of(tok, replies[turn] or "?"), 0
    return function()
      i = i + 1
      if model.before then model.before(turn, i) end
      if not list[i] or i > opt.tokens then return nil end
      return false, list[i], 0.0
    end
  end
  return model
end

--- A chat as ml.data.chat makes one, as far as a dialogue needs it.
function fake.chat(tok)
  local chat = { stop = { tok:id "<|im_end|>", tok:id "<|endoftext|>" } }
  function chat.prompt(_, messages)
    local out = {}
    for i, m in ipairs(messages) do out[i] = m.role .. ":" .. (m.content or "") .. "|" end
    return { (table.concat(out) .. "assistant:"):byte(1, -1) }
  end
  function chat.parse(_, ids)
    local text = tok:decode(ids)
    local body = text:match "<tool_call>(.*)</tool_call>"
    local call = body and json.decode(body)
    local plain = text:gsub("<|im_end|>.*", "")
    if call then return { role = "assistant", tool_calls = { call } }, true end
    return { role = "assistant", content = plain }, text:find("<|im_end|>", 1, true) ~= nil
  end
  return chat
end

return fake
