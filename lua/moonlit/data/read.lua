--- Documents out of files, one at a time, however large a file is.
---
---   for doc in ml.data.read { "crawl.jsonl.gz", "more.jsonl" } do print(doc.id, #doc.text) end
---   for doc in ml.data.read("novel.txt", { split = "blank" }) do ... end
---   for chat in ml.data.read("chats.jsonl", { field = "messages" }) do ... end
---   for doc in ml.data.read("crawl/*.jsonl.gz", { text = "content", id = "url" }) do ... end
---
--- A document is a table { id =, text =, ... }: of .jsonl, the line's object as it is, with an id
--- ("file.jsonl:12") where it has none; of .txt, { id =, text = }. Either may be gzip (.gz), of any
--- number of members. A byte order mark at a file's start is dropped, lines may end in \r\n, and
--- empty lines between objects are passed over; what follows the last gzip member must be another.
--- A directory stands for all such files below it, * and ? for names (moonlit.data.paths).
---
--- Like io.lines, read raises what is wrong with a file, "data.read: crawl.jsonl:12:7: expected
--- JSON, got ..." (file, line and, where there is one, the byte in it): when called if one cannot
--- be opened, from the iterator otherwise. With wrong = "mark" it goes on instead: what is wrong
--- comes as a document { id = "crawl.jsonl:12", text = what stands there, wrong = "not JSON", why =
--- the message }, which a ledger drops and counts. Of a line beyond the limit the text is its first
--- 1024 bytes; a damaged file is one such document, after those before the damage. Nothing is
--- passed over in silence, and memory stays within the limit whatever a .gz expands to.
local core = require "moonlit.core"
local document = require "moonlit.data.document"
local fail = require "moonlit.fail"
local json = require "moonlit.json"
local options = require "moonlit.options"
local paths_of = require "moonlit.data.paths"

local WHO = "data.read: "

-- ---- what is wrong ----

-- raises it, or makes a document of it
local function wrong(o, where, text, reason, format, ...)
  local why = format:format(...)
  if o.wrong ~= "mark" then fail("%s%s", WHO, why) end
  return document.wrong { id = where, text = text, wrong = reason, why = why }
end

-- the file itself: nothing more can be read of it
local function damaged(o, path, message)
  return wrong(o, path, "", "damaged file", "%s", message)
end

-- what next said is wrong with a line: it is too long, or no more can be read (true)
local function bad_line(o, path, lines, message)
  local bytes, head, number
  if o.wrong == "mark" then bytes, head, number = lines:skip() end
  if not bytes then return damaged(o, path, message), true end
  return wrong(o, ("%s:%d"):format(path, number), head, "too long", "%s, of %d bytes", message,
               bytes)
end

local function got(value)
  if value == nil then return "nothing" end
  return value == json.null and "null" or "a " .. type(value)
end

-- ---- .jsonl ----

local function parse(line, where, o)
  local doc, err = json.decode(line)
  if doc == nil then
    local byte, what = err:match "^json%.decode: line %d+, column %d+, byte (%d+): (.*)$"
    return wrong(o, where, line, "not JSON", "%s:%s: expected JSON, got %s", where, byte or 1,
                 what or err)
  end
  if type(doc) ~= "table" or getmetatable(doc) then -- arrays carry json's mark
    return wrong(o, where, line, "no object", "%s: expected an object, got %s", where,
                 type(doc) == "table" and "an array" or got(doc))
  end
  return doc
end

-- what is wrong with a document, and its kind; its text and id are filled in
local function fault(doc, o, where)
  local field = o.text or o.field
  local value, id = doc[field], doc[o.id]
  if value == nil or value == json.null then
    return "no " .. field, ("expected a field %q, got %s"):format(field,
      value == nil and "an object without one" or "null")
  end
  if (o.text or field == "text") and type(value) ~= "string" then
    return "no text", ("expected a string in %q, got %s"):format(field, got(value))
  end
  if math.type(id) == "integer" then id = tostring(id) end
  if id == nil or id == json.null then id = where end
  if type(id) ~= "string" then
    return "no id", ("expected a string in %q, got %s"):format(o.id, got(id))
  end
  if o.text and o.text ~= "text" then doc.text, doc[field] = value, nil end
  doc.id = id
  if o.origin and type(doc.origin) ~= "string" then doc.origin = where end
end

local function object(line, where, o)
  local doc = parse(line, where, o)
  if document.is_wrong(doc) then return doc end
  local reason, what = fault(doc, o, where)
  if reason then return wrong(o, where, line, reason, "%s: %s", where, what) end
  return doc
end

-- the next line to look at, its number; what is wrong instead: nil, message, number
local function next_line(lines, o, last)
  while true do
    local line, number, code = lines:next()
    if not line then return nil, code and number, last + 1 end
    if (not o.only or o.only(number)) and line:find "%S" then return line, number end
    last = number
  end
end

local function objects(path, o, lines)
  local over, last = false, 0
  return function()
    while not over do
      local line, number, at = next_line(lines, o, last)
      last = line and number or at
      if line then return object(line, ("%s:%d"):format(path, number), o) end
      local doc
      over = true
      if number then doc, over = bad_line(o, path, lines, number) end
      if over then lines:free() end
      if doc and (not o.only or o.only(last)) then return doc end
    end
  end
end

-- ---- .txt ----

-- a document of a text that begins in line `number`
local function text_document(text, id, path, number, o)
  local fine, at = utf8.len(text)
  if fine then return { id = id, text = text, origin = o.origin and id or nil } end
  local _, before = text:sub(1, at - 1):gsub("\n", "")
  local column = at - (text:sub(1, at - 1):find "[^\n]*$") + 1
  return wrong(o, id, text, "not UTF-8", "%s:%d:%d: expected UTF-8, got byte 0x%02X", path,
               number + before, column, text:byte(at))
end

local function whole_file(path, o, lines)
  return function()
    if not lines then return nil end
    local text, err = lines:rest()
    local from = lines
    lines = nil
    if not text then return bad_line(o, path, from, err), from:free() end
    from:free()
    return text_document(text, path, path, 1, o)
  end
end

-- paragraphs: what lies between empty lines, lines joined by \n
local function blocks(path, o, lines)
  local over, waiting = false, nil -- a wrong line that ended the block before it
  return function()
    if waiting or over then
      local doc = waiting
      waiting = nil
      return doc
    end
    local line, first, code = lines:next()
    while line and not line:find "%S" do line, first, code = lines:next() end
    local block, bytes, number = {}, 0, first
    while line and line:find "%S" do
      bytes = bytes + #line + 1
      if bytes <= o.limit + 1 then block[#block + 1] = line end
      line, number, code = lines:next()
    end
    if not line then
      over = true
      if code then waiting, over = bad_line(o, path, lines, number) end
      if over then lines:free() end
    end
    local id, text = ("%s:%s"):format(path, first), table.concat(block, "\n")
    if bytes > o.limit + 1 then
      return wrong(o, id, text:sub(1, 1024), "too long",
                   "%s: expected a block of at most %d bytes, got a longer one", id, o.limit)
    elseif #block > 0 then
      return text_document(text, id, path, first, o)
    end
    local doc = waiting
    waiting = nil
    return doc
  end
end

-- ---- files ----

local function reader_of(path, o)
  if not paths_of.is_readable(path) then
    fail("%s%s: expected a name in .jsonl or .txt, or .gz of them", WHO, path)
  end
  if path:find "%.jsonl" then return objects end
  return o.split == "blank" and blocks or whole_file
end

-- a file's documents; of one that cannot be opened, one that says so
local function open(path, o)
  local read = reader_of(path, o)
  local lines, err = core.data.lines(path, o.limit)
  if lines then return read(path, o, lines) end
  local doc = (read ~= objects or not o.only or o.only(1)) and damaged(o, path, err) or nil
  return function()
    local it = doc
    doc = nil
    return it
  end
end

-- the files; all can be opened, unless what is wrong is marked
local function check(given, o)
  local list = {}
  for i, path in ipairs(type(given) == "table" and given or { given }) do
    if type(path) ~= "string" then
      error(("%spath %d must be a string, got %s"):format(WHO, i, type(path)), 3)
    end
    local more, err = paths_of.expand(path)
    if not more then fail("%s%s", WHO, err) end
    table.move(more, 1, #more, #list + 1, list)
  end
  for _, path in ipairs(list) do reader_of(path, o) end
  for _, path in ipairs(list) do
    local lines, err = core.data.lines(path, o.limit)
    if lines then lines:free() else damaged(o, path, err) end
  end
  return list
end

--- @param given string|string[]  files, directories, patterns
--- @param opt? {field: string?, id: string?, split: string?, limit: integer?,
---        only: (fun(line: integer): boolean)?, text: string?, wrong: string?, origin: boolean?}
---        field (default "text") must be there, and be a string where it is "text"; id (default
---        "id") names the field of the id, a string or an integer; split = "blank" makes every
---        block between empty lines of a .txt a document; limit, bytes of a line or text, 64 MiB;
---        only says which lines of a .jsonl to look at at all; text, the field that becomes the
---        document's text; wrong = "mark" makes a document of what would be raised ("raise");
---        origin = true gives each document a field origin, "file:line", unless it has one
--- @return fun(): table|nil
return function(given, opt)
  local o = options(opt, { field = "text", id = "id", split = options.optional,
                           limit = 64 << 20, only = options.optional, text = options.optional,
                           wrong = "raise", origin = false }, "data.read")
  if o.split ~= nil and o.split ~= "blank" then
    error(('%ssplit must be "blank", got "%s"'):format(WHO, tostring(o.split)), 2)
  elseif o.wrong ~= "raise" and o.wrong ~= "mark" then
    error(('%swrong must be "raise" or "mark", got "%s"'):format(WHO, tostring(o.wrong)), 2)
  end
  local list, at, current = check(given, o), 0, nil
  return function()
    while true do
      local doc = current and current()
      if doc then return doc end
      at = at + 1
      if not list[at] then
        current = nil
        return nil
      end
      current = open(list[at], o)
    end
  end
end
