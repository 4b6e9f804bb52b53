--- An end of turn that is never learned: the model will not stop.
return { at = "step", severe = true, find = function(c)
  local tok = c.tok
  local mark = tok and tok.id and tok:id "<|im_end|>"
  if not mark then return nil end
  local learned, outside = 0, 0
  for _, batch in ipairs(c.batches) do
    local ids, mask = batch.ids:table(), batch.mask and batch.mask:table()
    for b, row in ipairs(mask and ids or {}) do
      for t = 2, #row do
        if row[t] == mark and mask[b][t] ~= 0 then learned = learned + 1 end
        if row[t] == mark and mask[b][t] == 0 and mask[b][t - 1] ~= 0 then outside = outside + 1 end
      end
    end
  end
  if outside > 0 and learned == 0 then
    return "the end of a turn is not learned: its mask is 0 after every answer",
           "mask 1 for <|im_end|> too, as ml.data.chat has it"
  end
end }
