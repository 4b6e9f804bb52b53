--- Parameters that require a gradient, in no group of the optimiser.
return { at = "start", severe = false, find = function(c)
  if not (c.opt and c.opt.names) then return nil end
  local held, n, first = {}, 0, nil
  for _, name in ipairs(c.opt.names) do held[name] = true end
  for _, p in ipairs(c.parameters) do
    if held[p.name] == nil and p.tensor:requires_grad() then n, first = n + 1, first or p.name end
  end
  if n == 0 or (c.opt.names[1] or ""):find "^parameter %d" then return nil end
  return ("%d of %d parameters are not in the optimiser, first %s"):format(n, #c.parameters, first),
         "give it model:parameters(), or requires_grad(false) to what stays as it is"
end }
