--- Data without anything in them.
return { at = "message", severe = true, find = function(message)
  local what = message:match "([^%s]+) is empty"
  if what then
    return what .. " is empty", "give it text; moonlit inspect FILE shows what is read"
  end
  if message:find("no documents", 1, true) or message:find("no sequences", 1, true) then
    return "the data hold no documents", "moonlit inspect FILE shows what is read, and what is not"
  end
end }
