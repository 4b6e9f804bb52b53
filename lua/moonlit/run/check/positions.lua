--- Learned positions that no row reaches stay as they were drawn.
return { at = "start", severe = false, find = function(c)
  local o = c.model and c.model.options
  if o and o.positions == "learned" and c.length and c.length < c.context then
    return ("positions %d to %d are never trained: rows have %d tokens"):format(c.length + 1,
              c.context, c.length), ("length = %d, or context = %d"):format(c.context, c.length)
  end
end }
