--- A warm-up as long as the run.
return { at = "step", severe = false, find = function(c)
  for _, s in ipairs(c.schedules) do
    if s.warmup >= c.total and c.total > 1 then
      return ("the warm-up takes %d steps, the run %d"):format(s.warmup, c.total),
             ("warmup = %d"):format(c.total // 10)
    end
  end
end }
