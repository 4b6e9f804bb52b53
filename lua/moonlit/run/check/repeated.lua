--- Data seen again and again.
local MOST = 100 -- epochs

return { at = "start", severe = false, find = function(c)
  if c.epochs and c.epochs > MOST then
    return ("the run reads its data %.0f times"):format(c.epochs),
           ("more data, or steps=%d"):format(math.max(1, c.total * MOST // c.epochs // 1))
  end
end }
