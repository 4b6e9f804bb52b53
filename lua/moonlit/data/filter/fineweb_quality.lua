--- FineWeb's own rules (Penedo et al. 2024), with the thresholds of the code that made it: the
--- share of characters in repeated lines is 0.01 there, 0.1 in the paper.
---
---   local keep = ml.data.filter.fineweb_quality { max_repeated_chars = 0.1 }
---
--- Lines are what \n parts and are not blank. The mark that ends a line is one that ends a
--- sentence in any script (Unicode's Sentence_Terminal): no quotation mark, no colon; white space
--- behind it hides it, as in the original (c4, which comes before, takes it away).
local core = require "moonlit.core"
local document = require "moonlit.data.document"
local options = require "moonlit.options"
local ratio = document.ratio

local defaults = {
  min_ended_lines = 0.12,      -- lines that end a sentence
  max_short_lines = 0.67, short_line = 30, -- lines of at most so many characters
  max_repeated_chars = 0.01,   -- characters of repeated lines
  max_breaks = 0.3,            -- line breaks to words
}

--- @param opt? table  thresholds, as above; false turns one off
--- @return fun(doc: table): boolean, string?
return function(opt)
  local o = options(opt, defaults, "filter.fineweb_quality")
  return function(doc)
    local l = core.stats.layout(document.text(doc, "filter.fineweb_quality"), o.short_line)
    local lines = l.lines.count
    if lines == 0 then return false, "empty" end
    if o.min_ended_lines and ratio(l.ended, lines) < o.min_ended_lines then
      return false, "line_punct_ratio"
    elseif o.max_short_lines and ratio(l.brief, lines) > o.max_short_lines then
      return false, "short_line_ratio"
    elseif o.max_repeated_chars and ratio(l.lines.again_chars, l.chars) > o.max_repeated_chars then
      return false, "char_dup_ratio"
    elseif o.max_breaks and ratio(l.breaks, l.words) > o.max_breaks then
      return false, "list_ratio"
    end
    return true
  end
end
