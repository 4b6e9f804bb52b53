--- Preferences: of two replies the better one, as ids and masks.
---
---   local rows, counts = assert(ml.rl.pairs(records, chat))
---   rows[1].chosen.ids, rows[1].chosen.mask, rows[1].rejected.ids
---
--- A record has chosen and rejected, and prompt or not:
---   { prompt = "text", chosen = "reply", rejected = "reply" }
---   { prompt = messages, chosen = reply or messages, rejected = ... }
---   { chosen = messages, rejected = messages }        -- what both begin with is the prompt
---   { chosen = "\n\nHuman: ... \n\nAssistant: ...", rejected = ... }            -- the same
---
--- Only replies are learned. Pairs with an empty reply or with equal ones, and those longer than
--- `length`, are refused and counted; what is no pair at all is an error that names it.
local chat_check = require("moonlit.data.chat").check
local options = require "moonlit.options"

local WHO = "rl.pairs"

local roles = { Human = "user", Assistant = "assistant" }

-- ---- transcripts ----

-- the next "\n\nHuman:" or "\n\nAssistant:" at or after `from`: where it begins, ends, who
local function next_speaker(text, from)
  local first, last, who
  for name in pairs(roles) do
    local a, b = text:find("\n\n" .. name .. ":", from, true)
    if a and (not first or a < first) then first, last, who = a, b, name end
  end
  return first, last, who
end

local function trim(s) return (s:gsub("^%s+", ""):gsub("%s+$", "")) end

-- "\n\nHuman: hi\n\nAssistant: ho" -> messages; turns of one speaker in a row become one
local function parse_transcript(text)
  local from, last, who = next_speaker(text, 1)
  if not from or text:sub(1, from - 1):find "%S" then
    return nil, 'a transcript begins with "\\n\\nHuman:" or "\\n\\nAssistant:"'
  end
  local messages = {}
  while from do
    local first, next_last, next_who = next_speaker(text, last + 1)
    local said, before = trim(text:sub(last + 1, (first or 0) - 1)), messages[#messages]
    if before and before.role == roles[who] then
      before.content = trim(before.content .. "\n\n" .. said)
    else
      messages[#messages + 1] = { role = roles[who], content = said }
    end
    from, last, who = first, next_last, next_who
  end
  return messages
end

-- ---- a record as prompt, chosen, rejected: lists of messages ----

local function is_transcript(v) return type(v) == "string" and v:find("^%s*\n\n%u%l+:") ~= nil end

local function as_messages(v, role)
  if is_transcript(v) then return parse_transcript(v) end
  if type(v) == "string" then return { { role = role, content = v } } end
  if type(v) == "table" and v.role then return { v } end
  if type(v) == "table" and type(v[1]) == "table" then return v end
  return nil, ("expected text or messages, got %s"):format(type(v))
end

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for k, v in pairs(a) do if not same(v, b[k]) then return false end end
  for k in pairs(b) do if a[k] == nil then return false end end
  return true
end

-- how many messages two conversations begin with alike; the last is always the reply
local function common(a, b)
  local n = 0
  while n < math.min(#a, #b) - 1 and same(a[n + 1], b[n + 1]) do n = n + 1 end
  return n
end

local function join(prompt, reply)
  local all = table.move(prompt, 1, #prompt, 1, {})
  return table.move(reply, 1, #reply, #all + 1, all)
end

-- two whole conversations and how many messages they share
local function sides(record)
  local prompt, err = {}, nil
  if record.prompt ~= nil then prompt, err = as_messages(record.prompt, "user") end
  if not prompt then return nil, "prompt: " .. err end
  local out = {}
  for i, name in ipairs { "chosen", "rejected" } do
    local reply
    reply, err = as_messages(record[name], "assistant")
    if not reply then return nil, name .. ": " .. err end
    out[i] = join(prompt, reply)
  end
  return out[1], out[2], common(out[1], out[2])
end

-- ---- judging ----

-- the assistant's last turn says nothing
local function is_empty(messages)
  local m = messages[#messages]
  local calls = type(m) == "table" and m.tool_calls
  return type(m) == "table" and m.role == "assistant"
         and (type(m.content) ~= "string" or not m.content:find "%S")
         and not (type(calls) == "table" and #calls > 0)
end

local function check_side(name, messages, from)
  if #messages <= from then return nil, name .. ": no reply" end
  local ok, err = chat_check(messages)
  if not ok then return nil, name .. ": " .. err end
  return true
end

-- a row, or false and why it is refused, or nil and what is wrong
local function read_pair(record, chat, o)
  if type(record) ~= "table" then return nil, "expected a table, got " .. type(record) end
  local chosen, rejected, shared = sides(record)
  if not chosen then return nil, rejected end
  if is_empty(chosen) or is_empty(rejected) then return false, "empty" end
  for _, side in ipairs { { "chosen", chosen }, { "rejected", rejected } } do
    local ok, err = check_side(side[1], side[2], shared)
    if not ok then return nil, err end
  end
  if same(chosen, rejected) then return false, "identical" end
  local row = { id = record.id, kind = record.kind,
                chosen = chat:render(chosen, { from = shared + 1 }),
                rejected = chat:render(rejected, { from = shared + 1 }) }
  if o.length > 0 and math.max(#row.chosen.ids, #row.rejected.ids) > o.length then
    return false, "long"
  end
  return row
end

--- @param records function|table[]  an iterator or a list
--- @param chat Chat      ml.data.chat of the model's tokenizer
--- @param opt? {length: integer?}  ids a side may have at most; 0, the default, is any
--- @return {chosen: table, rejected: table, id: string?, kind: any}[]|nil rows, table|string counts
---   counts: { pairs (read), kept, identical, empty, long }; nil, message, "format" for what is no
---   pair
return function(records, chat, opt)
  local o = options(opt, { length = 0 }, WHO)
  if type(records) ~= "function" and type(records) ~= "table" then
    error(WHO .. ": expected an iterator or a list of pairs, got " .. type(records), 2)
  elseif type(chat) ~= "table" or not chat.render then
    error(WHO .. ": expected a chat (ml.data.chat), got " .. type(chat), 2)
  end
  local rows, counts, n = {}, { pairs = 0, kept = 0, identical = 0, empty = 0, long = 0 }, 0
  while true do
    n = n + 1
    local record
    if type(records) == "function" then record = records() else record = records[n] end
    if record == nil then break end
    local row, why = read_pair(record, chat, o)
    if row == nil then
      local id = type(record) == "table" and record.id
      return nil, ("%s: %s: %s"):format(WHO, id or "pair " .. n, why), "format"
    elseif row then rows[#rows + 1] = row
    else counts[why] = counts[why] + 1 end
    counts.pairs = n
  end
  counts.kept = #rows
  return rows, counts
end
