--- A model without a parameter that is trained.
return { at = "start", severe = true, find = function(c)
  if #c.parameters == 0 then return nil end
  for _, p in ipairs(c.parameters) do
    if p.tensor:requires_grad() then return nil end
  end
  return "no parameter of the model requires a gradient",
         "tensor:requires_grad(true) for those that are to learn"
end }
