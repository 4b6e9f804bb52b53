-- The model as people meet it: options, parameters, what it refuses, taps, documents, batches.
local ml = require "moonlit"
local core = require "moonlit.core"

local presets = { "gpt2", "llama", "qwen3", "speedrun" }

local function make(preset, more)
  local o = { preset = preset, layers = 2, heads = 4, dim = 32, vocab = 23, context = 16, seed = 3 }
  for k, v in pairs(more or {}) do o[k] = v end
  local model = ml.model(o)
  -- projections that start at zero would hide half of the network
  if preset == "speedrun" then
    ml.no_grad(function()
      for i, p in ipairs(model:parameters()) do
        ml.seed(i)
        p.tensor:copy_(ml.randn(p.tensor:shape(), { dtype = p.tensor:dtype() }) * 0.2)
      end
    end)
  end
  return model
end

local function ids_of(B, T, seed)
  ml.seed(seed or 1)
  return ml.randint(0, 22, { B, T })
end

local function same(a, b) assert.is_true(a:bytes() == b:bytes()) end

local function gradients(model)
  local g = {}
  for i, p in ipairs(model:parameters()) do
    g[i] = p.tensor:grad():contiguous():bytes()
    p.tensor:discard_grad()
  end
  return table.concat(g)
end

describe("model", function()
  it("names parameters as Hugging Face does, in order", function()
    local names = {}
    for i, p in ipairs(make("qwen3", { kv_heads = 2 }):parameters()) do names[i] = p.name end
    assert.are.same({ "model.embed_tokens.weight", "model.layers.0.input_layernorm.weight",
      "model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.k_proj.weight",
      "model.layers.0.self_attn.v_proj.weight", "model.layers.0.self_attn.q_norm.weight",
      "model.layers.0.self_attn.k_norm.weight", "model.layers.0.self_attn.o_proj.weight",
      "model.layers.0.post_attention_layernorm.weight", "model.layers.0.mlp.gate_proj.weight",
      "model.layers.0.mlp.up_proj.weight", "model.layers.0.mlp.down_proj.weight" },
      table.move(names, 1, 12, 1, {}))
    assert.are.equal("model.norm.weight", names[#names])
    assert.are.equal("lm_head.weight", make("llama"):parameters()[21].name)
    local gpt2 = make("gpt2")
    assert.are.same({ 96, 32 }, gpt2:parameter("transformer.h.1.attn.c_attn.weight"):shape())
    assert.are.same({ 96 }, gpt2:parameter("transformer.h.0.attn.c_attn.bias"):shape())
  end)

  it("starts as its preset says", function()
    local m = ml.model { preset = "gpt2", layers = 8, heads = 4, dim = 128, vocab = 512,
                         context = 64, seed = 1 }
    local function std(name) return m:parameter(name):detach():var():sqrt():item() end
    assert.near(0.02, std "transformer.wte.weight", 0.0005)
    assert.near(0.02, std "transformer.h.3.mlp.c_fc.weight", 0.0005)
    assert.near(0.02 / 4, std "transformer.h.3.mlp.c_proj.weight", 0.0002)
    assert.are.equal(1, m:parameter("transformer.h.0.ln_1.weight"):detach():min():item())
    assert.are.equal(0, m:parameter("transformer.h.0.attn.c_attn.bias"):detach():abs():max():item())
    local s = ml.model { preset = "speedrun", layers = 2, heads = 4, dim = 128, vocab = 512,
                         context = 64, seed = 1 }
    local q = s:parameter("model.layers.0.self_attn.q_proj.weight"):detach()
    assert.near(math.sqrt(3 / 128), q:max():item(), 1e-3)
    assert.near(-math.sqrt(3 / 128), q:min():item(), 1e-3)
    local fc = s:parameter("model.layers.0.mlp.up_proj.weight"):detach()
    assert.near(0.4 * math.sqrt(3 / 128), fc:max():item(), 1e-3)
    local down = s:parameter("model.layers.1.mlp.down_proj.weight"):detach()
    assert.are.equal(0, down:abs():max():item())
    assert.near(0.8, s:parameter("model.embed_tokens.weight"):detach():var():sqrt():item(), 0.02)
    assert.near(0.001, s:parameter("lm_head.weight"):detach():var():sqrt():item(), 2e-5)
  end)

  it("is the same for a seed, another for another, and unmoved by layers to come", function()
    local function weights(seed, layers)
      return make("llama", { seed = seed, layers = layers })
        :parameter("model.layers.1.mlp.up_proj.weight"):bytes()
    end
    assert.are.equal(weights(1, 2), weights(1, 3))
    assert.are_not.equal(weights(1, 2), weights(2, 2))
  end)

  it("gives the shapes it promises", function()
    local m, batch = make("llama"), { ids = ids_of(3, 9) }
    assert.are.same({ 3, 9 }, m:logprobs(batch):shape())
    assert.are.same({ 3, 9, 32 }, m:hidden(batch):shape())
    assert.are.same({ 3, 9, 23 }, m:logits(batch):shape())
    local loss, tokens = m:loss(batch)
    assert.are.same({}, loss:shape())
    assert.are.equal(24, tokens)
  end)

  it("agrees with itself: loss, logprobs, logits, hidden", function()
    for _, preset in ipairs(presets) do
      local m, batch = make(preset), { ids = ids_of(3, 9) }
      ml.no_grad(function()
        local logp = m:logprobs(batch)
        local all = m:logits(batch):log_softmax(3)
        local next_ids = batch.ids:narrow(2, 2, 8):unsqueeze(3)
        local picked = all:narrow(2, 1, 8):gather_ids(3, next_ids):squeeze(3)
        assert.is_true((picked - logp:narrow(2, 2, 8)):abs():max():item() < 1e-5)
        assert.are.equal(0, logp:narrow(2, 1, 1):abs():max():item())
        assert.near(-logp:sum():item() / 24, (m:loss(batch)):item(), 1e-6)
        assert.near(-logp:sum():item(), (m:loss(batch, { reduction = "sum" })):item(), 1e-4)
      end)
    end
  end)

  it("weighs tokens by the mask and counts them", function()
    local m, ids = make("qwen3"), ids_of(2, 6)
    local mask = ml.tensor { { 1, 0, 1, 1, 0, 0 }, { 1, 0, 0, 0, 0, 2.5 } }
    local loss, tokens = m:loss({ ids = ids, mask = mask }, { reduction = "sum" })
    assert.are.equal(4.5, tokens)
    local logp = m:logprobs { ids = ids }:detach():table()
    assert.near(-(logp[1][3] + logp[1][4] + 2.5 * logp[2][6]), loss:item(), 1e-5)
    assert.near(loss:item() / 4.5, (m:loss { ids = ids, mask = mask }):item(), 1e-6)
    local none, count = m:loss { ids = ids, mask = mask * 0 }
    assert.are.equal(0, count)
    assert.are.equal(0, none:item())
  end)

  it("softens log-probabilities by temperature over the whole vocabulary", function()
    local m, ids = make("speedrun"), ids_of(2, 6)
    local got = m:logprobs({ ids = ids }, { temperature = 0.7 }):detach()
    local z = (m:logits { ids = ids }:detach() / 0.7):log_softmax(3)
    local want = z:narrow(2, 1, 5):gather_ids(3, ids:narrow(2, 2, 5):unsqueeze(3)):squeeze(3)
    assert.is_true((got:narrow(2, 2, 5) - want):abs():max():item() < 1e-5)
  end)

  it("refuses what cannot be, saying why", function()
    local function says(text, fn, ...)
      local ok, err = pcall(fn, ...)
      assert.is_false(ok)
      assert.matches(text, err, 1, true)
      return err
    end
    local o = { layers = 2, heads = 4, dim = 32, vocab = 23, context = 16 }
    local function with(text, k, v)
      local c = {}
      for key, value in pairs(o) do c[key] = value end
      c[k] = v
      says(text, ml.model, c)
    end
    with('model: unknown option "lyaers"; did you mean "layers"?', "lyaers", 2)
    with('unknown arch "lama"; did you mean "llama"?', "arch", "lama")
    with("heads must divide dim, got 5 and 32", "heads", 5)
    with("kv_heads must divide heads, got 3 and 4", "kv_heads", 3)
    with("dropout must be in [0, 1), got 1", "dropout", 1)
    with("one of rms, layer", "norm", "batch")
    with("layers must be from 1", "layers", 0)
    says('option "vocab" is needed', ml.model, { layers = 1, heads = 1, dim = 4, context = 4 })
    local m = make("llama")
    local ids = ids_of(2, 6)
    ids:narrow(1, 2, 1):narrow(2, 5, 1):fill_(23)
    local err = says("model.embed_tokens: row 2, position 5: id 23 is not in a vocabulary of 23",
                     m.loss, m, { ids = ids })
    assert.matches("model_spec.lua", err, 1, true)
    says("longer than the context of 16", m.loss, m, { ids = ids_of(1, 18) })
    says("rows of at least 2 ids", m.loss, m, { ids = ids_of(1, 1) })
    says("ids must be (B, T)", m.loss, m, { ids = ml.randn(2, 3) })
    says("mask must be (2, 6)", m.loss, m, { ids = ids_of(2, 6), mask = ml.ones(2, 5) })
    says("expected a batch", m.loss, m, ids)
    says("reduction must be", m.loss, m, { ids = ids }, { reduction = "max" })
    says('no parameter "lm_haed.weight"; did you mean "lm_head.weight"?',
         m.parameter, m, "lm_haed.weight")
    says('no module "model.layers.2"', m.tap, m, "model.layers.2", print)
  end)

  it("refuses a backward after its weights have changed", function()
    local m = make("llama")
    local loss = m:loss { ids = ids_of(2, 6) }
    ml.no_grad(function() m:parameters()[3].tensor:mul_(2) end)
    local ok, err = pcall(loss.backward, loss)
    assert.is_false(ok)
    assert.matches("were changed after the forward", err, 1, true)
  end)

  it("runs a row that holds context + 1 ids", function()
    assert.are.same({ 1, 17 }, make("gpt2"):logprobs { ids = ids_of(1, 17) }:shape())
  end)

  it("gives a row the same bits alone and in a batch", function()
    for _, preset in ipairs(presets) do
      local m, ids = make(preset), ids_of(5, 16)
      local all = m:logprobs { ids = ids }
      for b = 1, 5 do
        same(all:narrow(1, b, 1), m:logprobs { ids = ids:narrow(1, b, 1) })
      end
      same(all:narrow(2, 1, 7), m:logprobs { ids = ids:narrow(2, 1, 7) })
    end
  end)

  it("gives a document the same bits in a shared row and alone", function()
    for _, preset in ipairs(presets) do
      local m, ids = make(preset), ids_of(2, 16)
      local doc = ml.tensor({ { 1, 1, 1, 1, 1, 2, 2, 2, 3, 4, 4, 4, 4, 4, 4, 4 },
                              { 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 9, 9, 9, 9, 9, 9 } },
                            { dtype = "i64" })
      local got = m:logprobs { ids = ids, doc = doc }
      for _, d in ipairs { { 1, 1, 5 }, { 1, 6, 3 }, { 1, 10, 7 }, { 2, 1, 10 }, { 2, 11, 6 } } do
        local row, first, n = table.unpack(d)
        same(got:narrow(1, row, 1):narrow(2, first, n),
             m:logprobs { ids = ids:narrow(1, row, 1):narrow(2, first, n) })
      end
      assert.are.equal(0, got:table()[1][9]) -- a document of one token
      local _, tokens = m:loss { ids = ids, doc = doc }
      assert.are.equal(4 + 2 + 0 + 6 + 9 + 5, tokens)
    end
  end)

  it("gives the same bits on any number of threads", function()
    local before = ml.threads()
    for _, preset in ipairs(presets) do
      local seen
      for threads = 1, 3 do
        ml.threads(threads)
        local m = make(preset, { dim = 48, context = 64 })
        local loss = m:loss { ids = ids_of(6, 65) }
        loss:backward()
        local bits = loss:bytes() .. gradients(m)
        seen = seen or bits
        assert.is_true(seen == bits)
      end
    end
    ml.threads(before)
  end)

  it("recomputes its blocks to the same bits", function()
    for _, preset in ipairs(presets) do
      local function bits(recompute)
        local m = make(preset, { recompute = recompute, layers = 3 })
        local loss = m:loss { ids = ids_of(3, 12) }
        loss:backward()
        return loss:bytes() .. gradients(m)
      end
      assert.is_true(bits(false) == bits(true))
    end
  end)

  it("agrees over micro-batch splits to rounding", function()
    for _, dtype in ipairs { "f32", "f64" } do
      local m, ids = make("qwen3", { dtype = dtype }), ids_of(6, 12)
      local function grads(split)
        for b = 1, 6, split do
          m:loss({ ids = ids:narrow(1, b, split) }, { reduction = "sum" }):backward()
        end
        local g = {}
        for i, p in ipairs(m:parameters()) do
          g[i] = p.tensor:grad():clone()
          p.tensor:discard_grad()
        end
        return g
      end
      local whole, parts = grads(6), grads(2)
      for i, g in ipairs(whole) do
        local scale = math.max(1, g:abs():max():item())
        local limit = dtype == "f32" and 1e-5 or 1e-12
        assert.is_true((g - parts[i]):abs():max():item() / scale < limit)
      end
    end
  end)

  it("adds the head's gradient to the embedding's when they are tied", function()
    local m = make("llama", { tied = true, dtype = "f64" })
    local batch = { ids = ids_of(2, 8) }
    m:loss(batch):backward()
    local w = m:parameter("model.embed_tokens.weight")
    local g, eps = w:grad():clone(), 1e-6
    for _, at in ipairs { { 1, 1 }, { 7, 20 }, { 23, 32 } } do
      local function moved(by)
        return ml.no_grad(function()
          local one = w:narrow(1, at[1], 1):narrow(2, at[2], 1)
          one:add_(by)
          local loss = m:loss(batch):item()
          one:add_(-by)
          return loss
        end)
      end
      local slope = (moved(eps) - moved(-eps)) / (2 * eps)
      assert.near(slope, g:table()[at[1]][at[2]], 1e-7)
    end
  end)

  it("lets windows alternate over the layers", function()
    local m = make("llama", { window = { 4, 0 }, layers = 2 })
    local ids = ids_of(1, 16)
    -- the first layer's window hides token 1 from position 6 on, the second's does not
    local a = m:logprobs { ids = ids }:detach()
    assert.are_not.equal(a:bytes(), make("llama"):logprobs { ids = ids }:bytes())
    local narrow = make("llama", { window = 2, layers = 1 })
    local base = narrow:logprobs { ids = ids }:table()[1]
    local other = ids:clone()
    other:narrow(2, 1, 1):fill_((ids:table()[1][1] + 1) % 23)
    local moved = narrow:logprobs { ids = other }:table()[1]
    assert.are_not.equal(base[3], moved[3])
    for t = 4, 16 do assert.are.equal(base[t], moved[t]) end
  end)

  it("drops the same elements however a step is cut into micro-batches", function()
    local m, ids = make("gpt2", { dropout = 0.2 }), ids_of(4, 9)
    local function losses(split)
      core.sys.rekey(5, 1)
      local m2 = make("gpt2", { dropout = 0.2 })
      core.sys.rekey(5, 1)
      local sum = 0
      for b = 1, 4, split do
        sum = sum + m2:loss({ ids = ids:narrow(1, b, split) }, { reduction = "sum" }):item()
      end
      return sum
    end
    assert.near(losses(4), losses(1), 1e-4)
    local a, b = m:loss({ ids = ids }):item(), m:loss({ ids = ids }):item()
    assert.are_not.equal(a, b) -- the next rows of the step get other masks
    ml.no_grad(function()
      assert.are.equal(m:loss({ ids = ids }):item(), m:loss({ ids = ids }):item())
    end)
  end)

  it("saves and takes back its weights", function()
    for _, preset in ipairs(presets) do
      local a, b = make(preset), make(preset, { seed = 9 })
      b:load_state(a:state())
      local batch = { ids = ids_of(2, 8) }
      same(a:logprobs(batch), b:logprobs(batch))
      local config = a:config()
      same(ml.model(config):parameters()[1].tensor:narrow(1, 1, 0), ml.zeros(0, 32))
    end
    local fc = make("gpt2"):state()
    for _, p in ipairs(fc) do
      if p.name == "transformer.h.0.mlp.c_fc.weight" then
        assert.are.same({ 32, 128 }, p.tensor:shape())
      end
    end
    local m = make("llama")
    local ok, err = pcall(m.load_state, m, { ["model.norm.weight"] = ml.ones(32) })
    assert.is_false(ok)
    assert.matches("model.embed_tokens.weight is missing", err, 1, true)
  end)

  it("tells work and memory before it takes any", function()
    local o = { preset = "llama", layers = 2, heads = 4, dim = 64, vocab = 1000, context = 128 }
    local e = ml.model.estimate(o, { batch = 4 })
    local m = ml.model(o)
    local params = 0
    for _, p in ipairs(m:parameters()) do params = params + p.tensor:numel() end
    assert.are.equal(params, e.params)
    assert.are.equal(4 * params, e.weights)
    assert.is_true(e.train > 6 * e.matmul_params and e.train < 7 * e.matmul_params)
    assert.are.equal(e.train, m:flops().train)
    local before = core.sys.memory().live_bytes
    local loss = m:loss { ids = ml.randint(0, 999, { 4, 129 }) }
    local used = core.sys.memory().live_bytes - before
    assert.is_true(used > 0.8 * e.activations and used < 1.1 * (e.activations + e.gradients))
    loss:backward()
    assert.matches("model.layers.0.mlp.gate_proj.weight", m:summary(), 1, true)
    assert.matches(params .. " parameters", m:summary(), 1, true)
    assert.has_error(function()
      ml.model.estimate { layers = 1 << 12, heads = 1, dim = 1 << 30, vocab = 1 << 30, context = 9 }
    end)
  end)
end)

describe("tap", function()
  it("that returns its input changes no bit, gradients included", function()
    for _, preset in ipairs(presets) do
      local m, batch = make(preset), { ids = ids_of(2, 9) }
      local loss = m:loss(batch)
      loss:backward()
      local plain = loss:bytes() .. gradients(m)
      local calls = 0
      local prefix = preset == "gpt2" and "transformer.h." or "model.layers."
      local remove = m:tap(prefix .. "0", function(x) calls = calls + 1 return x end)
      local quiet = m:tap(prefix .. "1", function() calls = calls + 1 end)
      loss = m:loss(batch)
      loss:backward()
      assert.is_true(plain == loss:bytes() .. gradients(m))
      same(m:logprobs(batch), m:logprobs(batch))
      assert.are.equal(6, calls)
      remove() quiet() remove()
      m:loss(batch)
      assert.are.equal(6, calls)
    end
  end)

  it("reads the stream and replaces it, with gradients through it", function()
    local m, batch = make("llama", { dtype = "f64" }), { ids = ids_of(2, 9) }
    local push = ml.zeros({ 32 }, { dtype = "f64", grad = true })
    m:tap("model.layers.0", function(x)
      assert.are.same({ 2, 8, 32 }, x:shape())
      return x + push
    end)
    m:loss(batch):backward()
    local slope = push:grad():table()[5]
    local function moved(by)
      return ml.no_grad(function()
        push:narrow(1, 5, 1):fill_(by)
        return m:loss(batch):item()
      end)
    end
    assert.near((moved(1e-6) - moved(-1e-6)) / 2e-6, slope, 1e-8)
  end)
end)

describe("plans", function()
  it("stay at two however many losses are dropped", function()
    local m = make("llama", { layers = 1, dim = 16, heads = 2 })
    local ids, most = ids_of(2, 8), 0
    collectgarbage()
    local before = core.nn.plans()
    for _ = 1, 3000 do
      m:loss { ids = ids }
      most = math.max(most, core.nn.plans() - before)
    end
    assert.is_true(most <= 2)
  end)

  it("are given back by backward, at once by no_grad", function()
    collectgarbage()
    local m, ids, before = make("gpt2"), ids_of(2, 8), core.nn.plans()
    local loss = m:loss { ids = ids }
    assert.are.equal(before + 1, core.nn.plans())
    loss:backward()
    assert.are.equal(before, core.nn.plans())
    ml.no_grad(function() m:loss { ids = ids } end)
    assert.are.equal(before, core.nn.plans())
  end)

  it("serve two forwards at once", function()
    local m, a, b = make("qwen3"), { ids = ids_of(2, 8, 1) }, { ids = ids_of(3, 9, 2) }
    m:loss(a):backward()
    local one = gradients(m)
    m:loss(b):backward()
    local two = gradients(m)
    local la, lb = m:loss(a), m:loss(b)
    lb:backward()
    assert.is_true(two == gradients(m))
    la:backward()
    assert.is_true(one == gradients(m))
  end)
end)
