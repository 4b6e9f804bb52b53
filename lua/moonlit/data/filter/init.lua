--- Rules that say which documents are worth learning from. A filter is a function of a document:
--- true, or false and the reason; where it changes the text, true and a new document.
---
---   local keep = ml.data.filter.gopher_quality { min_words = 20 }
---   local fine, reason = keep { text = "Hello." }        -- false, "gopher_short_doc"
---
--- Thresholds are those that were published; false turns a rule off. Words are core.stats.words:
--- runs of letters and digits, and most other characters each for itself. tests/oracle/data.py
--- holds the decisions beside datatrove's.
return {
  c4 = require "moonlit.data.filter.c4",
  classifier = require "moonlit.data.filter.classifier",
  fineweb_quality = require "moonlit.data.filter.fineweb_quality",
  gopher_quality = require "moonlit.data.filter.gopher_quality",
  gopher_repetition = require "moonlit.data.filter.gopher_repetition",
  language = require "moonlit.data.filter.language",
  length = require "moonlit.data.filter.length",
  perplexity = require "moonlit.data.filter.perplexity",
  symbols = require "moonlit.data.filter.symbols",
  url = require "moonlit.data.filter.url",
}
