--- A directory that holds no model.
return { at = "message", severe = true, find = function(message)
  local dir = message:match "([^%s:]+)/config%.json: No such file"
  if dir then
    return dir .. " holds no model", "name a run's directory or a model's, or train it first"
  end
end }
