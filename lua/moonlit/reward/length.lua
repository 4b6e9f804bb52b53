--- 0 for a reply of min to max tokens, and down to -1 in a straight line over `slack` tokens too
--- many or too few (at once where slack is 0): the soft overlong punishment of DAPO, arXiv
--- 2503.14476.
---
---   local reward = ml.reward.length { max = 200, slack = 50 }
local options = require "moonlit.options"

--- @param opt {max: integer, min: integer?, slack: integer?}  tokens that the policy drew
return function(opt)
  local o = options(opt, { max = options.required, min = 0, slack = 0 }, "reward.length")
  if o.min > o.max or o.slack < 0 then
    error(("reward.length: expected min <= max and slack >= 0, got %s, %s and %s"):format(
      o.min, o.max, o.slack), 2)
  end
  return function(sample)
    local off = math.max(sample.tokens - o.max, o.min - sample.tokens, 0)
    if off == 0 then return 0 end
    return -(o.slack > 0 and math.min(1, off / o.slack) or 1)
  end
end
