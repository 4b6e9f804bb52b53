-- Entropy beside log-probabilities, and the divergence from a teacher: what ops make of whole
-- logits, without ever holding them.
local ml = require "moonlit"
local core = require "moonlit.core"
local kit = require "kit"

local function make(more)
  local o = { preset = "llama", layers = 1, heads = 2, dim = 8, vocab = 13, context = 128,
              tied = false, seed = 1 }
  for k, v in pairs(more or {}) do o[k] = v end
  local m = ml.model(o)
  ml.seed(o.seed)
  ml.no_grad(function() -- logits that differ
    for _, p in ipairs(m:parameters()) do
      if p.tensor:dim() == 2 then
        p.tensor:copy_(ml.randn(p.tensor:shape(), { dtype = p.tensor:dtype() }) * 0.5)
      end
    end
  end)
  return m
end

local function batch(rows, length, V)
  ml.seed(11)
  local doc = {}
  for b = 1, rows do
    doc[b] = {}
    for t = 1, length do doc[b][t] = t <= b and 1 or 2 end
  end
  return { ids = ml.randint(0, (V or 13) - 1, { rows, length }),
           doc = ml.tensor(doc, { dtype = "i64" }) }
end

local function weights(b, dtype)
  ml.seed(12)
  return ml.randn(b.ids:shape(), { dtype = dtype or "f32" })
end

-- ---- by ops on all logits: (B, T - 1, V), and (B, T - 1) of them as (B, T) ----

local function distributions(m, b, temperature)
  local T = b.ids:size(2)
  local z = m:logits { ids = b.ids:narrow(2, 1, T - 1):contiguous(),
                       doc = b.doc:narrow(2, 1, T - 1):contiguous() }
  return (z * (1 / temperature)):log_softmax(-1)
end

local function aligned(y, b)
  local T = b.ids:size(2)
  local same = b.doc:narrow(2, 2, T - 1):eq(b.doc:narrow(2, 1, T - 1)):to(y:dtype())
  local zero = ml.zeros(y:size(1), 1, { dtype = y:dtype() })
  return ml.cat({ zero, y * same }, 2)
end

local function entropy(m, b, temperature)
  local logp = distributions(m, b, temperature)
  return aligned(-(logp:exp() * logp):sum(3), b)
end

local function divergence(m, teacher, b, o)
  local s = distributions(m, b, o.temperature)
  local t = ml.no_grad(distributions, teacher, b, o.temperature)
  local function kl(p, q) return (p:exp() * (p - q)):sum(3) end
  if o.kind == "forward" then return aligned(kl(t, s), b) end
  if o.kind == "reverse" then return aligned(kl(s, t), b) end
  local mix = (s:exp() * (1 - o.beta) + t:exp() * o.beta):log()
  return aligned(kl(t, mix) * o.beta + kl(s, mix) * (1 - o.beta), b)
end

local function gradients(m, y, w)
  (y * w):sum():backward()
  local all = {}
  for i, p in ipairs(m:parameters()) do
    all[i] = p.tensor:grad():clone()
    p.tensor:discard_grad()
  end
  return all
end

local function same(m, got, want, w, tol)
  kit.near(got, want, tol)
  local a, b = gradients(m, got, w), gradients(m, want, w)
  for i, g in ipairs(a) do
    local scale = b[i]:abs():max():item()
    assert.is_true(scale > 0)
    kit.near(g * (1 / scale), b[i] * (1 / scale), tol)
  end
end

local kinds = { { kind = "forward" }, { kind = "reverse" }, { kind = "js", beta = 0.5 },
                { kind = "js", beta = 0.1 } }
local function each_kind(fn)
  for _, k in ipairs(kinds) do
    for _, temperature in ipairs { 1, 0.7 } do
      local o = { kind = k.kind, beta = k.beta, temperature = temperature }
      fn(o, ("%s%s, temperature %g"):format(k.kind, k.beta or "", temperature))
    end
  end
end

local tolerance = { f32 = 3e-6, f64 = 1e-12 }

