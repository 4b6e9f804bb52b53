--- 1 if the assistant's last text is the answer, white space around either aside; else 0.
---
---   local reward = ml.reward.exact { field = "answer" }       -- of the row the prompt came from
local match = require "moonlit.eval.match"
local options = require "moonlit.options"

--- @param opt? {field: string?}
return function(opt)
  local o = options(opt, { field = "answer" }, "reward.exact")
  return function(sample)
    local answer = sample.row[o.field]
    if answer == nil then
      error(('reward.exact: the prompt\'s row has no "%s"'):format(o.field), 0)
    end
    return match.exact(sample.text, tostring(answer))
  end
end
