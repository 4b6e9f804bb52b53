--- Documents of a length: in bytes, characters or words.
---
---   local keep = ml.data.filter.length { min_words = 5, max_bytes = 1 << 20 }
---
--- Reasons: too_few_bytes, too_many_bytes, and the same of chars and words.
local core = require "moonlit.core"
local document = require "moonlit.data.document"
local options = require "moonlit.options"

local units = { { "bytes", function(text) return #text end },
                { "chars", core.stats.chars },
                { "words", function(text) return core.stats.layout(text, 0).words end } }

--- @param opt {min_bytes: integer?, max_bytes: integer?, min_chars: integer?, max_chars: integer?,
---             min_words: integer?, max_words: integer?}  what is not given does not count
--- @return fun(doc: table): boolean, string?
return function(opt)
  local known = {}
  for _, unit in ipairs(units) do
    known["min_" .. unit[1]], known["max_" .. unit[1]] = options.optional, options.optional
  end
  local o = options(opt, known, "filter.length")
  return function(doc)
    local text = document.text(doc, "filter.length")
    for _, unit in ipairs(units) do
      local name, count = unit[1], unit[2]
      local min, max = o["min_" .. name], o["max_" .. name]
      local n = (min or max) and count(text)
      if min and n < min then return false, "too_few_" .. name end
      if max and n > max then return false, "too_many_" .. name end
    end
    return true
  end
end
