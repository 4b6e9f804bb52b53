--- Whitening over what a mask keeps: mean 0, variance 1.
---
---   advantages = ml.loss.whiten(advantages, mask)
---
--- (x - mean) / sqrt(variance + 1e-8), the variance unbiased. One number, or equal ones, become 0.
local core = require "moonlit.core"
local options = require "moonlit.options"
local masked = require "moonlit.loss.masked"

--- @param x Tensor         any shape; the result has no gradient
--- @param mask Tensor|nil  of its shape: other than 0 where an element counts; the rest becomes 0
--- @param opt? {center: boolean?}  center = true; false scales only, and keeps the mean
--- @return Tensor
return function(x, mask, opt)
  local o = options(opt, { center = true }, "loss.whiten")
  masked.floats("loss.whiten", "x", x)
  if mask then masked.same("loss.whiten", "mask", mask, x, "x") end
  return core.autograd.no_grad(function()
    local keep = masked.keep(mask, x)
    local n = masked.count(keep)
    if n == 0 then return core.zeros(x:shape(), { dtype = x:dtype() }) end
    local wide = masked.only(x:to("f64"), keep)
    -- distances from one of the elements, so that equal ones are exactly equal to their mean
    local origin = x[keep]:amax():item()
    local moved = masked.only(wide - origin, keep)
    local mean = moved:sum():item() / n
    local away = masked.only(moved - mean, keep)
    local variance = (away * away):sum():item() / math.max(n - 1, 1)
    local scale = 1 / math.sqrt(variance + 1e-8)
    local y = away * scale
    if not o.center then y = y + (origin + mean) end
    return masked.only(y, keep):to(x:dtype())
  end)
end
