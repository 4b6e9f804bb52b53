--- moonlit inspect DATA: what a model would learn from a file. Conversations or documents of a
--- .jsonl file, or a .txt file as one document: the first as tokens, what is learned of them,
--- lengths, how rows pack, what is not used and why.
---
---   moonlit inspect chats.jsonl --tokenizer run/tokenizer.json --rows 3 --length 256
---
--- On a terminal learned tokens are green and control tokens blue; elsewhere [what is learned]
--- stands in brackets. Text that looks like a control token is written <\|so|>. Documents are
--- learned whole, and shown token|by|token. Of a run that curated: its books (cli/books.lua). With
--- --token, of a run that trained: where one of its tokens comes from (cli/trace.lua).
local argparse = require "argparse"
local books = require "moonlit.cli.books"
local chat = require "moonlit.data.chat"
local fail = require "moonlit.fail"
local harmless = require "moonlit.cli.harmless"
local json = require "moonlit.json"
local must = require "moonlit.must" "inspect"
local trace = require "moonlit.cli.trace"

local inspect = { summary = "what a model would learn from a file" }

-- ---- reading ----

-- { at = "file:line", messages = } or { text = }, or { at =, wrong = why }
local function item_of(line, at)
  local value, err = json.decode(line)
  if value == nil then return { at = at, wrong = err } end
  if type(value) ~= "table" then
    return { at = at, wrong = "expected an object, got " .. type(value) }
  elseif value.messages ~= nil then
    return { at = at, messages = value.messages }
  elseif type(value.text) == "string" then
    return { at = at, text = value.text }
  end
  return { at = at, wrong = 'neither "messages" nor "text"' }
end