describe("entropy beside log-probabilities", function()
  kit.leakcheck(before_each, after_each)

  for dtype, tol in pairs(tolerance) do
    for _, softcap in ipairs { 0, 3 } do
      for _, temperature in ipairs { 1, 0.7 } do
        it(("is that of whole logits: %s, softcap %g, temperature %g"):format(dtype, softcap,
            temperature), function()
          local m, b = make { dtype = dtype, softcap = softcap }, batch(3, 9)
          local logp, h = m:logprobs(b, { temperature = temperature, entropy = true })
          assert.equal(m:logprobs(b, { temperature = temperature }):bytes(), logp:bytes())
          same(m, h, entropy(m, b, temperature), weights(b, dtype), tol)
        end)
      end
    end
  end

  it("leaves the gradient of log-probabilities as it is", function()
    local m, b = make(), batch(3, 9)
    local plain = gradients(m, m:logprobs(b), weights(b))
    local logp = m:logprobs(b, { entropy = true })
    for i, g in ipairs(gradients(m, logp, weights(b))) do
      assert.is_true(g:bytes() == plain[i]:bytes())
    end
  end)

  it("goes with them in one backward", function()
    local m, b = make { dtype = "f64" }, batch(3, 9)
    local w = weights(b, "f64")
    local logp, h = m:logprobs(b, { entropy = true })
    local both = gradients(m, logp + h * 0.3, w)
    local one, other = gradients(m, m:logprobs(b), w), gradients(m, entropy(m, b, 1), w)
    for i, g in ipairs(both) do kit.near(g, one[i] + other[i] * 0.3, 1e-12) end
  end)

  it("is log V where every token is as likely, and 0 where one is certain", function()
    local m, b = make(), batch(1, 4)
    ml.no_grad(function() m:parameter("lm_head.weight"):fill_(0) end)
    local _, h = m:logprobs(b, { entropy = true })
    assert.near(math.log(13), h:table()[1][4], 1e-6)
    ml.no_grad(function() m:parameter("lm_head.weight"):copy_(ml.randn(13, 8) * 1e4) end)
    _, h = m:logprobs(b, { entropy = true })
    assert.equal(0, h:table()[1][4])
  end)
end)

