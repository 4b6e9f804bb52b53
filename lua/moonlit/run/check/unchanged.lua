--- A step that changes no weight.
return { at = "step", severe = true, find = function(c)
  if c.updates ~= 0 and c.unchanged then
    return c.rate == 0 and "the learning rate of the first step is 0"
           or "the first step changed no weight of the tracked model",
           c.rate == 0 and "a peak above 0, and no lr = 0"
           or "make the optimiser of this model's parameters, and the loss with this model"
  end
end }
