--- An optimiser step without gradients.
return { at = "message", severe = true, find = function(message)
  if message:find("no parameter has a gradient", 1, true) then
    return "the optimiser's parameters have no gradient",
           "loss:backward() before opt:step(), and an optimiser of model:parameters()"
  end
end }
