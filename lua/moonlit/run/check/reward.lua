--- A reward that is not a number.
return { at = "message", severe = true, find = function(message)
  local who, prompt, got = message:match "(%S+): prompt (%d+), sample %d+, .-number, got (%S+)"
  if who then
    return ("%s gave %s for prompt %s"):format(who, got, prompt),
           "return a finite number for every sample: 0 where nothing can be said"
  end
end }
