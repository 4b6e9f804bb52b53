--- What a model learns from: ids cut into batches, conversations with their loss
--- mask, and text to try things on.
return {
  windows = require "moonlit.data.windows".windows,
  blocks = require "moonlit.data.windows".blocks,
  split = require "moonlit.data.windows".split,
  chat = require "moonlit.data.chat",
  tools = require "moonlit.data.tools",
  prose = require "moonlit.data.prose",
}
