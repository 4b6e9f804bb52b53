--- The parts of a tokenizer.json that stand around its model, as what core.text.bpe and decoding go
--- by: steps that rewrite a text and cut it, what decode undoes, ids put around a text. A part that
--- is not known here is refused by its name.
local json = require "moonlit.json"
local patterns = require "moonlit.text.patterns"
local wrong = require "moonlit.text.wrong"

local parts = {}
local shown, is_null, is_set = wrong.shown, wrong.is_null, wrong.is_set

-- the elements of a Sequence, of Sequences too; a part that stands alone is its own only one
local function flatten(t, key, what, out)
  if type(t) == "table" and t.type == "Sequence" then
    for _, part in ipairs(wrong.list(t[key], what .. ": Sequence")) do
      flatten(part, key, what, out)
    end
  elseif not is_null(t) then
    out[#out + 1] = t
  end
  return out
end

-- plain text as a regular expression, which is linear
local function quoted(s)
  return (s:gsub("[^%w\x80-\xff]", function(c) return ("\\x{%02x}"):format(c:byte()) end)), true
end

-- Oniguruma reads what follows otherwise than PCRE2
local function regex(s, what)
  for _, strange in ipairs { "&&", "\\h", "\\H", "\\K" } do
    if s:find(strange, 1, true) then
      wrong.unsupported("%s: %s in a regular expression is not supported", what, strange)
    end
  end
  return s, patterns.linear[s] or false
end

-- { String = } or { Regex = }: the regular expression, and whether it is linear
local function pattern_of(p, what)
  if type(p) == "table" and type(p.Regex) == "string" then return regex(p.Regex, what) end
  if type(p) == "table" and type(p.String) == "string" then return quoted(p.String) end
  wrong.format("%s: expected a pattern, a String or a Regex", what)
end

-- ---- normalizer ----

local forms = { NFC = true, NFD = true, NFKC = true, NFKD = true }

--- Steps that rewrite a text.
function parts.rewrite(normalizer)
  local steps = {}
  for i, p in ipairs(flatten(normalizer, "normalizers", "normalizer", {})) do
    local kind = type(p) == "table" and p.type
    if forms[kind] then steps[i] = { kind = "form", how = kind }
    elseif kind == "Prepend" then
      steps[i] = { kind = "prepend", how = "always",
                   with = wrong.string(p.prepend, "normalizer: Prepend: prepend") }
    elseif kind == "Replace" then
      local pattern, linear = pattern_of(p.pattern, "normalizer: Replace")
      steps[i] = { kind = "replace", how = "all", pattern = pattern, linear = linear,
                   with = wrong.string(p.content, "normalizer: Replace: content") }
    else wrong.unsupported("normalizer: %s is not supported", shown(p)) end
  end
  return steps
end

-- ---- pre_tokenizer ----

local behaviors = { Isolated = "isolated", Removed = "removed", MergedWithPrevious = "previous",
                    MergedWithNext = "next", Contiguous = "contiguous" }
local schemes = { always = "unless", first = "first", never = false }

local function split(p, steps)
  local how = behaviors[p.behavior or false]
  if not how then
    wrong.format("pre_tokenizer: Split: behavior is %s", shown(p.behavior))
  end
  local pattern, linear = pattern_of(p.pattern, "pre_tokenizer: Split")
  steps[#steps + 1] = { kind = "cut", how = how, invert = is_set(p.invert), pattern = pattern,
                        linear = linear }
end

local function digits(p, steps)
  steps[#steps + 1] = { kind = "cut", how = "isolated", linear = true,
                        pattern = is_set(p.individual_digits) and "\\p{N}" or "\\p{N}+" }
end

-- its prefix and its pattern; both are on unless they are off
local function byte_level(p, steps)
  if p.add_prefix_space ~= false then
    steps[#steps + 1] = { kind = "prepend", how = "unless", with = " " }
  end
  if p.use_regex ~= false then
    steps[#steps + 1] = { kind = "cut", how = "isolated", linear = true,
                          pattern = patterns.named["gpt-2"] }
  end
end

local function metaspace(p, steps)
  local mark = wrong.string(p.replacement, "pre_tokenizer: Metaspace: replacement")
  local scheme = p.prepend_scheme or p.add_prefix_space == false and "never" or "always"
  local how = schemes[scheme]
  if how == nil then
    wrong.format("pre_tokenizer: Metaspace: prepend_scheme is %s", shown(scheme))
  end
  if p.add_prefix_space == false and how then
    wrong.format("pre_tokenizer: Metaspace: add_prefix_space is false, prepend_scheme %s", scheme)
  end
  steps[#steps + 1] = { kind = "replace", how = "all", pattern = "\\x{20}", linear = true,
                        with = mark }
  if how then steps[#steps + 1] = { kind = "prepend", how = how, with = mark } end
  if p.split ~= false then
    steps[#steps + 1] = { kind = "cut", how = "next", linear = true, pattern = (quoted(mark)) }
  end
end

local cutters = { Split = split, Digits = digits, ByteLevel = byte_level, Metaspace = metaspace }

--- Steps that cut a text, and whether its bytes are what is merged (ByteLevel), not characters.
function parts.cut(pre_tokenizer)
  local steps, level = {}, false
  for _, p in ipairs(flatten(pre_tokenizer, "pretokenizers", "pre_tokenizer", {})) do
    local add = cutters[type(p) == "table" and p.type or false]
    if not add then wrong.unsupported("pre_tokenizer: %s is not supported", shown(p)) end
    if level then wrong.unsupported("pre_tokenizer: %s behind ByteLevel", shown(p)) end
    add(p, steps)
    level = p.type == "ByteLevel"
  end
  return steps, level
end

-- ---- post_processor ----

local function template(p)
  local before, after = {}, {}
  local ids = before
  for _, piece in ipairs(wrong.list(p.single, "post_processor: TemplateProcessing: single")) do
    local name = type(piece) == "table" and piece.SpecialToken and piece.SpecialToken.id
    local known = name and type(p.special_tokens) == "table" and p.special_tokens[name]
    if type(piece) == "table" and piece.Sequence and ids == before then ids = after
    elseif type(known) == "table" then
      for _, id in ipairs(wrong.list(known.ids, "post_processor: special_tokens: ids")) do
        ids[#ids + 1] = math.tointeger(id)
                        or wrong.format("post_processor: %q has the id %s", name, shown(id))
      end
    else
      wrong.format("post_processor: TemplateProcessing: single: %s is not among special_tokens",
                   shown(name))
    end
  end
  if ids == before then
    wrong.format "post_processor: TemplateProcessing: single has no Sequence"
  end
  return { before = before, after = after }
end

--- Ids to put around a text: { before = ids, after = ids }.
function parts.around(post_processor)
  local around = { before = {}, after = {} }
  for _, p in ipairs(flatten(post_processor, "processors", "post_processor", {})) do
    local kind = type(p) == "table" and p.type
    if kind == "TemplateProcessing" and not around.found then
      around = template(p)
      around.found = true
    elseif kind ~= "ByteLevel" then
      wrong.unsupported("post_processor: %s is not supported", shown(p))
    end
  end
  around.found = nil
  return around
end

-- ---- decoder ----

local function replaced(p)
  if type(p.pattern) ~= "table" or type(p.pattern.String) ~= "string" or p.pattern.String == "" then
    wrong.unsupported "decoder: Replace: only of a String"
  end
  local from = p.pattern.String:gsub("%p", "%%%0")
  local to = wrong.string(p.content, "decoder: Replace: content"):gsub("%%", "%%%%")
  return function(s) return (s:gsub(from, to)) end
end

-- up to n times `char` off the beginning of s; how many that were, and what is left
local function cut_head(s, char, n)
  local at = 1
  while n > 0 and s:sub(at, at + #char - 1) == char do at, n = at + #char, n - 1 end
  return s:sub(at), n
end
parts.cut_head = cut_head

local function strip(p)
  local char = wrong.string(p.content, "decoder: Strip: content")
  local n = math.tointeger(p.start) or wrong.format "decoder: Strip: start is no number"
  if is_set(p.stop) or char == "" then wrong.unsupported "decoder: Strip: stop must be 0" end
  return { char = char, n = n }
end

-- characters' decoders, one after the other on every token, those behind Fuse on the whole text
local function of_chars(list)
  local back = { each = {}, bytes = false }
  local fused = false
  for _, p in ipairs(list) do
    local kind = type(p) == "table" and p.type
    if kind == "Fuse" then fused = true
    elseif kind == "Strip" and fused and not back.head then back.head = strip(p)
    elseif fused then wrong.unsupported("decoder: %s behind Fuse is not supported", shown(p))
    elseif kind == "ByteFallback" then back.bytes = true
    elseif kind == "Replace" then back.each[#back.each + 1] = replaced(p)
    elseif kind == "Strip" then
      local s = strip(p)
      back.each[#back.each + 1] = function(token) return (cut_head(token, s.char, s.n)) end
    elseif kind == "Metaspace" and not back.mark then
      local mark = wrong.string(p.replacement, "decoder: Metaspace: replacement")
      back.each[#back.each + 1] = replaced { pattern = { String = mark }, content = " " }
      local scheme = p.prepend_scheme or p.add_prefix_space == false and "never" or "always"
      if scheme ~= "never" then back.mark = mark end
    else wrong.unsupported("decoder: %s is not supported", shown(p)) end
  end
  return back
end

--- What decode does. For bytes nothing; for characters
--- { each = functions of a token's text, bytes = <0x00> are bytes,
---   head = { char, n }: so many off the beginning, mark = what the first token loses }.
function parts.back(decoder, level)
  local list = flatten(decoder, "decoders", "decoder", {})
  local only = #list == 1 and type(list[1]) == "table" and list[1].type
  if level and only == "ByteLevel" then return { each = {}, bytes = false } end
  if level or is_null(decoder) then
    wrong.unsupported("decoder: %s is not supported%s", shown(decoder),
                      level and ", only ByteLevel behind a ByteLevel" or "")
  end
  return of_chars(list)
end

-- ---- those of a tokenizer of ours ----

--- A pattern's parts, as a file has them: pieces of bytes.
function parts.of_pattern(pattern)
  local level = { type = "ByteLevel", add_prefix_space = false, trim_offsets = true,
                  use_regex = false }
  local cut = { type = "Split", pattern = { Regex = pattern }, behavior = "Isolated",
                invert = false }
  return {
    normalizer = json.null, post_processor = json.null,
    pre_tokenizer = { type = "Sequence", pretokenizers = json.array { cut, level } },
    decoder = { type = "ByteLevel", add_prefix_space = true, trim_offsets = true,
                use_regex = true },
  }
end

return parts
