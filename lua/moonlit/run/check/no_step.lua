--- A loop that never updates.
return { at = "step", severe = true, find = function(c)
  if c.updates == 0 then
    return "the loop took no optimiser step", "norm = opt:step { lr = rate(step), clip = 1 }"
  end
end }
