--- Bits per byte: what a model needs to write a text down, whatever its tokenizer.
---
---   ml.eval.bits_per_byte(model, tok, docs)
---     -> { bits_per_byte = 0.47, bits = ..., bytes = ..., tokens = ..., documents = ... }
---
--- Every token of every document is predicted once, from the tokens before it in its document; the
--- first from <|endoftext|>, or, where the tokenizer has none, from nothing: at log2 of the
--- vocabulary's size. A document that does not fit the context is cut into rows, see `stride`.
--- The bytes are those of the tokens, and must be those of the text.
local options = require "moonlit.options"
local rows = require "moonlit.eval.rows"

local WHO = "eval.bits_per_byte"
local POOL = 1 << 20 -- bytes of text tokenized and sorted by length together

-- documents as an iterator of text, id
local function reader(docs)
  local n = 0
  local take = docs
  if type(docs) == "table" then
    take = function()
      n = n + 1
      return docs[n]
    end
  elseif type(docs) ~= "function" then
    error(WHO .. ": expected a list or an iterator of documents, got " .. type(docs), 3)
  end
  local count = 0
  return function()
    local doc = take()
    if doc == nil then return nil end
    count = count + 1
    local text = type(doc) == "table" and doc.text or doc
    if type(text) ~= "string" then
      error(("%s: document %d has no text, got %s"):format(WHO, count, type(text)), 0)
    end
    return text, type(doc) == "table" and doc.id or "number " .. count
  end
end

-- up to POOL bytes of documents that hold any; nil at the end
local function pool_of(next_text)
  local texts, names, bytes, empty = {}, {}, 0, 0
  while bytes < POOL do
    local text, name = next_text()
    if not text then break end
    if #text == 0 then empty = empty + 1
    else
      texts[#texts + 1], names[#texts + 1] = text, name
      bytes = bytes + #text
    end
  end
  if #texts + empty > 0 then return texts, names, empty end
end

local function encode_all(tok, texts)
  if tok.encode_all then return tok:encode_all(texts) end
  local lists = {}
  for i, text in ipairs(texts) do lists[i] = tok:encode(text) end
  return lists
end

local function check_bytes(tok, ids, text, name)
  local bytes = 0
  for _, id in ipairs(ids) do bytes = bytes + #tok:bytes(id) end
  if bytes ~= #text then
    error(("%s: document %s: its tokens hold %d bytes, its text %d"):format(WHO, name, bytes,
                                                                           #text), 0)
  end
end

-- one pool into the running totals, in the order of the documents
local function add_pool(total, model, tok, o, texts, names)
  local list, owner, first_bits = {}, {}, o.start and 0 or math.log(tok:size(), 2)
  for d, ids in ipairs(encode_all(tok, texts)) do
    check_bytes(tok, ids, texts[d], names[d])
    total.tokens, total.bytes = total.tokens + #ids, total.bytes + #texts[d]
    if o.start then table.insert(ids, 1, o.start) end
    for _, row in ipairs(rows.cut(ids, o.context, o.stride)) do
      list[#list + 1], owner[#list + 1] = row, d
    end
  end
  local bits = {}
  for d = 1, #texts do bits[d] = first_bits end
  for i, sum in ipairs(rows.score(model, list, o.batch)) do
    bits[owner[i]] = bits[owner[i]] - sum / math.log(2)
  end
  for d = 1, #texts do total.bits = total.bits + bits[d] end
  total.documents = total.documents + #texts
end

--- @param model Model
--- @param tok Tokenizer  encode, bytes(id), size; id("<|endoftext|>") where it has one
--- @param docs (string|{text: string, id: string?})[]|function  a list, or an iterator
--- @param opt? {batch: integer?, context: integer?, stride: integer?}  rows in a forward (16);
---   the longest history (the model's context); how many tokens a further row of a long document
---   adds: the context by default, so that no token is read twice; less gives each a longer history
--- @return {bits_per_byte: number, bits: number, bytes: integer, tokens: integer,
---   documents: integer}
return function(model, tok, docs, opt)
  local o = options(opt, { batch = 16, context = model.options.context,
                           stride = options.optional }, WHO)
  o.batch, o.context = rows.count(o, "batch", WHO), rows.count(o, "context", WHO)
  o.stride = o.stride and rows.count(o, "stride", WHO) or o.context
  if o.context > model.options.context or o.stride > o.context then
    error(("%s: expected stride <= context <= %d (the model's), got %d and %d"):format(WHO,
          model.options.context, o.stride, o.context), 2)
  end
  o.start = rows.start_id(tok)
  local total, next_text = { bits = 0.0, bytes = 0, tokens = 0, documents = 0 }, reader(docs)
  local texts, names, empty = pool_of(next_text)
  while texts do
    add_pool(total, model, tok, o, texts, names)
    total.documents = total.documents + empty
    texts, names, empty = pool_of(next_text)
  end
  if total.bytes == 0 then
    error(("%s: %d documents, no text"):format(WHO, total.documents), 2)
  end
  total.bits_per_byte = total.bits / total.bytes
  return total
end
