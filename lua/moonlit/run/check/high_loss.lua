--- A first loss far above that of equal guesses.
return { at = "step", severe = false, find = function(c)
  if c.loss and c.vocab and c.loss > 1.5 * math.log(c.vocab) + 1 then
    return ("the first loss is %.2f; guessing gives %.2f"):format(c.loss, math.log(c.vocab)),
           "smaller initial weights; for a loaded model, the tokenizer it was trained with"
  end
end }
