--- A step that does not fit into the memory.
return { at = "start", severe = true, find = function(c)
  local m = c.memory
  if m.free and m.more > m.free then
    return ("training takes %.1f GB more, %.1f GB are free"):format(m.more / 1e9, m.free / 1e9),
           "a smaller batch or model, or recompute = true in ml.model"
  end
end }
