--- A byte-level BPE tokenizer, and Hugging Face's tokenizer.json of one.
---
--- Text is encoded as it is: what looks like a special token stays text, unless encode is told to
--- take it for one. Any bytes can be encoded, and decode gives them back.
local alphabet = require "moonlit.text.alphabet"
local core = require "moonlit.core"
local json = require "moonlit.json"
local options = require "moonlit.options"
local patterns = require "moonlit.text.patterns"

local bpe = {}

local Bpe = {}
Bpe.__index = Bpe
Bpe.__name = "moonlit.Bpe"

--- @param spec table  { tokens = byte strings in id order, special = { [position] = true },
---   merges = { a, b, a, b, ... } ids, pattern = regular expression, ignore_merges = boolean? }
--- @return Bpe|nil, string? message, string? code
function bpe.new(spec)
  local made, err = core.text.bpe(spec.tokens, spec.special, spec.merges, spec.pattern,
                                  spec.ignore_merges or false)
  if not made then return nil, err, "format" end
  return setmetatable({ core = made, merges = spec.merges, pattern = spec.pattern,
                        ignore_merges = spec.ignore_merges or false }, Bpe)
end

-- ---- what people call ----

--- How many ids there are: 0 to size() - 1.
function Bpe:size() return self.core:count() end

--- @param s string
--- @param opt? {special: boolean?}  true: the text of a special token is that token
--- @return integer[] ids, from 0
function Bpe:encode(s, opt)
  if type(s) ~= "string" then error("encode: expected a string, got " .. type(s), 2) end
  return self.core:encode(s, options(opt, { special = false }, "encode").special)
end

--- Many texts on all threads; a list of what encode gives.
--- @param texts string[]
--- @param opt? {special: boolean?}
function Bpe:encode_all(texts, opt)
  return self.core:encode_all(texts, options(opt, { special = false }, "encode_all").special)
end

-- the patterns that have names let a text be cut at certain places, see ml_pretok_cut
local cuttable = {}
for _, pattern in pairs(patterns) do cuttable[pattern] = true end

--- A whole file as an i64 tensor of ids, on all threads; nil, message, code if it cannot be read.
--- @param path string
function Bpe:encode_file(path)
  return self.core:encode_file(path, cuttable[self.pattern] == true)
end

--- @param ids integer[]|Tensor|integer
--- @param opt? {special: boolean?}  false leaves special tokens out
--- @return string  bytes; UTF-8 where the ids make whole characters
function Bpe:decode(ids, opt)
  if type(ids) == "number" then ids = { ids } end
  if type(ids) == "userdata" then ids = ids:table() end
  if type(ids) ~= "table" then error("decode: expected ids, got " .. type(ids), 2) end
  return self.core:decode(ids, options(opt, { special = true }, "decode").special)
end

--- The id of a special token's text, or of an ordinary token's bytes; nil if there is none.
function Bpe:id(token)
  return self.core:find(token, true) or self.core:find(token, false)
end

--- The bytes that a token stands for in a text: "" for a special one.
function Bpe:bytes(id)
  local s, special = self.core:token(id)
  if not s then
    error(("bytes: id %s is outside 0..%d"):format(tostring(id), self:size() - 1), 2)
  end
  return special and "" or s
end

function Bpe:is_special(id)
  return select(2, self.core:token(id)) or false
end