local function read(path)
  local file, err = io.open(path, "rb")
  local text = file and file:read "a"
  if file then file:close() end
  if not text then fail("inspect: %s", err or path .. ": cannot be read") end
  local name, items, n = path:match "[^/]*$", {}, 0
  if not path:find "%.jsonl$" then return { { at = name, text = text } } end
  for line in text:gmatch "([^\n]*)\n?" do
    n = n + 1
    if line:find "%S" then items[#items + 1] = item_of(line, name .. ":" .. n) end
  end
  return items
end

-- ---- tokens ----

local function talks(messages)
  for _, m in ipairs(type(messages) == "table" and messages or {}) do
    if type(m) == "table" and m.role == "assistant" then return true end
  end
end

local function render(item, tok, ml_chat)
  if item.messages then
    local ok, err = chat.check(item.messages)
    if ok then return ml_chat():render(item.messages) end
    return nil, (talks(item.messages) and "" or "no token would be learned; ") .. err
  end
  local ok, ids = pcall(tok.encode, tok, item.text)
  if not ok then return nil, ids end
  if #ids == 0 then return nil, "no text" end
  local mask = {}
  for i = 1, #ids do mask[i] = 1 end
  return { ids = ids, mask = mask }
end

-- fills in ids, mask and learned, or wrong
local function tokenize(items, tok)
  local made
  local function ml_chat()
    made = made or chat(tok)
    return made
  end
  for _, item in ipairs(items) do
    if not item.wrong then
      local row, err = render(item, tok, ml_chat)
      if row then
        item.ids, item.mask, item.learned = row.ids, row.mask, 0
        for _, bit in ipairs(row.mask) do item.learned = item.learned + bit end
      else
        item.wrong = err
      end
    end
  end
end

local BLUE, GREEN, PLAIN = "\27[34m", "\27[32m", "\27[0m"

local function is_control(tok, id) return tok.is_special ~= nil and tok:is_special(id) end

-- ids from `first` to `last` are all learned or all not: one stretch
local function stretch(item, first, last, tok, colour)
  local out, text = {}, {}
  local function flush()
    if #text > 0 then
      local s = harmless(tok:decode(text)):gsub("<|", "<\\|")
      out[#out + 1] = colour and item.mask[first] == 1 and GREEN .. s .. PLAIN or s
    end
    text = {}
  end
  for i = first, last do
    local id = item.ids[i]
    if is_control(tok, id) then
      flush()
      local s = tok:decode { id }
      out[#out + 1] = colour and (item.mask[i] == 1 and GREEN or BLUE) .. s .. PLAIN or s
    else
      text[#text + 1] = id
    end
  end
  flush()
  local s = table.concat(out)
  return not colour and item.mask[first] == 1 and "[" .. s .. "]" or s
end

local function conversation(item, tok, colour)
  local out, first = {}, 1
  for i = 1, #item.ids do
    if item.mask[i + 1] ~= item.mask[i] then
      out[#out + 1] = stretch(item, first, i, tok, colour)
      first = i + 1
    end
  end
  return table.concat(out)
end

local SHOWN = 400 -- tokens of a document

local function document(item, tok)
  local out = {}
  for i = 1, math.min(#item.ids, SHOWN) do out[i] = harmless(tok:decode { item.ids[i] }) end
  return table.concat(out, "|") .. (#item.ids > SHOWN and "|..." or "")
end

-- ---- numbers ----

local function lengths(items)
  local n, tokens, learned, longest = {}, 0, 0, items[1]
  for i, item in ipairs(items) do
    n[i] = #item.ids
    tokens, learned = tokens + n[i], learned + item.learned
    if n[i] > #longest.ids then longest = item end
  end
  table.sort(n)
  return { sorted = n, tokens = tokens, learned = learned, longest = longest }
end

-- Best fit, longest first: the fullest row that takes a piece. room[k]: rows with k ids free.
local function pack(sorted, width)
  local room, rows = {}, 0
  local function place(len)
    local free = len
    while free <= width and (room[free] or 0) == 0 do free = free + 1 end
    if free > width then rows, free = rows + 1, width
    else room[free] = room[free] - 1 end
    room[free - len] = (room[free - len] or 0) + 1
  end
  local pieces = {}
  for _, len in ipairs(sorted) do -- a later piece begins on the last id of the one before
    while len > width do
      pieces[#pieces + 1] = width
      len = len - width + 1
    end
    pieces[#pieces + 1] = len
  end
  table.sort(pieces, function(a, b) return a > b end)
  for _, len in ipairs(pieces) do place(len) end
  return rows, #pieces
end

local function percent(a, b) return ("%.1f %%"):format(b > 0 and 100 * a / b or 0) end

local NAMED = 20 -- items of a list

local function listing(say, title, items, why)
  if #items == 0 then return end
  say("%s: %d", title, #items)
  for i = 1, math.min(#items, NAMED) do say("  %s: %s", items[i].at, why(items[i])) end
  if #items > NAMED then say("  and %d more", #items - NAMED) end
end

-- learned tokens behind the first row's end
local function behind(item, width)
  local n = 0
  for i = width + 1, #item.ids do n = n + item.mask[i] end
  return n
end

local function tell_rows(say, items, l, length)
  local width, cut = length + 1, {}
  for _, item in ipairs(items) do
    if #item.ids > width then cut[#cut + 1] = item end
  end
  local rows, pieces = pack(l.sorted, width)
  say("rows of %d: %d, %s filled, %.1f pieces a row", length, rows, percent(l.tokens, rows * width),
      pieces / rows)
  listing(say, ("longer than a row (%d ids), cut"):format(width), cut, function(item)
    local late = behind(item, width)
    return ("%d tokens, %s"):format(#item.ids, late == item.learned
           and "no token is learned in its first row" or late .. " of " .. item.learned ..
           " learned ones come after the cut")
  end)
end

local function tell(say, used, wrong, length)
  if #used > 0 then
    local l = lengths(used)
    local n = l.sorted
    say("tokens: %d, %d learned (%s)", l.tokens, l.learned, percent(l.learned, l.tokens))
    say("lengths: shortest %d, median %d, 9 of 10 up to %d, longest %d (%s)", n[1],
        n[(#n + 1) // 2], n[math.ceil(0.9 * #n)], n[#n], l.longest.at)
    tell_rows(say, used, l, length)
  end
  listing(say, "not used", wrong, function(item) return item.wrong end)
end

--- The report on a file.
--- @param path string
--- @param tok table     a tokenizer
--- @param opt {rows: integer, length: integer, colour: boolean?}  rows: how many are shown
--- @param say fun(format: string, ...)  takes a line
function inspect.report(path, tok, opt, say)
  local items, used, wrong = read(path), {}, {}
  tokenize(items, tok)
  for _, item in ipairs(items) do
    local list = item.wrong and wrong or used
    list[#list + 1] = item
  end
  say("%s: %d of %d used", path, #used, #items)
  for i = 1, math.min(opt.rows, #used) do
    local item = used[i]
    say("\n%s: %d tokens, %d learned\n%s", item.at, #item.ids, item.learned, item.messages
        and conversation(item, tok, opt.colour) or document(item, tok))
  end
  say ""
  tell(say, used, wrong, opt.length)
end

-- ---- the command ----

local function whole(name, least)
  return function(s)
    local n = math.tointeger(tonumber(s))
    if n and n >= least then return n end
    return nil, ("%s must be an integer from %d, got %q"):format(name, least, s)
  end
end

local function parser()
  local p = argparse("moonlit inspect", "Show what a model would learn from a file.")
  p:argument("data", "a .jsonl file of conversations or documents, a .txt file, or a run of curate")
  p:option("--tokenizer", "a tokenizer.json; without it a byte is a token")
  p:option("--rows", "how many to show"):default("3"):convert(whole("--rows", 0))
  p:option("--token", "where this token of a run's data/train.shard comes from")
    :convert(whole("--token", 0))
  p:option("--length", "targets in a row"):default("256"):convert(whole("--length", 1))
  return p
end

-- without merges there are bytes and the control tokens
local function tokenizer(path)
  local text = require "moonlit.text"
  if not path then
    return text.train({ "moonlit" }, { vocab = 256 + #chat.special, special = chat.special })
  end
  return must(text.load(path))
end

--- @param args string[]
function inspect.run(args)
  local o = parser():parse(args)
  local colour = os.execute "test -t 1" == true
  local function say(format, ...) print(format:format(...)) end
  if o.token then return trace.report(o.data, o.token, say) end
  local ledger, err = books.load(o.data)
  if err then fail("inspect: %s", err) end
  if ledger then return books.report(ledger, { rows = o.rows, colour = colour }, say) end
  inspect.report(o.data, tokenizer(o.tokenizer),
                 { rows = o.rows, length = o.length, colour = colour }, say)
end

return inspect
