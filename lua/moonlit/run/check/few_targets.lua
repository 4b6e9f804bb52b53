--- Rows in which hardly anything is learned.
return { at = "step", severe = false, find = function(c)
  if c.learned and c.learned > 0 and c.learned < 0.02 * c.positions then
    return ("only %.1f %% of the first batches' tokens are learned"):format(
             100 * c.learned / c.positions),
           "shorter prompts, or whole = true, so that answers are not cut off"
  end
end }