-- bytes at the end of s that begin a character and do not end it
local function unfinished(s)
  for back = 1, math.min(3, #s) do
    local c = s:byte(-back)
    if c >= 0xC0 then
      local size = c >= 0xF0 and 4 or c >= 0xE0 and 3 or 2
      return back < size and back or 0
    elseif c < 0x80 then return 0 end
  end
  return 0
end

--- Decoding that never gives half a character: put(id) returns the text that is whole by now,
--- put(nil) what is left at the end.
function Bpe:decoder()
  local held = ""
  return function(id)
    local s = held .. (id and self.core:decode({ id }, true) or "")
    local keep = id and unfinished(s) or 0
    held = s:sub(#s - keep + 1)
    return s:sub(1, #s - keep)
  end
end

-- ---- tokenizer.json ----

local function each_token(self)
  local id = -1
  return function()
    id = id + 1
    local s, special = self.core:token(id)
    if s then return id, s, special end
  end
end

-- JSON's text of a special token: it must be UTF-8
local function document(self)
  local vocab, added, merges = {}, json.array {}, json.array {}
  local written = {}
  for id, s, special in each_token(self) do
    written[id] = special and s or alphabet.write(s)
    vocab[written[id]] = id
    if special then
      added[#added + 1] = { id = id, content = s, single_word = false, lstrip = false,
                            rstrip = false, normalized = false, special = true }
    end
  end
  for i = 1, #self.merges, 2 do
    merges[#merges + 1] = json.array { written[self.merges[i]], written[self.merges[i + 1]] }
  end
  local null = json.null
  local level = { type = "ByteLevel", add_prefix_space = false, trim_offsets = true,
                  use_regex = false }
  local split = { type = "Split", pattern = { Regex = self.pattern }, behavior = "Isolated",
                  invert = false }
  return {
    version = "1.0", truncation = null, padding = null, added_tokens = added, normalizer = null,
    pre_tokenizer = { type = "Sequence", pretokenizers = json.array { split, level } },
    post_processor = null,
    decoder = { type = "ByteLevel", add_prefix_space = true, trim_offsets = true,
                use_regex = true },
    model = { type = "BPE", dropout = null, unk_token = null, continuing_subword_prefix = null,
              end_of_word_suffix = null, fuse_unk = false, byte_fallback = false,
              ignore_merges = self.ignore_merges, vocab = vocab, merges = merges },
  }
end

--- Write tokenizer.json; true, or nil, message, code.
function Bpe:save(path) return json.save(path, document(self)) end

-- ---- reading ----

-- what is wrong with a file travels as an error with this mark
local Wrong = {}
local function wrong(form, ...) error(setmetatable({ text = form:format(...) }, Wrong), 0) end
local function unsupported(form, ...)
  error(setmetatable({ text = form:format(...), code = "unsupported" }, Wrong), 0)
end

local function is_null(v) return v == nil or v == json.null end
local function is_set(v) return not is_null(v) and v ~= "" and v ~= false and v ~= 0 end

-- a value as a message shows it: a part by its type
local function shown(v)
  if is_null(v) then return "null" end
  if type(v) == "table" then return type(v.type) == "string" and v.type or "a table" end
  return tostring(v)
end

local function refuse(t, what, keys)
  for _, key in ipairs(keys) do
    if is_set(t[key]) then unsupported("%s: %s is not supported", what, key) end
  end
end

-- an array, whether or not it has elements
local function list_of(v, what)
  if type(v) == "table" and (#v > 0 or next(v) == nil) then return v end
  wrong("%s: expected an array, got %s", what, type(v) == "table" and "an object" or shown(v))
end

-- the parts around the model that would change ids or text
local function check_parts(t)
  for _, key in ipairs { "normalizer", "truncation", "padding" } do
    if not is_null(t[key]) then unsupported("%s: %s is not supported", key, shown(t[key])) end
  end
  local after, back = t.post_processor, t.decoder
  if not is_null(after) and not (type(after) == "table" and after.type == "ByteLevel") then
    unsupported("post_processor: %s is not supported, only ByteLevel", shown(after))
  end
  if not (type(back) == "table" and back.type == "ByteLevel") then
    unsupported("decoder: %s is not supported, only ByteLevel", shown(back))
  end
end

-- the pattern of a pre-tokenizer: ByteLevel alone, or a Sequence of Split and ByteLevel
local function read_pattern(t)
  local list = type(t) == "table" and t.type == "Sequence" and t.pretokenizers or { t }
  local pattern, level
  for _, p in ipairs(type(list) == "table" and list or {}) do
    local kind = type(p) == "table" and p.type
    if kind == "Split" and not pattern and not level then
      pattern = type(p.pattern) == "table" and p.pattern.Regex
      if type(pattern) ~= "string" or p.behavior ~= "Isolated" or is_set(p.invert) then
        unsupported("pre_tokenizer: a Split must be of a Regex, Isolated, not inverted")
      end
    elseif kind == "ByteLevel" and not level then
      level = p
      if p.add_prefix_space ~= false then
        unsupported("pre_tokenizer: ByteLevel: add_prefix_space must be false, not %s",
                    shown(p.add_prefix_space))
      end
    else
      unsupported("pre_tokenizer: %s is not supported; expected Split and ByteLevel", shown(p))
    end
  end
  if not level then wrong("pre_tokenizer: expected a ByteLevel") end
  if level.use_regex ~= false then
    if pattern then unsupported("pre_tokenizer: ByteLevel with use_regex behind a Split") end
    return patterns["gpt-2"]
  end
  return pattern or wrong("pre_tokenizer: nothing cuts the text: expected a Split")
end

-- id -> text of the special tokens
local function read_added(list)
  local added, seen = {}, {}
  for i, a in ipairs(is_null(list) and {} or list_of(list, "added_tokens")) do
    local id = type(a) == "table" and math.tointeger(a.id)
    if not id or id < 0 or type(a.content) ~= "string" or a.content == "" then
      wrong("added_tokens: number %d has no id and content", i)
    end
    refuse(a, ("added_tokens: %q"):format(a.content), { "single_word", "lstrip", "rstrip" })
    if a.special ~= true then
      unsupported("added_tokens: %q: only special tokens are supported", a.content)
    end
    if added[id] then wrong("added_tokens: id %d comes twice", id) end
    if seen[a.content] then wrong("added_tokens: %q comes twice", a.content) end
    added[id], seen[a.content] = a.content, id
  end
  return added, seen
end

-- tokens in id order, which of them are special, and written form -> id
local function read_vocab(vocab, added, special_id)
  local tokens, special, ids, count = {}, {}, {}, 0
  if type(vocab) ~= "table" or #vocab > 0 then
    wrong("model: vocab: expected an object, got %s", type(vocab) == "table" and "an array"
          or shown(vocab))
  end
  for _, word in ipairs(options.keys(vocab)) do
    local id = math.tointeger(vocab[word])
    if not id or id < 0 or id > 1 << 24 then
      wrong("model: vocab: %q has the id %s", word, shown(vocab[word]))
    elseif tokens[id + 1] then wrong("model: vocab: id %d comes twice", id)
    elseif special_id[word] and special_id[word] ~= id then
      wrong("added_tokens: %q has the ids %d and %d", word, special_id[word], id)
    end
    ids[word] = id
    tokens[id + 1] = added[id] == word and word or alphabet.read(word)
                     or wrong("model: vocab: %q is not in the byte-level alphabet", word)
    special[id + 1], count = added[id] == word, count + 1
  end
  for _, id in ipairs(options.keys(added)) do
    if not tokens[id + 1] then
      tokens[id + 1], special[id + 1], count = added[id], true, count + 1
    elseif not special[id + 1] then wrong("added_tokens: id %d is another token's", id) end
  end
  for i = 1, math.max(1, count) do
    if not tokens[i] then
      wrong("model: vocab: %d tokens, but their ids are not 0 to %d", count, count - 1)
    end
  end
  return tokens, special, ids
end

-- "a b" or { a, b } -> two ids
local function read_merge(m, ids, i)
  local a, b
  if type(m) == "string" then a, b = m:match "^([^ ]+) ([^ ]+)$"
  elseif type(m) == "table" and #m == 2 then a, b = m[1], m[2] end
  if not (ids[a or false] and ids[b or false]) then
    wrong("model: merges: number %d is not of two tokens", i)
  end
  return ids[a], ids[b]
end

local function read(t)
  local model = type(t.model) == "table" and t.model or wrong("expected a model")
  if model.type ~= "BPE" and not (model.type == nil and model.merges) then
    unsupported("a %s model is not supported, only BPE", shown(model.type))
  end
  refuse(model, "model", { "dropout", "unk_token", "continuing_subword_prefix",
                           "end_of_word_suffix", "byte_fallback" })
  check_parts(t)
  local tokens, special, ids = read_vocab(model.vocab, read_added(t.added_tokens))
  local merges = {}
  for i, m in ipairs(list_of(model.merges, "model: merges")) do
    merges[2 * i - 1], merges[2 * i] = read_merge(m, ids, i)
  end
  return { tokens = tokens, special = special, merges = merges,
           pattern = read_pattern(t.pre_tokenizer), ignore_merges = is_set(model.ignore_merges) }
end

--- A tokenizer from what tokenizer.json holds; nil, what is wrong with it and a code: "unsupported"
--- for a kind that is not known here, "format" for what is broken.
--- @param t table
function bpe.of(t)
  local fine, spec = pcall(read, t)
  if fine then return bpe.new(spec) end
  if getmetatable(spec) == Wrong then return nil, spec.text, spec.code or "format" end
  error(spec, 0)
end

return bpe
