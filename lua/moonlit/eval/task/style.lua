--- Questions answered in the style that is preferred: one courtesy and the right statement. Drawn
--- at temperature 1, as the style is a matter of how often.
return {
  name = "style", title = "in the preferred style, sampled", better = "higher", temperature = 1,
  items = function(world, part, n)
    local items = world:tasks(part, n).style
    for _, item in ipairs(items) do item.preferred, item.gold = world.preferred, world.gold end
    return items
  end,
  score = function(item, reply) return item.preferred(reply.content, item.answer) end,
}
