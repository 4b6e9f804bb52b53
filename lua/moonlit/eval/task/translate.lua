--- A sentence into the town's second language: right when every word and ending is.
local match = require "moonlit.eval.match"

return {
  name = "translate", title = "translations right", better = "higher",
  items = function(world, part, n) return world:tasks(part, n).translate end,
  score = function(item, reply) return match.exact(reply.content, item.answer) end,
}
