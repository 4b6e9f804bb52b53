--- A run of no steps.
return { at = "start", severe = true, find = function(c)
  if c.total == 0 then return "the run has 0 steps", "steps=1000" end
end }
