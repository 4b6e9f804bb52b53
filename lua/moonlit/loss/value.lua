--- Loss of a critic (PPO, arXiv 1707.06347): half the squared distance from the returns, with steps
--- away from the old values clipped.
---
---   local loss, stats = ml.loss.value(values, returns, old_values, mask, { clip = 0.2 })
---
--- 0.5 * mean over tokens of max((v - R)^2, (clamp(v, old - clip, old + clip) - R)^2).
local core = require "moonlit.core"
local options = require "moonlit.options"
local masked = require "moonlit.loss.masked"

local who = "loss.value"

local function variance(x)
  return x:numel() > 1 and x:to("f64"):var():item() or 0
end

-- share of the returns' variance that the values explain; 1 is perfect, 0 is a constant
local function explained(values, returns, keep)
  local all = variance(returns[keep])
  if all > 0 then return 1 - variance((returns - values)[keep]) / all end
end

local function square(x) return x * x end

--- @param values Tensor      (B, T), or any shape
--- @param returns Tensor     of the same shape; no gradient goes there
--- @param old_values Tensor|nil  the values at the rollout; not read without clip
--- @param mask Tensor|nil    other than 0 where a token counts
--- @param opt? {clip: number|false?, over: number?}  clip = 0.2, false does not clip; over: tokens
---   of the whole optimiser step when the batch is a part of it
--- @return Tensor loss, table stats  loss/value_avg, val/clipfrac_avg (share of tokens whose
---   clipped distance is the larger), vf_explained_var (absent when returns do not vary),
---   val/value_avg; count (tokens)
return function(values, returns, old_values, mask, opt)
  local o = options(opt, { clip = 0.2, over = options.optional }, who)
  masked.floats(who, "values", values)
  masked.same(who, "returns", returns, values, "values")
  if o.clip then masked.same(who, "old_values", old_values, values, "values") end
  if mask then masked.same(who, "mask", mask, values, "values") end
  local keep = masked.keep(mask, values)
  local v, goal = masked.only(values, keep), masked.only(returns:detach(), keep)
  local each, clipped = square(v - goal), nil
  if o.clip then
    local old = masked.only(old_values:detach(), keep)
    -- not old + clamp(v - old): rounding would call an unclipped value clipped
    clipped = square(v:maximum(old - o.clip):minimum(old + o.clip) - goal)
  end
  local stats = core.autograd.no_grad(function()
    return { count = masked.count(keep), ["val/value_avg"] = masked.number(v, keep),
             ["val/clipfrac_avg"] = clipped and masked.number(core.gt(clipped, each), keep) or 0,
             vf_explained_var = explained(v, goal, keep) }
  end)
  local loss = masked.mean(clipped and each:maximum(clipped) or each, keep, o.over) * 0.5
  stats["loss/value_avg"] = loss:item()
  return loss, stats
end
