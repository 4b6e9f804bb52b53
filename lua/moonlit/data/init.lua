--- What a model learns from: ids cut into batches, documents chosen and cleaned, and text to try
--- things on.
return {
  windows = require "moonlit.data.windows".windows,
  blocks = require "moonlit.data.windows".blocks,
  split = require "moonlit.data.windows".split,
  prose = require "moonlit.data.prose",
  filter = require "moonlit.data.filter",
  dedup = require "moonlit.data.dedup",
  pii = require "moonlit.data.pii",
  decontaminate = require "moonlit.data.decontaminate",
  ledger = require "moonlit.data.ledger",
}
