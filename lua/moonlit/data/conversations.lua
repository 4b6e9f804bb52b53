--- Conversations of a file: lines that hold messages, or a prompt and a reply in two fields.
---
---   for c in ml.data.conversations("chats.jsonl", "train") do print(#c.messages) end
---   ml.data.conversations("gsm8k.jsonl", "valid", { prompt = "question", reply = "answer" })
---
--- Each 50th line is "valid", the others "train". What is no conversation is an error that names
--- the file and the line.
local chat = require "moonlit.data.chat"
local fail = require "moonlit.fail"
local open = require "moonlit.data.open"
local options = require "moonlit.options"

local WHO = "data.conversations"

local function text_of(doc, name)
  local text = doc[name]
  if type(text) == "string" and text ~= "" then return text end
  error(('%s: %s: expected text in the field "%s", got %s'):format(WHO, doc.id, name,
        text == "" and "none" or type(text)), 0)
end

local function messages_of(doc, o)
  if o.prompt == "" then return doc.messages end
  return { { role = "user", content = text_of(doc, o.prompt) },
           { role = "assistant", content = text_of(doc, o.reply) } }
end

--- @param path string
--- @param part string  "train" or "valid"
--- @param opt? {prompt: string?, reply: string?, held: integer?}  names of the two fields; without
---        them a line's field "messages" is taken
--- @return function|nil iterator of { id =, messages = }, string? message, string? code
return function(path, part, opt)
  local o = options(opt, { prompt = "", reply = "", held = 50 }, WHO)
  if (o.prompt == "") ~= (o.reply == "") then
    error(WHO .. ": prompt and reply come together", 2)
  end
  local field = o.prompt ~= "" and o.prompt or "messages"
  local docs, err, code = open(path, part, { held = o.held, field = field })
  if not docs then return nil, err, code end
  return function()
    local doc = docs()
    if not doc then return nil end
    local messages = messages_of(doc, o)
    local ok, wrong = chat.check(messages)
    if not ok then fail("%s: %s: %s", WHO, doc.id, wrong) end
    return { id = doc.id, messages = messages }
  end
end
