--- Documents as what a model learns from: token ids, begun and ended by <|endoftext|>.
---
---   local data = ml.data.packed(ml.data.sequences(documents, tok), { batch = 8, length = 256 })
---
--- The first id is there to predict from: loaders never make a target of a document's first. The
--- last teaches where a document ends.
local document = require "moonlit.data.document"

local GROUP = 256 -- documents tokenized together, on all threads

--- @param documents function|table[]  an iterator or a list of { text =, id = }
--- @param tok Tokenizer  with <|endoftext|>
--- @return function iterator of { ids = integer[], id = string? }; the id says where the document
---         comes from, if it knows: data.read's origin
return function(documents, tok)
  local next_document = document.each(documents, "data.sequences")
  local mark = type(tok) == "table" and tok.id and tok:id "<|endoftext|>"
  if not mark then error("data.sequences: the tokenizer has no <|endoftext|>", 2) end
  local at, ready = 0, {}
  local function refill()
    local group, texts = {}, {}
    for i = 1, GROUP do
      group[i] = next_document()
      if not group[i] then break end
      texts[i] = group[i].text
    end
    ready, at = {}, 0
    for i, ids in ipairs(tok:encode_all(texts)) do
      table.insert(ids, 1, mark)
      ids[#ids + 1] = mark
      ready[i] = { ids = ids, id = group[i].origin or group[i].id }
    end
  end
  return function()
    if at >= #ready then refill() end
    at = at + 1
    return ready[at]
  end
end
