--- Betas of AdamW that are no averages.
return { at = "start", severe = true, find = function(c)
  for _, g in ipairs(c.groups) do
    for i, b in ipairs { g.beta1 or 0, g.beta2 or 0 } do
      if not (b >= 0 and b < 1) then
        return ("beta %d of AdamW is %g; an average needs 0 to 1, 1 left out"):format(i, b),
               "betas = { 0.9, 0.95 }"
      end
    end
  end
end }
