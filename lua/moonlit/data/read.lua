--- Documents out of files, one at a time, however large a file is.
---
---   for doc in ml.data.read { "crawl.jsonl.gz", "more.jsonl" } do print(doc.id, #doc.text) end
---   for doc in ml.data.read("novel.txt", { split = "blank" }) do ... end
---   for doc in ml.data.read("crawl/*.jsonl.gz", { text = "content" }) do ... end
---   for chat in ml.data.read("chats.jsonl", { field = "messages" }) do ... end
---
--- A directory stands for all such files below it, * and ? for names (moonlit.data.paths).
--- A document is a table { id =, text =, ... }: of .jsonl, the line's object as it is, with an id
--- ("file.jsonl:12") where it has none; of .txt, { id =, text = }. Either may be gzip (.gz), of any
--- number of members. A byte order mark at a file's start is dropped, lines may end in \r\n, and
--- empty lines between objects are passed over; what follows the last gzip member must be another.
---
--- Like io.lines, read raises what is wrong with a file, "data.read: crawl.jsonl:12: expected an
--- object, got a number": when called if one cannot be opened, from the iterator otherwise.
--- Nothing is passed over in silence, and memory stays within the limit whatever a .gz expands to.
local core = require "moonlit.core"
local json = require "moonlit.json"
local options = require "moonlit.options"
local paths_of = require "moonlit.data.paths"

local WHO = "data.read: "

local function fail(...) error(WHO .. string.format(...), 0) end

local function open(path, limit)
  local lines, err = core.data.lines(path, limit)
  if not lines then fail("%s", err) end
  return lines
end

-- the next line and its number; nothing at the end
local function next_line(lines)
  local line, number = lines:next()
  if not line and number then fail("%s", number) end
  return line, number
end

local function got(value)
  if value == nil then return "nothing" end
  return value == json.null and "null" or "a " .. type(value)
end

-- ---- .jsonl ----

local function parse(line, where)
  local doc, err = json.decode(line)
  if doc == nil then
    fail("%s: expected JSON, got %s", where, (err:gsub("^json%.decode: ", "")))
  end
  if type(doc) ~= "table" or getmetatable(doc) then -- arrays carry json's mark
    fail("%s: expected an object, got %s", where,
         type(doc) == "table" and "an array" or got(doc))
  end
  return doc
end

local function check_document(doc, o, where)
  local field = o.text or o.field
  local value, id = doc[field], doc[o.id]
  if value == nil or value == json.null then
    fail("%s: expected a field %q, got %s", where, field,
         value == nil and "an object without one" or "null")
  end
  if (o.text or field == "text") and type(value) ~= "string" then
    fail("%s: expected a string in %q, got %s", where, field, got(value))
  end
  if o.text and o.text ~= "text" then doc.text, doc[field] = value, nil end
  if math.type(id) == "integer" then id = tostring(id) end
  if id == nil or id == json.null then id = where end
  if type(id) ~= "string" then
    fail("%s: expected a string in %q, got %s", where, o.id, got(id))
  end
  doc.id = id
end

local function objects(path, o)
  local lines = open(path, o.limit)
  return function()
    local line, number = next_line(lines)
    while line and (o.only and not o.only(number) or not line:find "%S") do
      line, number = next_line(lines)
    end
    if not line then return lines:free() end
    local where = ("%s:%d"):format(path, number)
    local doc = parse(line, where)
    check_document(doc, o, where)
    return doc
  end
end

-- ---- .txt ----

local function check_utf8(text, path, number)
  local fine, at = utf8.len(text)
  if fine then return text end
  local _, before = text:sub(1, at - 1):gsub("\n", "")
  fail("%s:%d: expected UTF-8, got byte 0x%02X", path, number + before, text:byte(at))
end

local function whole_file(path, o)
  local lines = open(path, o.limit)
  return function()
    if not lines then return nil end
    local text, err = lines:rest()
    if not text then fail("%s", err) end
    lines = lines:free()
    return { id = path, text = check_utf8(text, path, 1) }
  end
end

-- paragraphs: what lies between empty lines, lines joined by \n
local function blocks(path, o)
  local lines = open(path, o.limit)
  return function()
    local line, first = next_line(lines)
    while line and not line:find "%S" do line, first = next_line(lines) end
    if not line then return lines:free() end
    local block, bytes = {}, 0
    while line and line:find "%S" do
      block[#block + 1], bytes = line, bytes + #line + 1
      if bytes > o.limit + 1 then
        fail("%s:%d: expected a block of at most %d bytes, got a longer one", path, first, o.limit)
      end
      line = next_line(lines)
    end
    return { id = ("%s:%d"):format(path, first),
             text = check_utf8(table.concat(block, "\n"), path, first) }
  end
end

-- ---- files ----

local function reader_of(path, o)
  if not paths_of.is_readable(path) then
    fail("%s: expected a name in .jsonl or .txt, or .gz of them", path)
  end
  if path:find "%.jsonl" then return objects end
  return o.split == "blank" and blocks or whole_file
end

-- the files, all of which can be opened
local function check(paths, o)
  local list = {}
  for i, path in ipairs(type(paths) == "table" and paths or { paths }) do
    if type(path) ~= "string" then
      error(("%spath %d must be a string, got %s"):format(WHO, i, type(path)), 3)
    end
    local more, err = paths_of.expand(path)
    if not more then fail("%s", err) end
    table.move(more, 1, #more, #list + 1, list)
  end
  for _, path in ipairs(list) do reader_of(path, o) end
  for _, path in ipairs(list) do open(path, o.limit):free() end
  return list
end

--- @param paths string|string[]
--- @param opt? {field: string?, id: string?, split: string?, limit: integer?,
---        only: (fun(line: integer): boolean)?, text: string?}  field (default
---        "text") must be there, and be a string where it is "text"; id (default "id") names the
---        field of the id, a string or an integer; split = "blank" makes every block between empty
---        lines of a .txt a document; limit, bytes of a line or text, 64 MiB; only says which
---        lines of a .jsonl to look at at all; text, the field that becomes the document's text
--- @return fun(): table|nil
return function(paths, opt)
  local o = options(opt, { field = "text", id = "id", split = options.optional,
                           limit = 64 << 20, only = options.optional,
                           text = options.optional }, "data.read")
  if o.split ~= nil and o.split ~= "blank" then
    error(('%ssplit must be "blank", got "%s"'):format(WHO, tostring(o.split)), 2)
  end
  paths = check(paths, o)
  local at, current = 0, nil
  return function()
    while true do
      local doc = current and current()
      if doc then return doc end
      at = at + 1
      if not paths[at] then
        current = nil
        return nil
      end
      current = reader_of(paths[at], o)(paths[at], o)
    end
  end
end
