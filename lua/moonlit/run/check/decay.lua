--- Weight decay of more than the weights.
return { at = "start", severe = false, find = function(c)
  for _, g in ipairs(c.groups) do
    if g.weight_decay and (g.weight_decay < 0 or g.weight_decay > 1) then
      return ("weight_decay is %g: each step takes lr times it off every weight"):format(
               g.weight_decay), "weight_decay = 0.1"
    end
  end
end }
