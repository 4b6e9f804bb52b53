--- Documents by how well a model predicts them: what surprises it is not like the text it learned,
--- what does not surprise it at all says nothing new (CCNet sorts so; Wenzek et al. 2019).
---
---   local keep = ml.data.filter.perplexity { max_bits = 1.5, bits = function(doc)
---     return ml.eval.bits_per_byte(model, tok, { doc }).bits_per_byte
---   end }
---
--- Bits per byte do not depend on the tokenizer: 2 ^ (bits per byte * bytes per token) is the
--- perplexity of a token.
local document = require "moonlit.data.document"
local options = require "moonlit.options"

--- @param opt {bits: (fun(doc: table): number), max_bits: number?, min_bits: number?}  bits of a
---        byte of the document; a limit that is not given is none
--- @return fun(doc: table): boolean, string?, string?
return function(opt)
  local o = options(opt, { bits = options.required, max_bits = math.huge, min_bits = 0.0 },
                    "filter.perplexity")
  if type(o.bits) ~= "function" then
    error("filter.perplexity: bits must be a function of a document, got " .. type(o.bits), 2)
  end
  return function(doc)
    if document.text(doc, "filter.perplexity") == "" then return false, "empty" end
    local bits = o.bits(doc)
    local detail = ("%.2f bits per byte"):format(bits)
    if bits > o.max_bits then return false, "too_surprising", detail end
    if bits < o.min_bits then return false, "too_plain", detail end
    return true
  end
end
