--- A tokenizer with more ids than the model has rows.
return { at = "start", severe = true, find = function(c)
  if c.tokens and c.vocab and c.tokens > c.vocab then
    return ("the tokenizer has %d ids, the model a vocabulary of %d"):format(c.tokens, c.vocab),
           "vocab = tok:size()"
  end
end }
