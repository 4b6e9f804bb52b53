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

--- The tokenizer in a file that tok:save wrote, or in Hugging Face's tokenizer.json of a byte-level
--- BPE; a directory stands for the one in it.
--- @param path string
--- @return Tokenizer|nil, string? message, string? code
function text.load(path)
  if type(path) ~= "string" then
    error("text.load: path must be a string, got " .. type(path), 2)
  end
  path = find(path)
  local t, err, code = json.load(path)
  if not t then return nil, err, code end
  if type(t) ~= "table" then
    return nil, ("text.load: %s: expected an object, got %s"):format(path, type(t)), "format"
  end
  local made, wrong
  if t.type == chars.KIND then made, wrong = chars.of(t) else made, wrong, code = bpe.of(t) end
  if made then return made end
  return nil, ("text.load: %s: %s"):format(path, wrong), code or "format"
end

return setmetatable(text, { __index = function(_, name)
  error("text has no " .. options.unknown(name, options.keys(text)), 2)
end })
