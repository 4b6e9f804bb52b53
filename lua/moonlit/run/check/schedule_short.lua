--- A schedule that is at 0 before the run ends.
return { at = "step", severe = true, find = function(c)
  for _, s in ipairs(c.schedules) do
    if s.steps and s.steps < c.total and s.floor == 0 then
      return ("the rate is 0 from step %d of %d"):format(s.steps, c.total),
             ("steps = %d in the schedule, or a floor"):format(c.total)
    end
  end
end }
