--- Checkpoints that do not fit on the disk.
return { at = "start", severe = true, find = function(c)
  local need = c.disk.checkpoint * (c.disk.kept + 1)
  if c.disk.free and need > c.disk.free then
    return ("%d checkpoints of %.1f MB and one being written take %.1f MB, %s has %.1f MB"):format(
              c.disk.kept, c.disk.checkpoint / 1e6, need / 1e6, c.disk.where, c.disk.free / 1e6),
           "a smaller keep, or --out on a larger disk"
  end
end }
