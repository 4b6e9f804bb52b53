--- Hugging Face's tokenizer.json of a BPE model: read into what core.text.bpe takes, and written.
---
---   local spec, message, code = hf.read(json.load "tokenizer.json")
local alphabet = require "moonlit.text.alphabet"
local json = require "moonlit.json"
local options = require "moonlit.options"
local parts = require "moonlit.text.parts"
local wrong = require "moonlit.text.wrong"

local hf = {}
local shown, is_null, is_set = wrong.shown, wrong.is_null, wrong.is_set

-- kinds and flags of text.h
local SPECIAL, OTHER = 1, 2
local IS_SPECIAL, WORD, LEFT, RIGHT, ADDED = 1, 2, 4, 8, 16
local LARGEST = 1 << 24 -- no vocabulary has ids beyond

-- ---- added tokens ----

-- id -> the token, text -> its id
local function read_added(list)
  local added, id_of = {}, {}
  for i, a in ipairs(is_null(list) and {} or wrong.list(list, "added_tokens")) do
    local id = type(a) == "table" and math.tointeger(a.id)
    if not id or id < 0 or id > LARGEST or type(a.content) ~= "string" or a.content == "" then
      wrong.format("added_tokens: number %d has no id and content", i)
    end
    if added[id] then wrong.format("added_tokens: id %d comes twice", id) end
    if id_of[a.content] then wrong.format("added_tokens: %q comes twice", a.content) end
    added[id], id_of[a.content] = a, id
  end
  return added, id_of
end

local function flags_of(a)
  return ADDED | (is_set(a.special) and IS_SPECIAL or 0) | (is_set(a.single_word) and WORD or 0)
         | (is_set(a.lstrip) and LEFT or 0) | (is_set(a.rstrip) and RIGHT or 0)
end

local function is_normal(a)
  if a.normalized == nil then return not is_set(a.special) end
  return is_set(a.normalized)
end

-- ---- vocabulary ----

-- how a word of the vocabulary counts: its bytes, and its kind
local function word_of(word, a, level)
  local bytes = word
  if level then bytes = alphabet.read(word) end
  if a and is_set(a.special) then return word, SPECIAL end
  if not bytes or a and bytes ~= word then return word, OTHER end
  return bytes, 0
end

local function check_id(word, id, spec, id_of)
  if not id or id < 0 or id > LARGEST then
    wrong.format("model: vocab: %q has the id %s", word, shown(id or "no integer"))
  elseif spec.tokens[id + 1] then wrong.format("model: vocab: id %d comes twice", id)
  elseif word == "" then wrong.format("model: vocab: token %d is empty", id)
  elseif id_of[word] and id_of[word] ~= id then
    wrong.format("added_tokens: %q has the ids %d and %d", word, id_of[word], id)
  end
end

-- tokens in id order, their kinds and flags, and written form -> id
local function read_vocab(spec, vocab, added, id_of, level)
  local ids, count = {}, 0
  if type(vocab) ~= "table" or #vocab > 0 then
    wrong.format("model: vocab: expected an object, got %s",
                 type(vocab) == "table" and "an array" or shown(vocab))
  end
  for _, word in ipairs(options.keys(vocab)) do
    local id = math.tointeger(vocab[word])
    if not id then wrong.format("model: vocab: %q has the id %s", word, shown(vocab[word])) end
    check_id(word, id, spec, id_of)
    ids[word], count = id, count + 1
    spec.tokens[id + 1], spec.kinds[id + 1] = word_of(word, added[id], level)
  end
  for _, id in ipairs(options.keys(added)) do
    local a = added[id]
    if not spec.tokens[id + 1] then
      spec.tokens[id + 1], count = a.content, count + 1
      spec.kinds[id + 1] = is_set(a.special) and SPECIAL or OTHER
    elseif ids[a.content] ~= id then
      wrong.format("added_tokens: id %d is another token's", id)
    end
    spec.flags[id + 1], spec.normal[id + 1] = flags_of(a), is_normal(a) and 1 or 0
  end
  for i = 1, math.max(1, count) do
    if not spec.tokens[i] then
      wrong.format("model: vocab: %d tokens, but their ids are not 0 to %d", count, count - 1)
    end
  end
  return ids
end

-- "a b" or { a, b } -> two ids
local function read_merge(m, ids, i)
  local a, b
  if type(m) == "string" then a, b = m:match "^([^ ]+) ([^ ]+)$"
  elseif type(m) == "table" and #m == 2 then a, b = m[1], m[2] end
  if not (ids[a or false] and ids[b or false]) then
    wrong.format("model: merges: number %d is not of two tokens", i)
  end
  return ids[a], ids[b]
end

-- ---- characters ----

-- the tokens <0x00> to <0xFF>, if unknown characters are bytes
local function read_fallback(model, ids)
  if not is_set(model.byte_fallback) then return nil end
  local fallback = {}
  for b = 0, 255 do fallback[b + 1] = ids[("<0x%02X>"):format(b)] or -1 end
  return fallback
end

local function read_unknown(model, ids, id_of)
  if not is_set(model.unk_token) then return nil end
  local name = wrong.string(model.unk_token, "model: unk_token")
  return ids[name] or id_of[name] or wrong.format("model: unk_token: %q is no token", name)
end

-- what decode writes, where that is not the token
local function read_shown(spec, back)
  local bytes_of = {}
  for b = 0, 255 do bytes_of[("<0x%02X>"):format(b)] = string.char(b) end
  for i, token in ipairs(spec.tokens) do
    local s = back.bytes and bytes_of[token] or token
    for _, change in ipairs(s == token and back.each or {}) do s = change(s) end
    if s ~= token then spec.shown[i] = s end
  end
