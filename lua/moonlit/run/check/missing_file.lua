--- A file that is not there.
return { at = "message", severe = true, find = function(message)
  local path = message:match "([^%s:]+): cannot open: No such file"
               or message:match "([^%s:]+): No such file or directory"
  if path and not path:find "/?config%.json$" then
    return path .. " is not there",
           "check the path: a relative one starts where the command is run"
  end
end }
