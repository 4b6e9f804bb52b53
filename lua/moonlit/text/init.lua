--- Tokenizers: text to ids and back. Ids are names, from 0.
---
---   local tok = ml.text.train(texts, { vocab = 1024 })       -- byte-level BPE
---   local tok = assert(ml.text.load "runs/tokenizer")         -- a directory, or tokenizer.json
---   local tok = assert(ml.text.chars "input.txt")             -- one id a character
---   tok:decode(tok:encode "moon") == "moon"
local bpe = require "moonlit.text.bpe"
local chars = require "moonlit.text.chars"
local json = require "moonlit.json"
local options = require "moonlit.options"
local tiktoken = require "moonlit.text.tiktoken"
local train = require "moonlit.text.train"

local text = { chars = chars.new, train = train }

local function is_directory(path)
  local file = io.open(path .. "/.")
  if file then file:close() end
  return file ~= nil
end

-- the file in a directory: of a model, a run (its latest checkpoint) or a tokenizer's run
local function find(path)
  if not is_directory(path) then return path end
  local file = io.open(path .. "/ckpt/latest", "rb")
  if not file then return path .. "/tokenizer.json" end
  local name = file:read("l")
  file:close()
  return ("%s/ckpt/%s/tokenizer.json"):format(path, name or "")
end

local function read(path)
  local file, err = io.open(path, "rb")
  if not file then return nil, "text.load: " .. err, "io" end
  local head = file:read(256) or ""
  if not tiktoken.is(head) then
    file:close()
    return json.load(path)
  end
  local rest = file:read "a"
  file:close()
  return head .. rest
end

local function make(t, o)
  if type(t) == "string" then return tiktoken.of(t, o) end
  if type(t) ~= "table" then return nil, "expected an object, got " .. type(t), "format" end
  if t.type == chars.KIND then return chars.of(t) end
  return bpe.of(t)
end

--- The tokenizer in a file that tok:save wrote, in Hugging Face's tokenizer.json of a BPE, or in a
--- tiktoken file; a directory stands for the one in it.
--- @param path string
--- @param opt? {pattern: string?, special: table<string, integer>?}  of a tiktoken file that is not
---   one of OpenAI's: a pattern's name or regular expression, special tokens and their ids
--- @return Tokenizer|nil, string? message, string? code
function text.load(path, opt)
  if type(path) ~= "string" then
    error("text.load: path must be a string, got " .. type(path), 2)
  end
  local o = options(opt, { pattern = options.optional, special = options.optional }, "text.load")
  path = find(path)
  local t, err, code = read(path)
  if not t then return nil, err, code end
  local made, message, why = make(t, o)
  if made then return made end
  return nil, ("text.load: %s: %s"):format(path, message), why or "format"
end

return setmetatable(text, { __index = function(_, name)
  error("text has no " .. options.unknown(name, options.keys(text)), 2)
end })
