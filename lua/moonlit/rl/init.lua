--- Learning from what a model says: samples drawn, rewarded, cut into batches and steps. Each part
--- stands alone, so that a new objective is a few lines:
---
---   local samples = ml.rl.rollout(model, chat, prompts, { samples = 8, tokens = 64, rollout = n })
---   ml.reward.score(reward, samples)                       -- samples[i].reward
---   for i, s in ipairs(samples) do s.advantages = s.reward - baseline[i] end
---   for part in update:parts(samples, n) do
---     local batch = ml.rl.batch(part)
---     local logprobs = model:logprobs(batch, { temperature = 1 })
---     ... a loss of logprobs, batch.logprobs (old), batch.advantages, batch.mask
---   end
---
--- A part is loaded when its name is first used.
local options = require "moonlit.options"

-- name -> its module, and the function in it where the module is not the value itself
local parts = {
  alarm = { "moonlit.rl.alarm" }, batch = { "moonlit.rl.batch", "batch" },
  batches = { "moonlit.rl.batch", "batches" }, environment = { "moonlit.rl.environment" },
  fresh = { "moonlit.rl.fresh" },
  kl_controller = { "moonlit.rl.controller" }, pairs = { "moonlit.rl.pairs" },
  reference = { "moonlit.rl.reference" }, rollout = { "moonlit.rl.rollout" },
  attach = { "moonlit.rl.batch", "attach" }, unpack = { "moonlit.rl.batch", "unpack" },
  update = { "moonlit.rl.update" },
  halves = { "moonlit.rl.sequence", "halves" }, last = { "moonlit.rl.sequence", "last" },
  sides = { "moonlit.rl.sequence", "sides" }, sum = { "moonlit.rl.sequence", "sum" },
  values = { "moonlit.rl.sequence", "values" },
}

return setmetatable({}, {
  __name = "moonlit.rl",
  __index = function(rl, name)
    local part = parts[name]
    if not part then
      error("moonlit.rl has no " .. options.unknown(name, options.keys(parts)), 2)
    end
    local value = require(part[1])
    rl[name] = part[2] and value[part[2]] or value
    return rl[name]
  end,
})
