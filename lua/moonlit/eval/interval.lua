--- How far a measured share, or mean, may be from the true one.
---
---   interval.wilson(0.93, 200)    --> 0.886, 0.958
local interval = {}

local Z = 1.959963984540054 -- the normal distribution's 97.5 % point

--- Wilson's score interval: 95 % of such intervals hold the true share. Never leaves 0..1, and says
--- something even at 0 and 1.
--- @param share number  0..1, the mean of n scores
--- @param n integer  how many were measured
--- @return number low, number high
function interval.wilson(share, n)
  if type(share) ~= "number" or not (share >= 0 and share <= 1) then
    error("eval.wilson: the share must lie in 0..1, got " .. tostring(share), 2)
  end
  if not math.tointeger(n) or n < 1 then
    error("eval.wilson: n must be a positive integer, got " .. tostring(n), 2)
  end
  local z2 = Z * Z / n
  local middle = (share + z2 / 2) / (1 + z2)
  local half = Z / (1 + z2) * math.sqrt(share * (1 - share) / n + z2 / (4 * n))
  -- rounding must not push an end past the share itself
  local low, high = math.min(share, middle - half), math.max(share, middle + half)
  return math.max(0.0, low), math.min(1.0, high)
end

--- 95 % of the mean of any numbers, by the normal distribution.
--- @param list number[]
--- @return number low, number high
function interval.mean(list)
  local sum, square = 0, 0
  for _, x in ipairs(list) do sum = sum + x end
  local mean = sum / #list
  for _, x in ipairs(list) do square = square + (x - mean) ^ 2 end
  local half = #list > 1 and Z * math.sqrt(square / (#list - 1) / #list) or 0
  return mean - half, mean + half
end

return interval
