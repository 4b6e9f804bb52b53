--- Advantages of G samples of one prompt against each other: no critic.
---
---   local advantages, stats = ml.loss.group(rewards, 8, { scale = "std" })
---
---   std   (r - mean) / (standard deviation + eps): GRPO (arXiv 2402.03300)
---   none  r - mean: Dr. GRPO (arXiv 2503.20783)
---   loo   r - mean of the others: RLOO (arXiv 2402.14740)
--- A group of equal rewards, or of one, has advantages of exactly 0.
local core = require "moonlit.core"
local options = require "moonlit.options"
local masked = require "moonlit.loss.masked"

local who = "loss.group"
local defaults = { scale = "std", correction = 1, eps = 1e-4, mask = options.optional }

-- what distances from the mean are multiplied by, (P, 1)
local function factor(away, n, o)
  if o.scale == "none" then return 1 end
  -- r - (n mean - r) / (n - 1) = (r - mean) n / (n - 1)
  if o.scale == "loo" then return n / (n - 1):clamp(1) end
  local variance = (away * away):sum(2, { keepdim = true }) / (n - o.correction):clamp(1)
  return 1 / (variance:sqrt() + o.eps)
end

local function deviation(x)
  return x:numel() > 1 and math.sqrt(x:var():item()) or 0
end

local function report(r, keep, spread, n)
  local stats = { count = masked.count(keep) }
  if stats.count == 0 then return stats end
  stats.reward, stats.reward_std = masked.number(r, keep), deviation(r[keep])
  stats.frac_reward_zero_std = masked.number(core.eq(spread, 0), core.gt(n, 0))
  return stats
end

--- @param rewards Tensor  (P * G): the G samples of a prompt stand together
--- @param G integer       samples a prompt
--- @param opt? {scale: "std"|"none"|"loo"?, correction: integer?, eps: number?, mask: Tensor?}
---   scale = "std", with correction = 1 (the unbiased deviation) and eps = 1e-4; mask (P * G):
---   samples that count (a failed reward has none): the others get 0 and are no one's baseline
--- @return Tensor advantages, table stats  (P * G) without gradient; reward, reward_std (over all
---   samples), frac_reward_zero_std (share of the groups without any difference): absent when no
---   sample counts; count (samples)
return function(rewards, G, opt)
  local o = options(opt, defaults, who)
  masked.floats(who, "rewards", rewards, 1)
  masked.one_of(who, "scale", o.scale, { "std", "none", "loo" })
  if math.type(G) ~= "integer" or G < 1 or rewards:numel() % G ~= 0 then
    error(("%s: G must divide the %d rewards, got %s"):format(who, rewards:numel(), tostring(G)), 2)
  end
  if o.mask then masked.same(who, "mask", o.mask, rewards, "rewards") end
  if rewards:numel() == 0 then return rewards:detach():clone(), { count = 0 } end
  return core.autograd.no_grad(function()
    local keep = masked.keep(o.mask, rewards):view(-1, G)
    local r = masked.only(rewards:to("f64"):view(-1, G), keep)
    local n = keep:sum(2, { keepdim = true }):to("f64")
    -- distances from the group's largest: exactly 0 when all are equal
    local top = core.where(keep, r, -math.huge):max_along(2, { keepdim = true })
    local below = masked.only(r - top, keep)
    local away = below - below:sum(2, { keepdim = true }) / n:clamp(1)
    away = masked.only(away, keep)
    local advantages = away * factor(away, n, o)
    local spread = below:abs():sum(2, { keepdim = true })
    return advantages:view(-1):to(rewards:dtype()), report(r, keep, spread, n)
  end)
end
