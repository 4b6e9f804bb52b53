--- A long run with its only checkpoint at the end.
local LONG = 1200 -- seconds

return { at = "step", severe = false, find = function(c)
  local run = c.run
  if c.eta and c.eta > LONG and (run.save_every == 0 or run.save_every >= c.total) then
    return ("the run takes %.0f minutes and is saved at its end only"):format(c.eta / 60),
           ("save_every = %d"):format(math.max(1, c.total // 10))
  end
end }
