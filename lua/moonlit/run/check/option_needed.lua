--- An option without a default was left out.
return { at = "message", severe = true, find = function(message)
  local who, name = message:match '([%w_.]+): option "([^"]+)" is needed'
  if name then return ('%s is called without "%s"'):format(who, name), name .. " = ..." end
end }
