--- Pairs whose chosen and rejected answers are the same.
return { at = "step", severe = true, find = function(c)
  for i = 2, #c.scored do
    local a, b = c.scored[i - 1], c.scored[i]
    if #a:shape() == #b:shape() and table.concat(a:shape(), " ") == table.concat(b:shape(), " ")
       and a:eq(b):all():item() then
      return "chosen and rejected are the same rows: their difference teaches nothing",
             "drop identical pairs; look at the two fields the pairs are read from"
    end
  end
end }
