-- The block written in Lua against the block in C: same forward bits in f32, gradients to 1e-6.
local ml = require "moonlit"

local variants = {
  { preset = "gpt2" }, { preset = "llama", kv_heads = 2 }, { preset = "qwen3", kv_heads = 1 },
  { preset = "speedrun" },
  { preset = "llama", window = { 5, 0 }, activation = "gelu", bias = true },
}

local function pair(o)
  local all = { layers = 2, heads = 4, dim = 64, vocab = 31, context = 24, seed = 5 }
  for k, v in pairs(o) do all[k] = v end
  local fused = ml.model(all)
  all.fused = false
  local twin = ml.model(all)
  for i, p in ipairs(fused:parameters()) do
    ml.seed(i)
    local w = ml.randn(p.tensor:shape()) * 0.15 + (p.tensor:dim() == 1 and 1 or 0)
    ml.no_grad(function()
      p.tensor:copy_(w)
      twin:parameters()[i].tensor:copy_(w)
    end)
  end
  return fused, twin
end

describe("the Lua twin of the block", function()
  for i, o in ipairs(variants) do
    local name = ("%s %d"):format(o.preset, i)
    it("has the fused block's bits and gradients: " .. name, function()
      local fused, twin = pair(o)
      ml.seed(1)
      local doc = ml.full({ 2, 22 }, 5):to("i64")
      doc:narrow(1, 1, 1):narrow(2, 8, 11):fill_(2)
      doc:narrow(1, 1, 1):narrow(2, 19, 4):fill_(3)
      local ids = ml.randint(0, 30, { 2, 22 })
      for _, batch in ipairs { { ids = ids }, { ids = ids, doc = doc } } do
        local a, b = fused:loss(batch), twin:loss(batch)
        assert.is_true(a:bytes() == b:bytes())
        assert.is_true(fused:logits(batch):bytes() == twin:logits(batch):bytes())
        a:backward()
        b:backward()
        for k, p in ipairs(fused:parameters()) do
          local g, h = p.tensor:grad(), twin:parameters()[k].tensor:grad()
          local scale = math.max(1, g:abs():max():item())
          assert.is_true((g - h):abs():max():item() / scale < 1e-6, p.name)
          p.tensor:discard_grad()
          twin:parameters()[k].tensor:discard_grad()
        end
      end
    end)
  end

  it("decodes to the fused block's bits", function()
    local fused, twin = pair { preset = "qwen3", kv_heads = 2 }
    local a, b = fused:cache(2), twin:cache(2)
    for _, step in ipairs { { { slot = 1, ids = { 3, 4, 5 } }, { slot = 2, ids = { 9 } } },
                            { { slot = 2, ids = { 8, 7 } } }, { { slot = 1, ids = { 1 } } } } do
      assert.is_true(fused:decode(a, step):bytes() == twin:decode(b, step):bytes())
    end
    assert.are.equal(4, b:length(1))
  end)

  it("can be replaced by anybody's block", function()
    local seen = {}
    local m = ml.model { layers = 2, heads = 2, dim = 8, vocab = 7, context = 8,
      block = function(x, p, c, at)
        seen[#seen + 1] = at.layer
        return x + x:matmul(p.q:t()) * (1 / c.dim)
      end }
    m:loss({ ids = ml.randint(0, 6, { 2, 5 }) }):backward()
    assert.are.same({ 1, 2 }, seen)
    assert.is_truthy(m:parameter("model.layers.0.self_attn.q_proj.weight"):grad())
    assert.is_nil(m:parameter("model.layers.0.self_attn.k_proj.weight"):grad())
  end)
end)