describe("the divergence from a teacher", function()
  kit.leakcheck(before_each, after_each)

  each_kind(function(o, what)
    for dtype, tol in pairs(tolerance) do
      it(("is that of whole logits: %s, %s"):format(dtype, what), function()
        local m, b = make { dtype = dtype, softcap = 4 }, batch(3, 9)
        local teacher = make { dtype = dtype, dim = 16, layers = 2, seed = 2, softcap = 6 }
        same(m, m:kl(b, teacher, o), divergence(m, teacher, b, o), weights(b, dtype), tol)
        for _, p in ipairs(teacher:parameters()) do assert.is_nil(p.tensor:grad()) end
      end)
    end

    it("is exactly 0 from itself, and so is its gradient: " .. what, function()
      for _, dtype in ipairs { "f32", "f64", "bf16", "bf16-amx" } do
        local m, b = make { dtype = dtype }, batch(3, 9)
        local y = m:kl(b, m, o)
        assert.equal(0, y:abs():max():item())
        for _, g in ipairs(gradients(m, y, weights(b, y:dtype()))) do
          assert.equal(0, g:abs():max():item())
        end
      end
    end)
  end)

  -- three blocks of the vocabulary; 24 rows: pieces are kept. 4200 rows: none is
  for _, size in ipairs { { 3, 9 }, { 42, 101 } } do
    for _, k in ipairs(kinds) do
      it(("is the same by pieces: %d rows, %s"):format(size[1] * (size[2] - 1), k.kind), function()
        local V = 2 * 4096 + 5
        local m, teacher = make { vocab = V }, make { vocab = V, seed = 2 }
        local b, o = batch(size[1], size[2], V), { kind = k.kind, beta = k.beta or 0.5 }
        local w, y = weights(b), m:kl(b, teacher, o)
        local one = { ids = b.ids:narrow(1, 2, 1), doc = b.doc:narrow(1, 2, 1) }
        assert.equal(y:narrow(1, 2, 1):bytes(), m:kl(one, teacher, o):bytes())
        local _, h = m:logprobs(b, { entropy = true })
        local _, alone = m:logprobs(one, { entropy = true })
        assert.equal(h:narrow(1, 2, 1):bytes(), alone:bytes())
        if size[1] > 3 then return end -- all logits would be much
        o.temperature = 1
        same(m, y, divergence(m, teacher, b, o), w, 2e-5)
        same(m, h, entropy(m, b, 1), w, 2e-5)
      end)
    end
  end

  for _, dtype in ipairs { "f32", "bf16", "bf16-amx" } do
    it("has the same bits on any threads and ISA: " .. dtype, function()
      local V = 4096 + 77
      local m, teacher = make { vocab = V, dtype = dtype }, make { vocab = V, seed = 2 }
      local b = batch(4, 33, V)
      local function bits()
        local all = {}
        local function keep(y)
          table.insert(all, y:bytes())
          for _, g in ipairs(gradients(m, y, weights(b))) do table.insert(all, g:bytes()) end
        end
        for _, o in ipairs(kinds) do
          keep(m:kl(b, teacher, { kind = o.kind, beta = o.beta or 0.5 }))
        end
        local logp, h = m:logprobs(b, { entropy = true })
        keep(logp + h)
        return table.concat(all)
      end
      local threads, isa = ml.threads(), core.sys.isa()
      local two = bits()
      ml.threads(1)
      local one = bits()
      ml.threads(threads)
      core.sys.isa "scalar"
      local scalar = bits()
      core.sys.isa(isa)
      assert.is_true(one == two)
      assert.is_true(one == scalar)
    end)

    it("is near that of f64, and falls when followed: " .. dtype, function()
      local m, teacher = make { dtype = dtype }, make { dtype = dtype, seed = 2, dim = 16 }
      local b = batch(4, 17)
      local exact = make { dtype = "f64" }
      local exact_teacher = make { dtype = "f64", seed = 2, dim = 16 }
      exact:load_state(m:state())
      exact_teacher:load_state(teacher:state())
      local want = exact:kl(b, exact_teacher):sum():item()
      local got = m:kl(b, teacher):sum():item()
      assert.is_true(math.abs(want - got) < (dtype == "f32" and 1e-5 or 0.03) * want)
      local opt = ml.optim.adamw(m:parameters(), { lr = 1e-2 })
      for _ = 1, 10 do
        m:kl(b, teacher):mean():backward()
        opt:step()
      end
      assert.is_true(ml.no_grad(function() return m:kl(b, teacher):sum():item() end) < 0.7 * got)
    end)
  end

  it("has the gradient of finite differences, through tap and block in Lua too", function()
    local b = batch(2, 7)
    local w = weights(b, "f64")
    for _, fused in ipairs { true, false } do
      local m, teacher = make { dtype = "f64", fused = fused }, make { dtype = "f64", seed = 2 }
      local untap = m:tap("model.layers.0", function(x) return x * 1.25 end)
      local function value()
        local _, h = m:logprobs(b, { entropy = true })
        local sum = h * 0.5
        for i, o in ipairs(kinds) do
          sum = sum + m:kl(b, teacher, { kind = o.kind, beta = o.beta or 0.5 }) * i
        end
        return (sum * w):sum()
      end
      value():backward()
      for _, p in ipairs(m:parameters()) do
        local g = p.tensor:grad():flatten():table()
        local one = p.tensor:detach():flatten():narrow(1, 3, 1)
        local function at(by)
          return ml.no_grad(function()
            one:add_(by)
            local y = value():item()
            one:add_(-by)
            return y
          end)
        end
        local slope = (at(1e-5) - at(-1e-5)) / 2e-5
        assert.near(slope, g[3], 2e-7 * math.max(1, math.abs(slope)), p.name)
      end
      untap()
    end
  end)

  it("never holds a batch of logits", function()
    local V, rows, length = 32768, 8, 128
    local m, teacher = make { vocab = V }, make { vocab = V, seed = 2 }
    local b = batch(rows, length, V)
    local function peak(fn)
      collectgarbage()
      local before = core.sys.memory().live_bytes
      core.sys.reset_peak()
      fn()
      return core.sys.memory().peak_bytes - before
    end
    local whole = rows * length * V * 4
    assert.is_true(peak(function() ml.no_grad(function() m:kl(b, teacher) end) end) < whole / 2)
    assert.is_true(peak(function() m:kl(b, teacher):sum():backward() end) < whole)
    assert.is_true(peak(function()
      local _, h = m:logprobs(b, { entropy = true })
      h:sum():backward()
    end) < whole)
  end)

  it("refuses a backward after a weight of either side has changed", function()
    for _, side in ipairs { 1, 2 } do
      local pair, b = { make(), make { seed = 2 } }, batch(2, 5)
      local y = pair[1]:kl(b, pair[2]):sum()
      ml.no_grad(function() pair[side]:parameter("lm_head.weight"):mul_(2) end)
      kit.raises(function() y:backward() end, "were changed after the forward")
    end
  end)

  it("says what cannot be compared", function()
    local m, b = make(), batch(2, 5)
    kit.raises(function() m:kl(b, 3) end, "teacher must be a model")
    kit.raises(function() m:kl(b, make { vocab = 14 }) end, "vocabulary of 13, got 14")
    kit.raises(function() m:kl(b, make { dtype = "f64" }) end, "got f64")
    kit.raises(function() m:kl(b, m, { kind = "backward" }) end, "forward, reverse or js")
    kit.raises(function() m:kl(b, m, { kind = "js", beta = 1 }) end, "beta must be between")
    kit.raises(function() m:kl(b, m, { temperature = -1 }) end, "kl: temperature")
  end)
end)
