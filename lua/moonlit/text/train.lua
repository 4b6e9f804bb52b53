--- Learning a byte-level BPE from strings or documents.
---
---   local tok = ml.text.train({ "text", "more" }, { vocab = 1024 })
---   local tok = ml.text.train(ml.data.read { "a.txt", "b.jsonl.gz" }, { vocab = 32000 })
---
--- Ids are Hugging Face's: special tokens first, the 256 bytes in the order of GPT-2's alphabet,
--- then a token for every merge. The same texts give the same tokenizer with any number of threads
--- and in any order: a merge takes the most frequent pair, of equals the one of smaller ids.
local alphabet = require "moonlit.text.alphabet"
local bpe = require "moonlit.text.bpe"
local core = require "moonlit.core"
local options = require "moonlit.options"
local patterns = require "moonlit.text.patterns"

local WHO = "text.train"
local GROUP = 1 << 22 -- bytes counted together, on all threads

local function count_of(o, name)
  local n = math.tointeger(o[name])
  if n and n >= 0 then return n end
  error(("%s: %s must be an integer, 0 or more, got %s"):format(WHO, name, tostring(o[name])), 3)
end

-- a list or an iterator of strings or documents, as an iterator of strings
local function reader(source)
  local n = 0
  local take = source
  if type(source) == "table" then
    take = function()
      n = n + 1
      return source[n]
    end
  elseif type(source) ~= "function" then
    error(WHO .. ": expected a list or an iterator of texts, got " .. type(source), 3)
  end
  return function()
    local item = take()
    local s = type(item) == "table" and item.text or item
    if s == nil or type(s) == "string" then return s end
    error(WHO .. ": a text must be a string or a document, got " .. type(item), 0)
  end
end

local function check_special(special)
  local seen = {}
  for i, s in ipairs(special) do
    if type(s) ~= "string" or s == "" or seen[s] or not utf8.len(s) then
      error(('%s: special token %d must be text (UTF-8) of its own, got %s'):format(WHO, i,
            type(s) == "string" and ("%q"):format(s) or type(s)), 3)
    end
    seen[s] = true
  end
end

-- tokenizer.json knows a token by its text: what is written like a special token is taken for one
local function check_texts(tokens, special)
  local written = {}
  for i, s in ipairs(special) do written[s] = i end
  for i = #special + 1, #tokens do
    local s = alphabet.write(tokens[i])
    if written[s] then
      error(("%s: special token %d, %q, is the text of an ordinary token too; name it otherwise")
        :format(WHO, written[s], s), 3)
    end
  end
end

local function count_all(trainer, take)
  local group, bytes, any = {}, 0, false
  for s in take do
    group[#group + 1], bytes, any = s, bytes + #s, any or #s > 0
    if bytes >= GROUP then
      trainer:add(group)
      group, bytes = {}, 0
    end
  end
  trainer:add(group)
  if not any then error(WHO .. ": no text to learn from", 3) end
end

--- @param source (string|{text: string})[]|function  a list, or an iterator
--- @param opt? {vocab: integer?, special: string[]?, pattern: string?, min_frequency: integer?}
---   vocab (1024): tokens in all; fewer if nothing is left to merge. special: tokens of their own,
---   <|endoftext|> unless given. pattern: "qwen2", the default, "llama-bpe", "gpt-2", or a regular
---   expression (PCRE2). min_frequency (2): a pair that comes less often is not merged
--- @return Bpe
return function(source, opt)
  local o = options(opt, { vocab = 1024, special = { "<|endoftext|>" }, pattern = "qwen2",
                           min_frequency = 2 }, WHO)
  local vocab, least = count_of(o, "vocab"), count_of(o, "min_frequency")
  check_special(o.special)
  local first = #o.special
  if vocab < first + 256 then
    error(("%s: vocab must be at least %d (256 bytes and %d special tokens), got %d"):format(WHO,
          first + 256, first, vocab), 2)
  end
  local pattern = patterns.named[o.pattern] or o.pattern
  local trainer <close>, err = core.text.trainer(pattern, patterns.linear[pattern] or false,
                                                 bpe.cuttable(pattern))
  if not trainer then error(("%s: %s"):format(WHO, err), 2) end
  count_all(trainer, reader(source))
  local flat = trainer:run(alphabet.order, first, vocab, least)
  local tokens, special, merges = {}, {}, {}
  for i, s in ipairs(o.special) do tokens[i], special[i] = s, true end
  for i = 1, 256 do tokens[first + i] = alphabet.order:sub(i, i) end
  for i = 1, #flat, 3 do
    local a, b, id = flat[i], flat[i + 1], flat[i + 2]
    tokens[id + 1] = tokens[a + 1] .. tokens[b + 1]
    merges[#merges + 1], merges[#merges + 2] = a, b
  end
  check_texts(tokens, o.special)
  return assert(bpe.new { tokens = tokens, special = special, merges = merges, pattern = pattern })
end
