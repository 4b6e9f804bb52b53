--- A loss or a gradient that is not finite in the first steps.
return { at = "message", severe = true, find = function(message)
  local step, what, where = message:match "run: step (%d+): (.-), first in (.-) %("
  if step then
    return ("in step %s %s, first in %s"):format(step, what, where),
           where:find "^the weights" and "load other weights: these are not numbers"
           or "look for a division by zero or a logarithm of zero; a smaller lr, clip = 1"
  end
end }
