--- Fewer ids than a row takes.
return { at = "message", severe = true, find = function(message)
  local ids, row = message:match "(%d+) ids are too few for rows of (%d+)"
  if ids then
    return ("the data have %s tokens, a row takes %s"):format(ids, row),
           "more data, or a smaller length"
  end
end }
