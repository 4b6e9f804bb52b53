--- tiktoken's files: a token in base64 and its rank on every line. What they do not say, the
--- pattern and the special tokens, is known for the sizes that are published, else it must be told.
---
---   local tok = ml.must(ml.text.load "cl100k_base.tiktoken")
local bpe = require "moonlit.text.bpe"
local patterns = require "moonlit.text.patterns"
local wrong = require "moonlit.text.wrong"

local tiktoken = {}

-- by the number of lines
local known = {
  [50256] = { pattern = "gpt-2", special = { ["<|endoftext|>"] = 50256 } },
  [50280] = { pattern = "gpt-2", special = { ["<|endoftext|>"] = 50256 } },
  [100256] = { pattern = "gpt-4", special = {
    ["<|endoftext|>"] = 100257, ["<|fim_prefix|>"] = 100258, ["<|fim_middle|>"] = 100259,
    ["<|fim_suffix|>"] = 100260, ["<|endofprompt|>"] = 100276 } },
  [199998] = { pattern = "gpt-4o", special = {
    ["<|endoftext|>"] = 199999, ["<|endofprompt|>"] = 200018 } },
}

local value = {}
for i = 0, 63 do
  value[("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"):byte(i + 1)] = i
end

-- the bytes of a base64 text; nil if it is none
local function decode(s)
  local out = {}
  for a, b, c, d in s:gmatch "(.)(.)(.)(.)" do
    local x, y = value[a:byte()], value[b:byte()]
    local z, w = value[c:byte()], value[d:byte()]
    if not (x and y and (z or c == "=") and (w or d == "=")) then return nil end
    local v = x << 18 | y << 12 | (z or 0) << 6 | (w or 0)
    out[#out + 1] = string.char(v >> 16, v >> 8 & 255, v & 255):sub(1, z and (w and 3 or 2) or 1)
  end
  return #s % 4 == 0 and table.concat(out)
end

--- Whether a text is a file of this kind.
function tiktoken.is(text) return text:find "^[%w+/]+=*[ ]%d+\r?\n" ~= nil end

local function read_lines(text)
  local tokens, lines, last = {}, 0, -1
  for line in text:gmatch "[^\r\n]+" do
    lines = lines + 1
    local word, rank = line:match "^([%w+/]+=*) (%d+)$"
    local token, id = word and decode(word), math.tointeger(tonumber(rank))
    if not token or not id or id > 1 << 24 then
      wrong.format("line %d: expected a token in base64 and its rank", lines)
    end
    if tokens[id + 1] then wrong.format("line %d: rank %d comes twice", lines, id) end
    tokens[id + 1], last = token, math.max(last, id)
  end
  return tokens, lines, last
end

-- special tokens at their ids; ids that nothing has are names of no text
local function fill(tokens, last, names)
  local special, unused = {}, {}
  for name, id in pairs(names) do
    if math.type(id) ~= "integer" or id < 0 or id > last + (1 << 16) or tokens[id + 1] then
      wrong.format("special: %q cannot have the id %s", name, tostring(id))
    end
    tokens[id + 1], special[id + 1] = name, true
  end
  local top = last + 1
  for i in pairs(special) do top = math.max(top, i) end
  for i = 1, top do
    if not tokens[i] then
      if i <= last then wrong.format("rank %d is missing", i - 1) end
      tokens[i], unused[i] = ("<|unused %d|>"):format(i - 1), true
    end
  end
  return special, unused
end

local function read(text, opt)
  local tokens, lines, last = read_lines(text)
  local usual = known[lines] or {}
  local pattern = opt.pattern or usual.pattern
  if not pattern then
    wrong.format("%d tokens are none of the published files: tell the pattern", lines)
  end
  local special, unused = fill(tokens, last, opt.special or usual.special or {})
  return { tokens = tokens, special = special, unused = unused,
           pattern = patterns.named[pattern] or pattern, ignore_merges = true }
end

--- A tokenizer from what the file holds; nil, message, code.
--- @param text string
--- @param opt {pattern: string?, special: table<string, integer>?}
function tiktoken.of(text, opt)
  local spec, err, code = wrong.catch(read, text, opt)
  if not spec then return nil, err, code end
  return bpe.new(spec)
end

return tiktoken
