--- Gopher's rules against repetition (Rae et al. 2021, table A1), as FineWeb runs them.
---
---   local keep = ml.data.filter.gopher_repetition()
---
--- Paragraphs are what two or more line breaks part, lines what one or more do. Duplicates are all
--- but the first of equal ones. top[n] limits the characters of the most frequent n words in a row,
--- times how often they come, even once; grams[n] those of n words in a row that came before. A
--- share is of the text's characters; an empty text has none and passes.
local core = require "moonlit.core"
local document = require "moonlit.data.document"
local options = require "moonlit.options"
local ratio = document.ratio

local defaults = {
  max_paragraphs = 0.30, max_paragraph_chars = 0.20,
  max_lines = 0.30, max_line_chars = 0.20,
  top = { [2] = 0.20, [3] = 0.18, [4] = 0.16 },
  grams = { [5] = 0.15, [6] = 0.14, [7] = 0.13, [8] = 0.12, [9] = 0.11, [10] = 0.10 },
}

local pieces = {
  { "dup_para_frac", "max_paragraphs", function(r)
    return ratio(r.paragraphs.again, r.paragraphs.count)
  end },
  { "dup_para_char_frac", "max_paragraph_chars", function(r)
    return ratio(r.paragraphs.again_chars, r.chars)
  end },
  { "dup_line_frac", "max_lines", function(r) return ratio(r.lines.again, r.lines.count) end },
  { "dup_line_char_frac", "max_line_chars", function(r)
    return ratio(r.lines.again_chars, r.chars)
  end },
}

-- a table of limits by n: only those that are counted
local function check_limits(o, name)
  for n in pairs(o[name] or {}) do
    if not defaults[name][n] then
      error(("filter.gopher_repetition: %s has no limit for n = %s"):format(name, tostring(n)), 3)
    end
  end
end

--- @param opt? table  thresholds, as above; false turns one off
--- @return fun(doc: table): boolean, string?
return function(opt)
  local o = options(opt, defaults, "filter.gopher_repetition")
  check_limits(o, "top")
  check_limits(o, "grams")
  return function(doc)
    local r = core.stats.repetition(document.text(doc, "filter.gopher_repetition"))
    for _, rule in ipairs(pieces) do
      if o[rule[2]] and rule[3](r) > o[rule[2]] then return false, rule[1] end
    end
    for n = 2, 4 do
      local limit = o.top and o.top[n]
      if limit and ratio(r.top[n], r.chars) > limit then return false, ("top_%d_gram"):format(n) end
    end
    for n = 5, 10 do
      local limit = o.grams and o.grams[n]
      if limit and ratio(r.grams[n], r.chars) > limit then
        return false, ("duplicated_%d_n_grams"):format(n)
      end
    end
    return true
  end
end
