--- Data that checkpoints know nothing of.
return { at = "start", severe = false, find = function(c)
  if c.model and not c.data then
    return "no data are tracked: a resumed run would read from the start again",
           "run:track { model = model, data = data, ... }"
  end
end }
