--- A line of a data file that is not what it should be.
return { at = "message", severe = true, find = function(message)
  local where, what = message:match "([^%s:]+%.%w+:%d+): (expected [^\n]*)"
  if where and not where:find "%.lua:" then
    return ("%s: %s"):format(where, what), "mend that line; moonlit inspect FILE lists all of them"
  end
end }
