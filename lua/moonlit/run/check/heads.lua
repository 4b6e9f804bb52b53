--- Heads that do not divide.
return { at = "message", severe = true, find = function(message)
  local a, b = message:match "model: heads must divide dim, got (%d+) and (%d+)"
  if a then
    return ("%s heads do not divide dim %s"):format(a, b),
           ("dim = %d, or other heads"):format((tonumber(b) + a - 1) // a * a // 1)
  end
  a, b = message:match "kv_heads must divide heads, got (%d+) and (%d+)"
  if a then
    return ("%s kv_heads do not divide %s heads"):format(a, b), "kv_heads = 1, or one that does"
  end
end }
