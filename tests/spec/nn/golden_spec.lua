-- Golden numbers from Hugging Face transformers in float64 (tests/golden/transformers/make.py):
-- loss, log-probabilities, every gradient, and ten AdamW steps of small gpt2, llama and qwen3.
local ml = require "moonlit"

local configs = {
  gpt2 = { preset = "gpt2", heads = 2, hidden = 64, activation = "gelu_tanh", bias = true },
  llama = { preset = "llama", heads = 2, kv_heads = 1, hidden = 24, eps = 1e-5, tied = false,
            theta = 10000 },
  qwen3 = { preset = "qwen3", heads = 2, kv_heads = 1, head_dim = 16, hidden = 24, eps = 1e-6,
            tied = true, theta = 10000 },
}

local function load(name)
  local golden = assert(ml.ckpt.load("tests/golden/transformers/" .. name .. ".safetensors"))
  local options = { layers = 2, dim = 16, vocab = 29, context = 16, dtype = "f64" }
  for k, v in pairs(configs[name]) do options[k] = v end
  local model = ml.model(options)
  return golden, model
end

-- transformers holds GPT-2's Conv1D weights (in, out)
local function theirs(name, param, t)
  local turned = name == "gpt2" and (param:find("c_attn.weight") or param:find("c_proj.weight")
                                     or param:find("c_fc.weight"))
  return turned and t:t() or t
end

local function worst(a, b) return (a - b):abs():max():item() end

for _, name in ipairs { "gpt2", "llama", "qwen3" } do
  describe("golden " .. name, function()
    local golden, model = load(name)
    local batch = { ids = golden.ids }

    it("has the parameters transformers has", function()
      local count = 0
      for key in pairs(golden) do if key:find("^start%.") then count = count + 1 end end
      assert.are.equal(count, #model:parameters())
      for _, p in ipairs(model:parameters()) do
        assert.is_truthy(golden["start." .. p.name], p.name)
        ml.no_grad(function()
          p.tensor:copy_(theirs(name, p.name, golden["start." .. p.name]))
        end)
      end
    end)

    it("gives its log-probabilities, loss and gradients", function()
      local logp = model:logprobs(batch)
      assert.is_true(worst(logp:narrow(2, 2, 9):detach(), golden.logprobs) < 1e-11)
      local loss = model:loss(batch)
      assert.near(golden.loss:table()[1], loss:item(), 1e-12)
      loss:backward()
      for _, p in ipairs(model:parameters()) do
        local g = theirs(name, p.name, golden["grad." .. p.name])
        assert.is_true(worst(p.tensor:grad(), g) < 1e-11, p.name)
        p.tensor:discard_grad()
      end
    end)

    it("takes its ten AdamW steps", function()
      local opt = ml.optim.adamw(model:parameters(),
        { lr = 1e-2, betas = { 0.9, 0.99 }, eps = 1e-8, weight_decay = 0.1 })
      for i, expected in ipairs(golden.losses:table()) do
        local loss = model:loss(batch)
        loss:backward()
        local norm = opt:step { clip = 1.0 }
        assert.near(expected, loss:item(), 1e-9)
        assert.near(golden.norms:table()[i], norm, 1e-9)
      end
      for _, p in ipairs(model:parameters()) do
        local w = theirs(name, p.name, golden["end." .. p.name])
        assert.is_true(worst(p.tensor:detach(), w) < 1e-9, p.name)
      end
    end)
  end)
end
