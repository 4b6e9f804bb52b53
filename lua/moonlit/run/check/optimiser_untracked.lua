--- An optimiser that checkpoints do not hold.
return { at = "start", severe = false, find = function(c)
  if c.model and not c.opt then
    return "no optimiser is tracked: a resumed run would start with empty moments",
           "run:track { model = model, opt = opt, ... }"
  end
end }
