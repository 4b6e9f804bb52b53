--- Building blocks of models: the model itself, the block written in Lua, the presets.
return {
  model = require "moonlit.nn.model",
  block = require "moonlit.nn.block",
  presets = require "moonlit.nn.presets",
}
