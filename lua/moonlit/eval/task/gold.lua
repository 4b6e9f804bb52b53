--- How good the same replies truly are: the world's gold score, at most 2, below 0 for rambling.
local style = require "moonlit.eval.task.style"

return {
  name = "gold", title = "gold score, sampled", better = "higher", temperature = 1,
  unit = "points", items = style.items,
  score = function(item, reply) return item.gold(reply.content, item.answer) end,
}
