--- Minus the share of n-grams of a reply that it has said before: 0 where none comes twice, near -1
--- for one thing over and over. By ids that the policy drew, each turn on its own.
---
---   local reward = ml.reward.repetition { n = 4 }
local options = require "moonlit.options"

--- @param opt? {n: integer?}
return function(opt)
  local o = options(opt, { n = 3 }, "reward.repetition")
  if (math.tointeger(o.n) or 0) < 1 then
    error("reward.repetition: n must be a positive integer, got " .. tostring(o.n), 2)
  end
  return function(sample)
    local seen, total, again, run = {}, 0, 0, 0
    for i, bit in ipairs(sample.mask) do
      run = bit == 1 and run + 1 or 0
      if run >= o.n then
        local gram = table.concat(sample.ids, " ", i - o.n + 1, i)
        total = total + 1
        if seen[gram] then again = again + 1 end
        seen[gram] = true
      end
    end
    return total > 0 and -again / total or 0
  end
end
