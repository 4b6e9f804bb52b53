--- Losses of alignment: tensors in, one number to call backward on and a table of numbers out. None
--- knows a model or a file. All work in f32 and f64; what is masked has neither a value nor a
--- gradient, and where nothing counts the loss is 0.
---
---   local loss, stats = ml.loss.dpo(chosen, rejected, ref_chosen, ref_rejected, { beta = 0.1 })
---   loss:backward()
---
--- A loss is a sum over a count: pairs, tokens or sequences. An optimiser step made of several
--- batches gives each of them `over`, the count of the step, and adds up the gradients. Statistics
--- are means over the batch; stats.count weighs them.
local kl = require "moonlit.loss.kl"

return {
  reward = require "moonlit.loss.reward",
  dpo = require "moonlit.loss.dpo",
  kto = require "moonlit.loss.kto",
  value = require "moonlit.loss.value",
  policy = require "moonlit.loss.policy",
  presets = require "moonlit.loss.presets",
  gae = require "moonlit.loss.gae",
  whiten = require "moonlit.loss.whiten",
  group = require "moonlit.loss.group",
  kl = kl.estimate,
  kl_rewards = kl.rewards,
  distill = require "moonlit.loss.distill",
}
