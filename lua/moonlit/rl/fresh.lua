--- Other conversations kept fresh while a model learns from rewards or preferences, so that what
--- they taught is not forgotten.
---
---   local fresh = ml.rl.fresh(model, chat, conversations, { reference = reference, seed = 1 })
---   (fresh(step) * 2.0):backward()       -- beside the loss of the step
---
--- Without a reference the loss is theirs, cross entropy of what the assistant says; with one it is
--- how far the model has moved from it there, KL(model || reference) in nats a learned token. A
--- step's conversations are a function of (seed, step).
local options = require "moonlit.options"
local packed = require "moonlit.data.packed"
local sequence = require "moonlit.rl.sequence"

--- @param model Model
--- @param chat table             ml.data.chat
--- @param conversations function|table
--- @param opt? {batch: integer?, seed: integer?, reference: Model?}  8 rows of the model's context
--- @return fun(step: integer): Tensor  a number
return function(model, chat, conversations, opt)
  local o = options(opt, { batch = 8, seed = 0, reference = options.optional }, "rl.fresh")
  local data = packed(chat:sequences(conversations), { batch = o.batch, whole = true, seed = o.seed,
                                                       length = model.options.context })
  return function(step)
    local batch = data:at(step)
    if not o.reference then return model:loss(batch) end
    return sequence.sum(batch, model:kl(batch, o.reference)):sum() / batch.mask:sum():item()
  end
end
