--- Questions over several turns about facts that user turns gave: the answer to the last question
--- counts. The turns before it are the model's own, right or wrong, as in a real conversation.
local match = require "moonlit.eval.match"

return {
  name = "questions", title = "questions answered", better = "higher", own_turns = true,
  items = function(world, part, n) return world:tasks(part, n).questions end,
  score = function(item, reply) return match.exact(reply.content, item.answer) end,
}
