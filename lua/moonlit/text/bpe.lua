--- A BPE tokenizer, of bytes (GPT-2, Llama 3, Qwen) or of characters (Llama 2, Mistral, Gemma).
---
--- Text is encoded as it is: what looks like a special token stays text, unless encode is told to
--- take it for one. A byte-level tokenizer encodes any bytes, and decode gives them back.
local core = require "moonlit.core"
local hf = require "moonlit.text.hf"
local json = require "moonlit.json"
local options = require "moonlit.options"
local parts = require "moonlit.text.parts"
local patterns = require "moonlit.text.patterns"

local bpe = {}

local Bpe = {}
Bpe.__index = Bpe
Bpe.__name = "moonlit.Bpe"

local SPECIAL = 1 -- the kind of text.h

-- the patterns that have names, but gpt-4o's, let a text be cut at certain places, see ml_text_cut
local cuttable = {}
for _, name in ipairs { "qwen2", "llama-bpe", "gpt-2", "gpt-4" } do
  cuttable[patterns.named[name]] = true
end

--- Whether a text may be cut for the threads before this pattern cuts it.
function bpe.cuttable(pattern) return cuttable[pattern] == true end

-- a whole file's parts are encoded apart only where nothing but a known pattern can look across
local function cuts_anywhere(spec)
  for _, flag in pairs(spec.flags or {}) do
    if flag & 1 == 0 then return false end -- an added token that plain text can hold
  end
  local cut = spec.cut or {}
  return #(spec.rewrite or {}) == 0 and #cut == 1 and bpe.cuttable(cut[1].pattern)
end

local function new(spec)
  local made, err = core.text.bpe(spec)
  if not made then return nil, err, "format" end
  return setmetatable({ core = made, file = spec.file, cut = cuts_anywhere(spec),
                        ignore_merges = spec.ignore_merges or false }, Bpe)
end

--- A tokenizer of bytes.
--- @param spec table  { tokens = byte strings in id order, special = { [position] = true },
---   merges = { a, b, a, b, ... } ids, pattern = regular expression, ignore_merges = boolean? };
---   without merges, those that the order of the ids implies
--- @return Bpe|nil, string? message, string? code
function bpe.new(spec) return new(hf.of_bytes(spec)) end

--- A tokenizer from what tokenizer.json holds; nil, what is wrong with it and a code: "unsupported"
--- for a kind that is not known here, "format" for what is broken.
--- @param t table
function bpe.of(t)
  local spec, err, code = hf.read(t)
  if not spec then return nil, err, code end
  return new(spec)
end

-- ---- encoding ----

--- How many ids there are: 0 to size() - 1.
function Bpe:size() return self.core:count() end

local DEFAULTS = { special = false, add = false, max = options.optional, spans = false }

local function options_of(self, opt, who)
  local o = options(opt, DEFAULTS, who)
  local own = #self.file.around.before + #self.file.around.after
  local least = o.add and own or 0
  local max = o.max ~= nil and math.tointeger(o.max)
  if o.max ~= nil and (not max or max < least) then
    error(("%s: max must be an integer, %d or more, got %s"):format(who, least, tostring(o.max)), 3)
  end
  return o
end

local function cut_list(list, n) return table.move(list, 1, n, 1, {}) end

