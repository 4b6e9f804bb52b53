--- The same conversations asked backward, "Who sells rusty lamps?": harder for a small model, as
--- it reads from left to right and the name came first.
local match = require "moonlit.eval.match"

return {
  name = "questions_back", title = "backward questions answered", better = "higher",
  own_turns = true,
  items = function(world, part, n) return world:tasks(part, n).questions_back end,
  score = function(item, reply) return match.exact(reply.content, item.answer) end,
}
