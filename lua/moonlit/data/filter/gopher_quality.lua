--- Gopher's quality rules (Rae et al. 2021, table A1), as FineWeb runs them.
---
---   local keep = ml.data.filter.gopher_quality()
---
--- A word counts towards the length of a document and the mean length of words unless it is a
--- symbol; ratios are of all words. Stop words are looked for as they are written: "The" is not
--- "the". A text without words is short, whatever its lines.
local core = require "moonlit.core"
local document = require "moonlit.data.document"
local options = require "moonlit.options"
local ratio = document.ratio

local defaults = {
  min_words = 50, max_words = 100000,
  min_mean_length = 3, max_mean_length = 10,
  max_symbol_ratio = 0.1,          -- "#", and ellipses, to words
  max_bullet_lines = 0.9, max_ellipsis_lines = 0.3,
  min_alpha_words = 0.8,           -- words with a letter
  min_stop_words = 2,              -- different ones
  stop_words = { "the", "be", "to", "of", "and", "that", "have", "with" },
}

-- reason, option, what is measured, and whether the option is the least that is allowed
local rules = {
  { "gopher_short_doc", "min_words", function(q) return q.plain end, true },
  { "gopher_long_doc", "max_words", function(q) return q.plain end },
  { "gopher_below_avg_threshold", "min_mean_length",
    function(q) return ratio(q.plain_chars, q.plain) end, true },
  { "gopher_above_avg_threshold", "max_mean_length",
    function(q) return ratio(q.plain_chars, q.plain) end },
  { "gopher_too_many_hashes", "max_symbol_ratio",
    function(q) return ratio(q.hashes, q.words) end },
  { "gopher_too_many_ellipsis", "max_symbol_ratio",
    function(q) return ratio(q.ellipses, q.words) end },
  { "gopher_too_many_bullets", "max_bullet_lines",
    function(q) return ratio(q.bullets, q.lines) end },
  { "gopher_too_many_end_ellipsis", "max_ellipsis_lines",
    function(q) return ratio(q.trailing, q.lines) end },
  { "gopher_below_alpha_threshold", "min_alpha_words",
    function(q) return ratio(q.alpha, q.words) end, true },
  { "gopher_enough_stop_words", "min_stop_words", function(q) return q.stops end, true },
}

--- @param opt? table  thresholds, as above; false turns one off
--- @return fun(doc: table): boolean, string?
return function(opt)
  local o = options(opt, defaults, "filter.gopher_quality")
  return function(doc)
    local q = core.stats.quality(document.text(doc, "filter.gopher_quality"), o.stop_words)
    for _, rule in ipairs(rules) do
      local reason, limit, value, least = rule[1], o[rule[2]], rule[3](q), rule[4]
      if limit and (least and value < limit or not least and value > limit) then
        return false, reason
      end
    end
    return true
  end
end
