--- How good the same replies truly are: the world's gold score, at most 2, below 0 for rambling.
local manners = require "moonlit.data.world.manners"
local style = require "moonlit.eval.task.style"

return {
  name = "gold", title = "gold score, sampled", better = "higher", temperature = 1,
  unit = "points", items = style.items,
  score = function(item, reply)
    return manners.gold(reply.content, item.answer)
  end,
}
