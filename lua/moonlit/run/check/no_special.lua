--- A tokenizer without the control tokens that the data need.
return { at = "message", severe = true, find = function(message)
  local token = message:match 'the tokenizer has no "?([^%s";]+)'
  if token then
    return ("the tokenizer has no %s"):format(token),
           "train it with special = ml.data.chat.special"
  end
end }
