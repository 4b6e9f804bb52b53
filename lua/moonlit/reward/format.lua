--- The share of what a reply's form must have: that the turn was ended, and Lua patterns that the
--- assistant's last text must match.
---
---   local reward = ml.reward.format { pattern = { "^Let me see%.", "So %-?%d+%.$" } }
local options = require "moonlit.options"

--- @param opt? {pattern: string|string[]?, ended: boolean?}  ended: whether the end counts; true
return function(opt)
  local o = options(opt, { pattern = {}, ended = true }, "reward.format")
  local patterns = type(o.pattern) == "table" and o.pattern or { o.pattern }
  local parts = #patterns + (o.ended and 1 or 0)
  if parts == 0 then error("reward.format: nothing is asked for", 2) end
  for _, p in ipairs(patterns) do
    local ok, err = pcall(string.find, "", p)
    if not ok then error(("reward.format: pattern %q: %s"):format(tostring(p), err), 2) end
  end
  return function(sample)
    local got = o.ended and sample.stopped and 1 or 0
    for _, p in ipairs(patterns) do
      if sample.text:find(p) then got = got + 1 end
    end
    return got / parts
  end
end
