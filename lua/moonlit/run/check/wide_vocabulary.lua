--- A vocabulary far larger than the tokenizer: rows that nothing trains.
return { at = "start", severe = false, find = function(c)
  if c.tokens and c.vocab and c.vocab > 1.5 * c.tokens + 64 then
    return ("the model has a vocabulary of %d, the tokenizer %d ids"):format(c.vocab, c.tokens),
           ("vocab = tok:size(), or the next multiple of 64, %d"):format((c.tokens + 63) // 64 * 64)
  end
end }
