--- A story in, its one sentence out: right when every word is.
local match = require "moonlit.eval.match"

return {
  name = "summary", title = "summaries right", better = "higher",
  items = function(world, part, n) return world:tasks(part, n).summary end,
  score = function(item, reply) return match.exact(reply.content, item.answer) end,
}
