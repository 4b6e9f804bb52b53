--- Weights that are not finite before the first step.
return { at = "start", severe = true, find = function(c)
  for _, p in ipairs(c.parameters) do
    local t = p.tensor:detach()
    local sum = t:sum():item()
    if sum - sum ~= 0 and (t * 0):isnan():any():item() then
      return p.name .. " is not finite", "load other weights: these are not numbers"
    end
  end
end }
