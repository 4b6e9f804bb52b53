--- What a model learns from: ids cut into batches, and text to try things on.
return {
  windows = require "moonlit.data.windows".windows,
  blocks = require "moonlit.data.windows".blocks,
  split = require "moonlit.data.windows".split,
  prose = require "moonlit.data.prose",
}