end

-- ---- reading ----

local function check_model(model)
  if model.type ~= "BPE" and not (model.type == nil and model.merges) then
    wrong.unsupported("a %s model is not supported, only BPE", shown(model.type))
  end
  for _, key in ipairs { "dropout", "continuing_subword_prefix", "end_of_word_suffix" } do
    if is_set(model[key]) then wrong.unsupported("model: %s is not supported", key) end
  end
end

local function check_file(t)
  if type(t.model) ~= "table" then wrong.format "expected a model" end
  for _, key in ipairs { "truncation", "padding" } do
    if not is_null(t[key]) then wrong.unsupported("%s: %s is not supported", key, shown(t[key])) end
  end
end

-- nothing is rewritten, put before a text or taken from it
local function is_exact(spec)
  for _, step in ipairs(spec.cut) do
    if step.kind ~= "cut" or step.how == "removed" then return false end
  end
  for _, flags in pairs(spec.flags) do
    if flags & (LEFT | RIGHT) ~= 0 then return false end
  end
  return #spec.rewrite == 0
end

local function read(t)
  check_file(t)
  local model = t.model
  check_model(model)
  local spec = { tokens = {}, kinds = {}, flags = {}, normal = {}, shown = {}, merges = {} }
  local level
  spec.rewrite = parts.rewrite(t.normalizer)
  spec.cut, level = parts.cut(t.pre_tokenizer)
  local back = parts.back(t.decoder, level)
  local around = parts.around(t.post_processor)
  local added, id_of = read_added(t.added_tokens)
  local ids = read_vocab(spec, model.vocab, added, id_of, level)
  for i, m in ipairs(wrong.list(model.merges, "model: merges")) do
    spec.merges[2 * i - 1], spec.merges[2 * i] = read_merge(m, ids, i)
  end
  spec.ignore_merges, spec.chars = is_set(model.ignore_merges), not level
  spec.unknown, spec.fuse = read_unknown(model, ids, id_of), is_set(model.fuse_unk)
  if not level then spec.fallback = read_fallback(model, ids) end
  read_shown(spec, back)
  for _, list in ipairs { around.before, around.after } do
    for _, id in ipairs(list) do
      if not spec.tokens[id + 1] then wrong.format("post_processor: id %d is no token", id) end
    end
  end
  local extra = {}
  for _, id in ipairs(options.keys(added)) do extra[id] = not ids[added[id].content] end
  spec.file = {
    level = level, exact = level and is_exact(spec), back = back,
    around = around, added = t.added_tokens, extra = extra,
    parts = { normalizer = t.normalizer, pre_tokenizer = t.pre_tokenizer,
              post_processor = t.post_processor, decoder = t.decoder },
    unk_token = model.unk_token, fuse_unk = spec.fuse,
    byte_fallback = is_set(model.byte_fallback),
  }
  return spec
end

--- What core.text.bpe takes, with `file`, what only a file and decoding need; nil, what is wrong
--- and a code: "unsupported" for a kind that is not known here, "format" for what is broken.
--- @param t table  what the file holds
function hf.read(t) return wrong.catch(read, t) end

--- The same of tokens that are made here: byte strings, the special ones first or anywhere.
--- @param spec table  { tokens, special = { [position] = true }, merges or nil, pattern,
---   ignore_merges, unused = { [position] = true } }
function hf.of_bytes(spec)
  local kinds, flags, added = {}, {}, json.array {}
  for i, s in ipairs(spec.tokens) do
    if spec.special[i] then
      kinds[i], flags[i] = SPECIAL, ADDED | IS_SPECIAL
      added[#added + 1] = { id = i - 1, content = s, single_word = false, lstrip = false,
                            rstrip = false, normalized = false, special = true }
    elseif spec.unused and spec.unused[i] then kinds[i] = OTHER end
  end
  local around = parts.of_pattern(spec.pattern)
  return {
    tokens = spec.tokens, kinds = kinds, flags = flags, merges = spec.merges,
    ignore_merges = spec.ignore_merges, cut = parts.cut(around.pre_tokenizer),
    file = { level = true, exact = true, back = { each = {} }, around = { before = {}, after = {} },
             added = added, extra = {}, parts = around, fuse_unk = false, byte_fallback = false },
  }
end

-- ---- writing ----

--- What tokenizer.json holds of a tokenizer.
--- @param core CoreBpe
--- @param file table  the field of that name that hf.read gave
--- @param ignore_merges boolean
function hf.document(core, file, ignore_merges)
  local vocab, merges, written, null = {}, json.array {}, {}, json.null
  for id = 0, core:count() - 1 do
    local s, kind = core:token(id)
    written[id] = kind == 0 and file.level and alphabet.write(s) or s
    if not file.extra[id] then vocab[written[id]] = id end
  end
  local flat = core:merges()
  for i = 1, #flat, 2 do
    merges[#merges + 1] = json.array { written[flat[i]], written[flat[i + 1]] }
  end
  local p = file.parts
  local function part(v) return v == nil and null or v end
  return {
    version = "1.0", truncation = null, padding = null, added_tokens = part(file.added),
    normalizer = part(p.normalizer), pre_tokenizer = part(p.pre_tokenizer),
    post_processor = part(p.post_processor), decoder = part(p.decoder),
    model = { type = "BPE", dropout = null, unk_token = part(file.unk_token),
              continuing_subword_prefix = null, end_of_word_suffix = null,
              fuse_unk = file.fuse_unk, byte_fallback = file.byte_fallback,
              ignore_merges = ignore_merges, vocab = vocab, merges = merges },
  }
end

return hf
