--- Every step is given the same batch.
return { at = "step", severe = false, find = function(c)
  if c.same_batch then
    return "two steps were given the same batch", "call data:next() inside the loop"
  end
end }
