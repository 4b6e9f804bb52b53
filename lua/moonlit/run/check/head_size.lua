--- Rotary positions turn pairs: a head needs an even size.
return { at = "message", severe = true, find = function(message)
  local size = message:match "rope needs an even head_dim, got (%d+)"
  if size then
    return ("heads of size %s cannot be rotated in pairs"):format(size),
           'an even dim / heads, or positions = "learned"'
  end
end }
