--- No memory left.
return { at = "message", severe = true, find = function(message)
  if message:find("out of memory", 1, true) or message:find("not enough memory", 1, true) then
    return "a step takes more memory than there is",
           "a smaller batch or length, or recompute = true in ml.model"
  end
end }
