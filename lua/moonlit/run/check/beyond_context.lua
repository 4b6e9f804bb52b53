--- Rows longer than the model's context.
return { at = "start", severe = true, find = function(c)
  if c.length and c.context and c.length > c.context then
    return ("rows of %d tokens, a context of %d"):format(c.length, c.context),
           ("length = %d, or context = %d"):format(c.context, c.length)
  end
end }
