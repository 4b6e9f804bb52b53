--- A model that cannot be talked to.
return { at = "start", severe = false, find = function(c)
  if c.model and not c.tok and c.vocab then
    return "no tokenizer is tracked: chat, eval and export would not know the ids",
           "run:track { model = model, tok = tok, ... }"
  end
end }
