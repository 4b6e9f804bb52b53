-- Finite differences through whole tiny models in f64, five seeds, every preset and the options
-- no preset has.
local ml = require "moonlit"

local variants = {
  { "gpt2", { preset = "gpt2" } },
  { "llama", { preset = "llama", kv_heads = 1 } },
  { "qwen3", { preset = "qwen3", kv_heads = 1 } },
  { "speedrun", { preset = "speedrun" } },
  { "llama, windows, gelu with biases, soft-cap", { preset = "llama", window = { 3, 0 },
    activation = "gelu", attn_bias = true, out_bias = true, mlp_bias = true, softcap = 5 } },
  { "gpt2 with swiglu and rms", {
    preset = "gpt2", activation = "swiglu", norm = "rms", qk_norm = "gain", tied = false } },
  { "recompute with dropout", { preset = "llama", recompute = true, dropout = 0.25 } },
}

local B, T, V = 2, 7, 11

local function make(o, seed)
  local all = { layers = 2, heads = 2, dim = 8, hidden = 12, vocab = V, context = 8, dtype = "f64" }
  for k, v in pairs(o) do all[k] = v end
  local model = ml.model(all)
  ml.seed(seed)
  ml.no_grad(function() -- spread out: nothing at its zero or its one
    for _, p in ipairs(model:parameters()) do
      local w = ml.randn(p.tensor:shape(), { dtype = "f64" }) * 0.4
      p.tensor:copy_(w + (p.tensor:dim() == 1 and 0.7 or 0))
    end
  end)
  return model
end

-- the objective mixes everything the head gives
local function objective(model, batch, weights)
  ml.seed(99) -- dropout's masks
  local loss = model:loss(batch)
  if model:config().dropout > 0 then return loss end
  local logp = (model:logprobs(batch, { temperature = 0.8 }) * weights.logp):sum()
  local hidden = (model:hidden(batch) * weights.hidden):sum()
  local logits = (model:logits(batch) * weights.logits):sum()
  return loss + logp + hidden + logits
end

-- dropout is on where gradients are recorded, so the moved losses are recorded too and dropped
local function slope(model, batch, weights, flat, i, eps)
  local one = flat:narrow(1, i, 1)
  local function at(by)
    ml.no_grad(function() one:add_(by) end)
    local y = objective(model, batch, weights):item()
    ml.no_grad(function() one:add_(-by) end)
    return y
  end
  return (at(eps) - at(-eps)) / (2 * eps)
end

describe("finite differences through a whole model", function()
  for _, variant in ipairs(variants) do
    local name, o = variant[1], variant[2]
    for seed = 1, 5 do
      it(("%s, seed %d"):format(name, seed), function()
        local model = make(o, seed)
        local docs = { { 1, 1, 1, 1, 2, 2, 2 }, { 3, 3, 3, 3, 3, 3, 3 } }
        local batch = { ids = ml.randint(0, V - 1, { B, T }),
          mask = ml.rand({ B, T }, { dtype = "f64" }), doc = ml.tensor(docs, { dtype = "i64" }) }
        local function noise(...) return ml.randn({ ... }, { dtype = "f64" }) * 0.1 end
        local weights = { logp = noise(B, T), hidden = noise(B, T, 8), logits = noise(B, T, V) }
        objective(model, batch, weights):backward()
        for _, p in ipairs(model:parameters()) do
          local g = p.tensor:grad():contiguous():view(p.tensor:numel()):table()
          local flat = p.tensor:detach():view(p.tensor:numel())
          for k = 1, 2 do -- two elements of each parameter
            local i = (k * 7919 + seed * 104729) % #g + 1
            local want = slope(model, batch, weights, flat, i, 1e-5)
            assert.is_true(math.abs(want - g[i]) < 2e-7 * math.max(1, math.abs(want)),
              ("%s[%d]: %.10g, finite difference %.10g"):format(p.name, i, g[i], want))
          end
        end
      end)
    end
  end
end)
