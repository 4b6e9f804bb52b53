--- Rows in which nothing is learned.
return { at = "step", severe = true, find = function(c)
  if c.learned == 0 then
    return "no token of the first batches is learned: their mask is 0 everywhere",
           "mask 1 where the answer is; moonlit inspect FILE shows it"
  end
end }
