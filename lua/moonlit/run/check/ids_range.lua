--- Ids that the model has no row for.
return { at = "message", severe = true, find = function(message)
  local id, vocab = message:match "id (%-?%d+) is not in a vocabulary of (%d+)"
  if id then
    return ("the data hold id %s, the model's vocabulary is 0 to %d"):format(id, vocab - 1),
           "vocab = tok:size(), and data made with that tokenizer"
  end
end }
