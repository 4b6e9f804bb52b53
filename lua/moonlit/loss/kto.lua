--- Kahneman-Tversky optimisation (arXiv 2402.01306): answers known to be good or bad, unpaired.
---
---   local loss, stats = ml.loss.kto(policy, reference, good,
---     { kl_policy = other, kl_reference = other_reference })
---
--- With D = policy - reference and z the policy's KL from the reference: 1 - sigmoid(beta (D - z))
--- for a good answer, 1 - sigmoid(beta (z - D)) for a bad one. z is estimated on answers that do
--- not belong to their prompts (each prompt with its neighbour's answer): the mean of their D, at
--- least 0, through which no gradient flows. kl = 0 is APO-zero, unpaired (arXiv 2408.06266).
local core = require "moonlit.core"
local options = require "moonlit.options"
local masked = require "moonlit.loss.masked"

local who = "loss.kto"
local optional = options.optional
local defaults = { beta = 0.1, kl = optional, kl_policy = optional, kl_reference = optional,
                   desirable = 1, undesirable = 1, mask = optional, over = optional }

-- z, as a number
local function divergence(o)
  if o.kl then return o.kl end
  if not (o.kl_policy and o.kl_reference) then
    error(who .. ": needs kl, a number, or kl_policy and kl_reference", 3)
  end
  masked.same(who, "kl_reference", o.kl_reference, o.kl_policy, "kl_policy", 4)
  local moved = o.kl_policy:detach() - o.kl_reference:detach()
  return math.max(masked.number(moved, masked.keep(nil, moved)), 0)
end

-- TRL's names; a side without answers is absent
local function report(policy, d, good, keep, o)
  local stats = { count = masked.count(keep), kl = o.kl }
  local function add(side, which)
    local these = which:logical_and(keep)
    if masked.count(these) == 0 then return end
    stats["rewards/" .. side] = masked.number(d * o.beta, these)
    stats["logps/" .. side] = masked.number(policy, these)
  end
  add("chosen", good)
  add("rejected", good:logical_not())
  local high, low = stats["rewards/chosen"], stats["rewards/rejected"]
  stats["rewards/margins"] = high and low and high - low or nil
  return stats
end

--- @param policy Tensor     (B) sums of log-probabilities of the answers, nats
--- @param reference Tensor  (B) under the reference; no gradient goes there
--- @param good Tensor       (B) other than 0 where the answer is good
--- @param opt table  beta = 0.1; kl_policy, kl_reference (any number): log-probabilities of answers
---   with other prompts, or kl, a number: z itself; desirable = 1, undesirable = 1: weights of good
---   and bad answers; mask (B): answers that count, all unless given; over: what the sum is divided
---   by, the answers that count unless given
--- @return Tensor loss, table stats  kl (z), rewards/chosen, rewards/rejected (means over the good
---   and the bad; absent when there is none), rewards/margins, logps/chosen, logps/rejected; count
return function(policy, reference, good, opt)
  local o = options(opt, defaults, who)
  masked.floats(who, "policy", policy, 1)
  masked.same(who, "reference", reference, policy, "policy")
  masked.same(who, "good", good, policy, "policy")
  if o.mask then masked.same(who, "mask", o.mask, policy, "policy") end
  o.kl = divergence(o)
  local keep = masked.keep(o.mask, policy)
  good = core.ne(good, 0)
  local d = masked.only(policy, keep) - masked.only(reference:detach(), keep)
  local sign = core.where(good, 1.0, -1.0):to(d:dtype())
  local weight = core.where(good, o.desirable + 0.0, o.undesirable + 0.0):to(d:dtype())
  -- 1 - sigmoid(x) = sigmoid(-x), which keeps its digits where x is large
  local each = ((o.kl - d) * sign * o.beta):sigmoid() * weight
  return masked.mean(each, keep, o.over),
    core.autograd.no_grad(report, policy, d, good, keep, o)
end
