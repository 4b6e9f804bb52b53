--- Characters as a tokenizer: an id is a character's place among those of a text, sorted by code
--- point, from 0. A byte that is not UTF-8 is a token of its own, after the characters.
---
---   local tok = assert(ml.text.chars "input.txt")
---   tok:decode(tok:encode "moon") == "moon"
local json = require "moonlit.json"
local options = require "moonlit.options"
local tensor = require "moonlit.tensor"

local chars = { KIND = "moonlit.chars" }

local Chars = {}
Chars.__index = Chars
Chars.__name = "moonlit.Chars"

-- one token after another; the hot path is plain ASCII, where a byte is a character
local function each_token(s, emit)
  local i, n = 1, #s
  while i <= n do
    local bad = select(2, utf8.len(s, i)) -- the first byte that is no character, or nil
    local stop = (bad or n + 1) - 1
    if stop >= i then
      for _, c in utf8.codes(s:sub(i, stop)) do emit(c) end
    end
    if bad then emit(-s:byte(bad) - 1) end -- invalid bytes are negative codes
    i = stop + (bad and 2 or 1)
  end
end

-- codes: characters ascending, then bytes; id of codes[i] is i - 1
local function build(codes)
  table.sort(codes, function(a, b)
    if (a < 0) ~= (b < 0) then return b < 0 end
    if a < 0 then return a > b end
    return a < b
  end)
  local self = setmetatable({ codes = codes, ids = {}, strings = {} }, Chars)
  for i, c in ipairs(codes) do
    self.ids[c] = i - 1
    self.strings[i - 1] = c < 0 and string.char(-c - 1) or utf8.char(c)
  end
  return self
end

local function read_file(path, who)
  local file, err = io.open(path, "rb")
  if not file then return nil, who .. ": " .. err, "io" end
  local s = file:read("a")
  file:close()
  if not s then return nil, who .. ": " .. path .. ": cannot be read", "io" end
  return s
end

--- The characters of a text.
--- @param source string|{text: string}  a path, or the text itself
--- @return Chars|nil, string? message, string? code
function chars.new(source)
  local s, err, code
  if type(source) == "string" then
    s, err, code = read_file(source, "text.chars")
    if not s then return nil, err, code end
  elseif type(source) == "table" then
    s = options(source, { text = options.required }, "text.chars").text
  else
    error("text.chars: expected a path or { text = }, got " .. type(source), 2)
  end
  if #s == 0 then
    return nil, ("text.chars: %s is empty"):format(type(source) == "string" and source or "text"),
           "format"
  end
  local seen, codes = {}, {}
  each_token(s, function(c)
    if not seen[c] then
      seen[c] = true
      codes[#codes + 1] = c
    end
  end)
  return build(codes)
end

--- A tokenizer from what Chars:save wrote; nil and what is wrong with it.
--- @param t table
function chars.of(t)
  local fine = type(t.chars) == "table" and type(t.bytes) == "table"
  local codes = {}
  for _, c in ipairs(fine and t.chars or {}) do
    fine = fine and math.type(c) == "integer" and c >= 0 and c <= 0x10FFFF
    codes[#codes + 1] = c
  end
  for _, b in ipairs(fine and t.bytes or {}) do
    fine = fine and math.type(b) == "integer" and b >= 0 and b <= 255
    codes[#codes + 1] = fine and -b - 1
  end
  if fine and #codes > 0 then return build(codes) end
  return nil, ('expected "type": "%s" with its characters'):format(chars.KIND)
end

--- How many ids there are: 0 to size() - 1.
function Chars:size() return #self.codes end

-- ids of a string; nil and a message at the first character outside the vocabulary
local function ids_of(self, s)
  local ids, map, n, strange = {}, self.ids, 0, nil
  each_token(s, function(c)
    n = n + 1
    ids[n] = map[c]
    if not map[c] then strange = strange or { code = c, at = n } end
  end)
  if not strange then return ids end
  local c = strange.code
  return nil, (c < 0 and "byte 0x%02X" or "character U+%04X"):format(c < 0 and -c - 1 or c)
    .. (" (number %d of the text) is not in the vocabulary"):format(strange.at)
end

--- @param s string
--- @return integer[] ids, from 0
function Chars:encode(s)
  if type(s) ~= "string" then error("encode: expected a string, got " .. type(s), 2) end
  local ids, err = ids_of(self, s)
  if not ids then error("encode: " .. err, 2) end
  return ids
end

--- A whole file as an i64 tensor of ids; nil, message, code if it cannot be read.
function Chars:encode_file(path)
  local s, err, code = read_file(path, "encode_file")
  if not s then return nil, err, code end
  local ids
  ids, err = ids_of(self, s)
  if not ids then return nil, ("encode_file: %s: %s"):format(path, err), "format" end
  return tensor.tensor(ids, { dtype = "i64" })
end

--- @param ids integer[]|Tensor|integer
--- @return string
function Chars:decode(ids)
  if type(ids) == "number" then ids = { ids } end
  if type(ids) == "userdata" then ids = ids:table() end
  local out = {}
  for i, id in ipairs(ids) do
    out[i] = self.strings[id]
    if not out[i] then
      error(("decode: id %s is outside 0..%d"):format(tostring(id), self:size() - 1), 2)
    end
  end
  return table.concat(out)
end

--- Many texts; a list of what encode gives.
function Chars:encode_all(texts)
  local lists = {}
  for i, s in ipairs(texts) do lists[i] = self:encode(s) end
  return lists
end

--- The id of a character, nil if it is not in the vocabulary.
function Chars:id(char)
  local ids = ids_of(self, char)
  return ids and #ids == 1 and ids[1] or nil
end

--- The bytes of an id's character.
function Chars:bytes(id) return self:decode { id } end

--- Characters have no special tokens.
function Chars.is_special() return false end

--- Write the tokenizer to a file (JSON); true, or nil, message, code.
function Chars:save(path)
  local points, bytes = json.array {}, json.array {}
  for _, c in ipairs(self.codes) do
    if c < 0 then bytes[#bytes + 1] = -c - 1 else points[#points + 1] = c end
  end
  return json.save(path, { type = chars.KIND, chars = points, bytes = bytes }, { pretty = false })
end

return chars
