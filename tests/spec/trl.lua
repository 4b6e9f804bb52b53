--- What the specs beside TRL share: the small llama of tests/golden/chatml.py, its weights out of a
--- golden file, how far two ends are apart.
local ml = require "moonlit"

local trl = {}

--- A model with the weights `prefix`.. name of a file's tensors, and those of `more`.
function trl.model(weights, prefix, more)
  local model = ml.model { preset = "llama", layers = 2, dim = 32, hidden = 48, heads = 4,
                           kv_heads = 2, vocab = 261, context = 256, eps = 1e-5, theta = 10000,
                           tied = true, dtype = "f32", head = more and 1 or 0 }
  local start = {}
  for _, p in ipairs(model:parameters()) do
    start[p.name] = assert(weights[prefix .. p.name] or more[p.name], p.name)
  end
  model:load_state(start)
  return model
end

--- The optimiser of the golden runs: no decay, torch's betas and eps.
function trl.optimizer(model)
  return ml.optim.adamw(model:parameters(), { lr = 1e-3, betas = { 0.9, 0.999 }, eps = 1e-8,
                                              weight_decay = 0 })
end

--- A model's weights as they are, by name.
function trl.snapshot(model)
  local out = {}
  for _, p in ipairs(model:parameters()) do out[p.name] = p.tensor:detach():clone() end
  return out
end

--- |ours - theirs| / |theirs - start|, over all weights. start: a snapshot
function trl.difference(model, start, weights, prefix)
  local apart, change = 0, 0
  for _, p in ipairs(model:parameters()) do
    local theirs = assert(weights[prefix .. p.name], p.name):to("f64")
    local function square(t) return (t * t):sum():item() end
    apart = apart + square(p.tensor:detach():to("f64") - theirs)
    change = change + square(start[p.name]:to("f64") - theirs)
  end
  return math.sqrt(apart / change)
end

return trl
