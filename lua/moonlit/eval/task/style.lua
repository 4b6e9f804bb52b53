--- Questions answered in the style that is preferred: one courtesy and the right statement. Drawn
--- at temperature 1, as the style is a matter of how often.
local manners = require "moonlit.data.world.manners"

return {
  name = "style", title = "in the preferred style, sampled", better = "higher", temperature = 1,
  items = function(world, part, n) return world:tasks(part, n).style end,
  score = function(item, reply) return manners.preferred(reply.content, item.answer) end,
}
