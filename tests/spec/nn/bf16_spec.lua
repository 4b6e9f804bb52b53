-- The bf16 tiers: close to f32 as rounding to 8 bits allows, f32 parameters, the same bits however
-- they are asked for (decode_spec and bits_spec hold the rest of that promise).
local ml = require "moonlit"
local kit = require "kit"

local presets = { "gpt2", "llama", "qwen3", "speedrun" }
local tiers = { "bf16", "bf16-amx" }

local function make(preset, dtype, more)
  local o = { preset = preset, layers = 2, heads = 4, dim = 64, vocab = 50, context = 48, seed = 3,
              dtype = dtype }
  for k, v in pairs(more or {}) do o[k] = v end
  local m = ml.model(o)
  for i, p in ipairs(m:parameters()) do -- nothing may be zero, or its gradient says little
    ml.seed(i)
    local spread = p.tensor:dim() == 1 and 0.1 or 0.3 / math.sqrt(p.tensor:size(-1) / 16)
    ml.no_grad(function()
      p.tensor:copy_(ml.randn(p.tensor:shape()) * spread + (p.tensor:dim() == 1 and 1 or 0))
    end)
  end
  return m
end

local function batch(rows, length)
  ml.seed(7)
  return { ids = ml.randint(0, 49, { rows, length }) }
end

local function cosine(a, b)
  a, b = a:to "f64":flatten(), b:to "f64":flatten()
  return (a * b):sum():item() / math.sqrt((a * a):sum():item() * (b * b):sum():item())
end

describe("bf16", function()
  kit.leakcheck(before_each, after_each)

  for _, tier in ipairs(tiers) do
    for _, preset in ipairs(presets) do
      it(("%s, %s: loss and every gradient are near f32's"):format(tier, preset), function()
        local exact, rough = make(preset, "f32"), make(preset, tier)
        local b = batch(3, 41)
        local x, y = exact:loss(b), rough:loss(b)
        assert.is_true(math.abs(x:item() - y:item()) < 0.02 * x:item(),
                       ("%g and %g"):format(x:item(), y:item()))
        assert.are_not.equal(x:item(), y:item())
        x:backward()
        y:backward()
        for i, p in ipairs(exact:parameters()) do
          local q = rough:parameters()[i]
          assert.are.equal("f32", q.tensor:dtype())
          local c = cosine(p.tensor:grad(), q.tensor:grad())
          assert.is_true(c > 0.995, ("%s: cosine %g"):format(p.name, c))
        end
      end)
    end

    it(tier .. ": recompute, micro-batches and log-probabilities agree", function()
      local b = batch(4, 33)
      local kept, again = make("llama", tier), make("llama", tier, { recompute = true })
      kept:loss(b):backward()
      again:loss(b):backward()
      for i, p in ipairs(kept:parameters()) do
        assert.are.equal(p.tensor:grad():bytes(), again:parameters()[i].tensor:grad():bytes())
      end
      local whole = kept:logprobs(b)
      local row = kept:logprobs { ids = b.ids:narrow(1, 2, 1) }
      assert.are.equal(whole:narrow(1, 2, 1):bytes(), row:bytes())
    end)

    it(tier .. ": log-probabilities of sampling are those of training", function()
      local m = make("speedrun", tier)
      local out = m:generate({ { 1, 2, 3 }, { 4 } }, { tokens = 20, seed = 5, logprobs = true })
      for i, prompt in ipairs { { 1, 2, 3 }, { 4 } } do
        local ids = table.move(out[i].ids, 1, #out[i].ids, #prompt + 1, { table.unpack(prompt) })
        local want = m:logprobs { ids = ml.tensor({ ids }, { dtype = "i64" }) }:table()[1]
        for t, logprob in ipairs(out[i].logprobs) do
          assert.are.equal(want[#prompt + t], logprob)
        end
      end
    end)

    it(tier .. ": a changed weight is seen at once", function()
      local m, b = make("llama", tier), batch(2, 20)
      local before = m:loss(b):item()
      ml.no_grad(function() m:parameter("lm_head.weight"):mul_(0.5) end)
      assert.are_not.equal(before, m:loss(b):item())
    end)
  end

  it("refuses a block in Lua and says which dtypes it may have", function()
    kit.raises(function() make("llama", "bf16", { fused = false }) end, "f32 or f64")
    kit.raises(function() make("llama", "bf8") end, "bf16-amx")
  end)
end)
