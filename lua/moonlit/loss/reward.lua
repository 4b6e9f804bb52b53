--- Bradley-Terry loss of a reward model: the chosen answer should score higher.
---
---   local loss, stats = ml.loss.reward(chosen, rejected, { center = 0.01 })
---
--- Of a pair: softplus(-(chosen - rejected - margin)) + center * (chosen + rejected)^2. The second
--- term keeps scores around 0 (arXiv 2312.09244), the margin parts pairs by how much better one is
--- (arXiv 2307.09288).
local core = require "moonlit.core"
local options = require "moonlit.options"
local masked = require "moonlit.loss.masked"

local defaults = { margin = 0, center = 0, mask = options.optional, over = options.optional }

-- TRL's names; means over the pairs that count
local function report(chosen, rejected, keep)
  local both = core.cat { chosen, rejected }
  local kept = core.cat { keep, keep }
  local stats = { count = masked.count(keep) }
  if stats.count == 0 then return stats end
  stats.accuracy = masked.number(core.gt(chosen, rejected), keep)
  stats.margin = masked.number(chosen - rejected, keep)
  stats.mean_reward = masked.number(both, kept)
  stats.min_reward = both[kept]:amin():item()
  stats.max_reward = both[kept]:amax():item()
  return stats
end

--- @param chosen Tensor    (B) scores
--- @param rejected Tensor  (B) scores
--- @param opt? {margin: number|Tensor?, center: number?, mask: Tensor?, over: number?}
---   margin = 0, a number or (B); center = 0 (0.01 is usual); mask (B): pairs that count, all
---   unless given; over: what the sum is divided by, the pairs that count unless given (give the
---   optimiser step's when the batch is a part of it)
--- @return Tensor loss, table stats  accuracy (strictly higher), margin, mean_reward, min_reward,
---   max_reward: absent when no pair counts; count (pairs)
return function(chosen, rejected, opt)
  local o = options(opt, defaults, "loss.reward")
  masked.floats("loss.reward", "chosen", chosen, 1)
  masked.same("loss.reward", "rejected", rejected, chosen, "chosen")
  if core.is_tensor(o.margin) then
    masked.same("loss.reward", "margin", o.margin, chosen, "chosen")
  end
  if o.mask then masked.same("loss.reward", "mask", o.mask, chosen, "chosen") end
  local keep = masked.keep(o.mask, chosen)
  local c, r = masked.only(chosen, keep), masked.only(rejected, keep)
  local each = (r - c + o.margin):softplus()
  if o.center ~= 0 then
    local sum = c + r
    each = each + sum * sum * o.center
  end
  return masked.mean(each, keep, o.over), core.autograd.no_grad(report, chosen, rejected, keep)
end
