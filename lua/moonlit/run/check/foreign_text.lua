--- Text with characters that the tokenizer was not made from.
return { at = "message", severe = true, find = function(message)
  local what = message:match "(character U%+%x+) is not" or message:match "(byte 0x%x+) is not"
               or message:match "encode: .-(character U%+%x+)"
  if what then
    return what .. " of the data is not in the tokenizer",
           "make the tokenizer from this text, or take ml.text.train, which knows every byte"
  end
end }
