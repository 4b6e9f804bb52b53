--- A schedule that ends after the run.
return { at = "step", severe = false, find = function(c)
  for _, s in ipairs(c.schedules) do
    if s.steps and s.steps > c.total and s.peak ~= s.floor then
      return ("the schedule takes %d steps, the run %d: its end is never reached"):format(s.steps,
               c.total), ("steps = %d in the schedule"):format(c.total)
    end
  end
end }
