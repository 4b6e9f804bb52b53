--- Sums of numbers with two and three digits: right when the last number of the reply is, with or
--- without working.
local match = require "moonlit.eval.match"

return {
  name = "sums", title = "sums solved", better = "higher",
  items = function(world, part, n) return world:tasks(part, n).sums end,
  score = function(item, reply) return match.number(reply.content, item.answer) end,
}
