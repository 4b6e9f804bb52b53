--- A learning rate that AdamW does not survive.
local MOST = 0.5

return { at = "step", severe = false, find = function(c)
  for _, g in ipairs(c.groups) do
    local lr = c.rates[g]
    if g.kind == "adamw" and lr and lr > MOST then
      return ("AdamW's learning rate is %g: every weight may move so far in a step"):format(lr),
             "lr = 1e-3"
    end
  end
end }
