--- Sums as the model draws its replies, at temperature 1: how likely it is to be right.
local sums = require "moonlit.eval.task.sums"

return {
  name = "sums_sampled", title = "sums solved, sampled", better = "higher", temperature = 1,
  items = sums.items, score = sums.score,
}