local function wrapped(before, list, after)
  local out = table.move(before, 1, #before, 1, {})
  table.move(list, 1, #list, #out + 1, out)
  return table.move(after, 1, #after, #out + 1, out)
end

-- spans of the ids around a text: empty ones, at its beginning and at its end
local function wrapped_spans(around, spans, text)
  local before, after = {}, {}
  for i = 1, #around.before do before[2 * i - 1], before[2 * i] = 1, 0 end
  for i = 1, #around.after do after[2 * i - 1], after[2 * i] = #text + 1, #text end
  return wrapped(before, spans, after)
end

-- what was asked for beyond the ids of a text; info says what was left out, and where tokens stand
local function finish(self, text, ids, spans, o)
  local around = self.file.around
  local room = o.max and o.max - (o.add and #around.before + #around.after or 0) or #ids
  local info = (o.max or spans) and { left_out = math.max(0, #ids - room) } or nil
  if #ids > room then
    ids, spans = cut_list(ids, room), spans and cut_list(spans, 2 * room)
  end
  if o.add then
    ids = wrapped(around.before, ids, around.after)
    spans = spans and wrapped_spans(around, spans, text)
  end
  if spans then info.spans = spans end
  return ids, info
end

--- @param s string
--- @param opt? {special: boolean?, add: boolean?, max: integer?, spans: boolean?}
---   special: the text of a special token is that token. add: the ids that the file puts around a
---   text (a begin-of-text, say). max: no more ids than that, those around the text among them.
---   spans: where tokens stand in s
--- @return integer[] ids, from 0
--- @return {left_out: integer, spans: integer[]?}? info  with max or spans: how many ids max left
---   out; first and last byte of each token, one after the other: s:sub(spans[1], spans[2])
function Bpe:encode(s, opt)
  if type(s) ~= "string" then error("encode: expected a string, got " .. type(s), 2) end
  if opt == nil then return (self.core:encode(s, false, false)) end
  local o = options_of(self, opt, "encode")
  local ids, spans = self.core:encode(s, o.special, o.spans)
  return finish(self, s, ids, spans, o)
end

--- Many texts on all threads; a list of what encode gives, and with max or spans one of infos.
--- @param texts string[]
--- @param opt? table  as encode has it
function Bpe:encode_all(texts, opt)
  local o = options_of(self, opt, "encode_all")
  local lists, spans = self.core:encode_all(texts, o.special, o.spans)
  if not (o.add or o.max or o.spans) then return lists end
  local infos = (o.max or o.spans) and {} or nil
  for i, ids in ipairs(lists) do
    local info
    lists[i], info = finish(self, texts[i], ids, spans and spans[i], o)
    if infos then infos[i] = info end
  end
  return lists, infos
end

--- A whole file as an i64 tensor of ids, on all threads; nil, message, code if it cannot be read.
--- @param path string
function Bpe:encode_file(path) return self.core:encode_file(path, self.cut) end

-- ---- decoding ----

-- the text of ids from the beginning on: a function of the next id that is shown
local function shower(self)
  local back = self.file.back
  local head, mark = back.head and back.head.n or 0, back.mark
  return function(id)
    local s = self.core:decode({ id }, true)
    if mark then
      s, mark = self.core:token(id):gsub("^.*$", function(token)
        return (token:gsub(mark:gsub("%p", "%%%0"), ""))
      end), nil
    end
    if head > 0 and s ~= "" then
      local left
      s, left = parts.cut_head(s, back.head.char, head)
      head = s == "" and left or 0
    end
    return s
  end
end

-- ids as far as decoding from the beginning matters, as text; the others as they are
local function decode_head(self, ids, special)
  local show, out = shower(self), {}
  for i, id in ipairs(ids) do
    if special or not self:is_special(id) then
      out[#out + 1] = show(id)
      if out[#out] ~= "" then
        return table.concat(out) .. self.core:decode(table.move(ids, i + 1, #ids, 1, {}), special)
      end
    end
  end
  return table.concat(out)
end

--- @param ids integer[]|Tensor|integer
--- @param opt? {special: boolean?}  false leaves special tokens out
--- @return string  bytes; UTF-8 where the ids make whole characters
function Bpe:decode(ids, opt)
  if type(ids) == "number" then ids = { ids } end
  if type(ids) == "userdata" then ids = ids:table() end
  if type(ids) ~= "table" then error("decode: expected ids, got " .. type(ids), 2) end
  local special = options(opt, { special = true }, "decode").special
  local back = self.file.back
  if back.head or back.mark then return decode_head(self, ids, special) end
  return self.core:decode(ids, special)
end

--- The id of an added token's text, or of another token's bytes; nil if there is none.
function Bpe:id(token)
  return self.core:find(token, true) or self.core:find(token, false)
end

--- The bytes that no token stands for, as a string: files may lack some, and what cannot be encoded
--- is left out, as `tokenizers` does, or becomes the file's unknown token.
function Bpe:missing()
  local out = {}
  for b = 0, self.file.level and 255 or -1 do
    if not self.core:find(string.char(b), false) then out[#out + 1] = string.char(b) end
  end
  return table.concat(out)
end

--- Whether decode gives every text back as it was, byte for byte: all bytes have tokens, nothing is
--- rewritten, put before a text or taken from it.
function Bpe:is_exact() return self.file.exact and self:missing() == "" end

--- The bytes that a token stands for in a text: "" for a special one.
function Bpe:bytes(id)
  local s, kind, shown = self.core:token(id)
  if not s then
    error(("bytes: id %s is outside 0..%d"):format(tostring(id), self:size() - 1), 2)
  end
  return kind == SPECIAL and "" or shown
end

function Bpe:is_special(id)
  return select(2, self.core:token(id)) == SPECIAL
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
  local held, show = "", shower(self)
  return function(id)
    local s = held .. (id and show(id) or "")
    local keep = id and unfinished(s) or 0
    held = s:sub(#s - keep + 1)
    return s:sub(1, #s - keep)
  end
end

--- Write tokenizer.json; true, or nil, message, code.
function Bpe:save(path)
  return json.save(path, hf.document(self.core, self.file, self.ignore_merges))
end

return bpe
