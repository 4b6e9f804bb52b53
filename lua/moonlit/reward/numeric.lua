--- 1 if the last number of the assistant's last text is the answer; else 0. "1,234.50" is a number,
--- and so is -3.
---
---   local reward = ml.reward.numeric { field = "answer", tolerance = 0.01 }
local options = require "moonlit.options"

-- the last number of a text, or nil
local function last_number(text)
  local last
  for sign, digits in text:gsub(",(%d%d%d)%f[%D]", "%1"):gmatch "(%-?)(%d+%.?%d*)" do
    last = tonumber(sign .. digits)
  end
  return last
end

--- @param opt? {field: string?, tolerance: number?}  tolerance: how far off still counts
return function(opt)
  local o = options(opt, { field = "answer", tolerance = 0 }, "reward.numeric")
  return function(sample)
    local given = sample.row[o.field]
    local answer = type(given) == "number" and given or last_number(tostring(given))
    if not answer then
      error(('reward.numeric: "%s" of the prompt\'s row must hold a number, got %s'):format(
        o.field, tostring(given)), 0)
    end
    local said = last_number(sample.text)
    return said and math.abs(said - answer) <= o.tolerance and 1 or 0
  end
end
