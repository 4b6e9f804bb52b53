-- The score head: one number at every position, beside the head for the vocabulary.
local ml = require "moonlit"
local kit = require "kit"

local function make(more)
  local o = { preset = "llama", layers = 2, heads = 2, dim = 16, vocab = 13, context = 12, head = 1,
              seed = 5 }
  for k, v in pairs(more or {}) do o[k] = v end
  return ml.model(o)
end

local function batch(rows, length)
  ml.seed(3)
  local doc = {}
  for b = 1, rows do
    doc[b] = {}
    for t = 1, length do doc[b][t] = t < 4 and 1 or 2 end
  end
  return { ids = ml.randint(0, 12, { rows, length }), doc = ml.tensor(doc, { dtype = "i64" }) }
end

describe("the score head", function()
  kit.leakcheck(before_each, after_each)

  for _, dtype in ipairs { "f32", "f64", "bf16", "bf16-amx" } do
    it("is the hidden state times score.weight: " .. dtype, function()
      local m, b = make { dtype = dtype }, batch(2, 9)
      local w = m:parameter "score.weight"
      assert.same({ 1, 16 }, w:shape())
      local y = m:scores(b)
      assert.same({ 2, 9 }, y:shape())
      kit.near(y, (m:hidden(b) * w):sum(3), dtype == "f64" and 1e-13 or 1e-6)
      assert.is_true(y:abs():max():item() > 0)
    end)
  end

  for _, dtype in ipairs { "f32", "bf16", "bf16-amx" } do
    it("gives a row the same bits alone, and with one or two threads: " .. dtype, function()
      local m, b = make { dtype = dtype }, batch(3, 9)
      local whole = m:scores(b)
      local alone = m:scores { ids = b.ids:narrow(1, 2, 1), doc = b.doc:narrow(1, 2, 1) }
      assert.equal(whole:narrow(1, 2, 1):bytes(), alone:bytes())
      local was = ml.threads()
      local seen = {}
      for n = 1, 2 do
        ml.threads(n)
        local y = m:scores(b)
        local loss = (y * y):sum()
        loss:backward()
        seen[n] = y:bytes() .. m:parameter("score.weight"):grad():bytes() ..
                  m:parameter("model.embed_tokens.weight"):grad():bytes()
        for _, p in ipairs(m:parameters()) do p.tensor:discard_grad() end
      end
      ml.threads(was)
      assert.is_true(seen[1] == seen[2])
    end)
  end

  it("has the gradient of finite differences", function()
    local m, b = make { dtype = "f64", names = "gpt2", activation = "gelu" }, batch(2, 6)
    local function value() return m:scores(b):sigmoid():sum() end
    value():backward()
    for _, p in ipairs(m:parameters()) do
      if p.tensor:grad() then
        local g, flat = p.tensor:grad():flatten():table(), p.tensor:detach():flatten()
        local one, eps = flat:narrow(1, 2, 1), 1e-5
        local function at(by)
          return ml.no_grad(function()
            one:add_(by)
            local y = value():item()
            one:add_(-by)
            return y
          end)
        end
        assert.near((at(eps) - at(-eps)) / (2 * eps), g[2], 1e-7)
      else
        assert.equal("lm_head.weight", p.name)
      end
      p.tensor:discard_grad()
    end
  end)

  it("leaves every other weight where it would be without it", function()
    local with, without = make(), make { head = 0 }
    for i, p in ipairs(without:parameters()) do
      assert.equal(p.name, with:parameters()[i].name)
      assert.equal(p.tensor:bytes(), with:parameters()[i].tensor:bytes())
    end
    assert.equal(#without:parameters() + 1, #with:parameters())
    local b = batch(2, 9)
    assert.equal(with:loss(b):item(), without:loss(b):item())
    local function count(m) return ml.model.estimate(m:config()).params end
    assert.equal(16, count(with) - count(without))
  end)

  it("comes to a model that has none, which keeps its weights", function()
    local policy, b = make { head = 0, names = "gpt2", tied = true }, batch(2, 9)
    local value = policy:with_head(1, { seed = 9 })
    assert.equal(1, value:config().head)
    assert.equal(policy:logprobs(b):bytes(), value:logprobs(b):bytes())
    assert.equal(value:scores(b):bytes(), policy:with_head(1, { seed = 9 }):scores(b):bytes())
    assert.are_not.equal(value:scores(b):bytes(),
                         value:with_head(1, { seed = 8 }):scores(b):bytes())
    assert.equal(#policy:parameters(), #value:with_head(0):parameters())
    ml.no_grad(function() value:parameter("score.weight"):fill_(0) end)
    assert.equal(0, value:scores(b):abs():max():item())
    assert.equal(policy:loss(b):item(), value:loss(b):item())
  end)

  it("is saved and loaded with its model", function()
    local m, b = make(), batch(2, 9)
    local dir = os.tmpname()
    os.remove(dir)
    assert(ml.ckpt.save_model(dir, m))
    local parts = assert(ml.ckpt.load_model(dir))
    local again = ml.model(parts.config)
    again:load_state(parts.state)
    assert.equal(m:scores(b):bytes(), again:scores(b):bytes())
    os.remove(dir .. "/config.json")
    os.remove(dir .. "/model.safetensors")
    os.remove(dir)
  end)

  it("learns which of two rows is better", function()
    local m = make { layers = 1 }
    local good = { ids = ml.tensor({ { 1, 2, 3 } }, { dtype = "i64" }) }
    local bad = { ids = ml.tensor({ { 1, 2, 4 } }, { dtype = "i64" }) }
    local opt = ml.optim.adamw(m:parameters(), { lr = 1e-2 })
    local function margin()
      return (m:scores(good) - m:scores(bad)):select(2, 3):sum()
    end
    for _ = 1, 20 do
      (-margin():logsigmoid()):backward()
      opt:step()
    end
    assert.is_true(ml.no_grad(margin):item() > 2)
  end)

  it("says what is missing or wrong", function()
    kit.raises(function() make { head = 2 } end, "head must be 0 or 1, got 2")
    kit.raises(function() make({ head = 0 }):scores(batch(1, 4)) end, "head = 1")
    kit.raises(function() make():scores {} end, "scores: expected a batch")
    kit.raises(function() make():with_head(1, { sed = 1 }) end, "seed")
  end)
end)
