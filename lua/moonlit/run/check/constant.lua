--- Rows of one id.
return { at = "step", severe = false, find = function(c)
  local batch = c.batches[1]
  if batch and batch.ids:amax():item() == batch.ids:amin():item() then
    return ("every id of the first batch is %d"):format(batch.ids:amin():item()),
           "look at the data: moonlit inspect FILE"
  end
end }
