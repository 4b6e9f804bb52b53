-- Optimisers against plain Lua arithmetic in double, schedules against closed forms.
local ml = require "moonlit"

local function parameter(values, dtype)
  return ml.tensor(values, { dtype = dtype or "f64", grad = true })
end

-- puts g into the parameter's gradient: d/dp sum(p * g)
local function set_grad(p, g) (p * ml.tensor(g, { dtype = p:dtype() })):sum():backward() end

describe("adamw", function()
  it("follows the paper", function()
    local p = parameter { { 1.0, -2.0 }, { 0.5, 3.0 } }
    local opt = ml.optim.adamw({ p }, { lr = 0.1, betas = { 0.9, 0.99 }, weight_decay = 0.1 })
    local w, m, v = { 1.0, -2.0, 0.5, 3.0 }, { 0, 0, 0, 0 }, { 0, 0, 0, 0 }
    for t = 1, 5 do
      local g = { { t, -1.0 }, { 0.25 * t, 2.0 } }
      set_grad(p, g)
      opt:step {}
      for i, gi in ipairs { g[1][1], g[1][2], g[2][1], g[2][2] } do
        w[i] = w[i] * (1 - 0.1 * 0.1)
        m[i] = m[i] + (gi - m[i]) * 0.1
        v[i] = v[i] + (gi * gi - v[i]) * 0.01
        local mh, vh = m[i] / (1 - 0.9 ^ t), v[i] / (1 - 0.99 ^ t)
        w[i] = w[i] - 0.1 * mh / (math.sqrt(vh) + 1e-8)
      end
    end
    local got = p:detach():table()
    for i, expected in ipairs(w) do
      assert.near(expected, got[(i + 1) // 2][(i + 1) % 2 + 1], 1e-12)
    end
  end)

  it("does not decay vectors, and leaves a parameter without a gradient alone", function()
    local a, b = parameter { 1.0, 2.0 }, parameter { 5.0 }
    local opt = ml.optim.adamw({ a, b }, { lr = 0.1, weight_decay = 0.5 })
    set_grad(a, { 0.0, 0.0 })
    opt:step {}
    assert.are.same({ 1.0, 2.0 }, a:detach():table())
    assert.are.same({ 5.0 }, b:detach():table())
  end)

  it("clips over all parameters and returns the norm before the clip", function()
    local a, b = parameter { 0.0 }, parameter { 0.0 }
    local opt = ml.optim.sgd({ a, b }, { lr = 1 })
    set_grad(a, { 3.0 })
    set_grad(b, { 4.0 })
    assert.near(5, opt:step { clip = 1 }, 1e-12)
    assert.near(-0.6, a:detach():table()[1], 1e-6)
    assert.near(-0.8, b:detach():table()[1], 1e-6)
    assert.is_nil(a:grad())
  end)

  it("refuses a gradient that is not finite and touches nothing", function()
    local a = parameter { 1.0 }
    local opt = ml.optim.adamw({ a }, { lr = 1 })
    set_grad(a, { 0 / 0 })
    assert.has_error(function() opt:step {} end)
    assert.are.same({ 1.0 }, a:detach():table())
    opt:discard()
    assert.is_nil(a:grad())
  end)

  it("names an unknown option", function()
    local ok, message = pcall(ml.optim.adamw, { parameter { 1.0 } }, { leaning = 1 })
    assert.is_false(ok)
    assert.is_truthy(message:find("leaning", 1, true), message)
  end)
end)

describe("sgd", function()
  it("adds momentum as PyTorch does", function()
    local p = parameter { 1.0 }
    local opt = ml.optim.sgd({ p }, { lr = 0.1, momentum = 0.9, nesterov = true })
    local w, m = 1.0, 0
    for t = 1, 4 do
      set_grad(p, { t * 0.5 })
      opt:step {}
      m = 0.9 * m + t * 0.5
      w = w - 0.1 * (t * 0.5 + 0.9 * m)
    end
    assert.near(w, p:detach():table()[1], 1e-12)
  end)
end)

-- Newton-Schulz in plain Lua on nested tables
local function product(a, b)
  local c = {}
  for i = 1, #a do
    c[i] = {}
    for j = 1, #b[1] do
      local s = 0
      for k = 1, #b do s = s + a[i][k] * b[k][j] end
      c[i][j] = s
    end
  end
  return c
end
local function turn(a)
  local t = {}
  for j = 1, #a[1] do
    t[j] = {}
    for i = 1, #a do t[j][i] = a[i][j] end
  end
  return t
end
local function orthogonal(u)
  local tall = #u > #u[1]
  local x = tall and turn(u) or u
  local n = 0
  for _, row in ipairs(x) do for _, v in ipairs(row) do n = n + v * v end end
  n = math.sqrt(n) + 1e-7
  local y = {}
  for i, row in ipairs(x) do
    y[i] = {}
    for j, v in ipairs(row) do y[i][j] = v / n end
  end
  x = y
  for _ = 1, 5 do
    local a = product(x, turn(x))
    local aa = product(a, a)
    for i = 1, #a do for j = 1, #a do aa[i][j] = -4.7750 * a[i][j] + 2.0315 * aa[i][j] end end
    local bx = product(aa, x)
    for i = 1, #x do for j = 1, #x[1] do x[i][j] = 3.4445 * x[i][j] + bx[i][j] end end
  end
  return tall and turn(x) or x
end

describe("muon", function()
  for _, shape in ipairs { { 3, 5 }, { 6, 2 }, { 4, 4 } } do
    it(("orthogonalises a %dx%d gradient as published"):format(shape[1], shape[2]), function()
      local g = {}
      for i = 1, shape[1] do
        g[i] = {}
        for j = 1, shape[2] do g[i][j] = math.sin(i * 3 + j * j) end
      end
      local p = ml.zeros(shape, { dtype = "f64", grad = true })
      local opt = ml.optim.muon({ p }, { lr = 0.1, momentum = 0.9, nesterov = true })
      set_grad(p, g)
      opt:step {}
      -- first step: m = 0.1 g, u = lerp(g, m, 0.9) is along g, and the norm divides it away
      local o, scale = orthogonal(g), math.sqrt(math.max(1, shape[1] / shape[2]))
      local got = p:detach():table()
      for i = 1, shape[1] do
        for j = 1, shape[2] do assert.near(-0.1 * scale * o[i][j], got[i][j], 1e-6) end
      end
    end)
  end

  it("refuses vectors", function()
    assert.has_error(function() ml.optim.muon({ parameter { 1.0 } }, {}) end)
  end)
end)

describe("state", function()
  it("restores moments and counts exactly", function()
    local function run(steps, from)
      local p = parameter { { 1.0, 2.0 } }
      local opt = ml.optim.adamw({ p }, { lr = 0.1 })
      if from then
        p:detach():copy_(from.p)
        opt:load_state(from.state)
      end
      for t = 1, steps do
        set_grad(p, { { t, 1.0 } })
        opt:step {}
      end
      return { p = p:detach():clone(), state = opt:state() }
    end
    local half = run(3)
    local a = run(2, half).p:table()
    local p = parameter { { 1.0, 2.0 } }
    local opt = ml.optim.adamw({ p }, { lr = 0.1 })
    for _, t in ipairs { 1, 2, 3, 1, 2 } do
      set_grad(p, { { t, 1.0 } })
      opt:step {}
    end
    assert.are.same(p:detach():table(), a)
  end)
end)

describe("hybrid", function()
  local shape = { layers = 1, heads = 2, dim = 16, vocab = 11, context = 8, seed = 5 }

  local function step(model, opt)
    model:loss({ ids = ml.tensor({ { 1, 2, 3, 4 } }, { dtype = "i64" }) }):backward()
    return opt:step { lr_scale = 0.5, clip = 1 }
  end

  it("is Muon for the blocks' matrices and AdamW for the rest", function()
    local a, b = ml.model(shape), ml.model(shape)
    local matrices, rest = {}, {}
    for _, p in ipairs(b:parameters()) do
      local block = p.name:find("proj", 1, true)
      table.insert(block and matrices or rest, p)
    end
    assert.are.equal(7, #matrices)
    local by_hand = ml.optim.new { groups = {
      { kind = "muon", params = matrices, lr = 0.01, scale = "match_rms", weight_decay = 0.01 },
      { kind = "adamw", params = rest, lr = 0.01, betas = { 0.9, 0.95 } } } }
    assert.are.equal(step(b, by_hand), step(a, ml.optim.hybrid(a, { lr = 0.01 })))
    assert.are.equal(ml.ckpt.hash(b:parameters()), ml.ckpt.hash(a:parameters()))
  end)

  it("refuses an unknown option with the nearest name", function()
    assert.has_error(function() ml.optim.hybrid(ml.model(shape), { momentun = 0.9 }) end)
  end)
end)

describe("schedules", function()
  it("cosine warms up, peaks and ends at the floor", function()
    local s = ml.optim.cosine { peak = 1, floor = 0.1, warmup = 10, steps = 110 }
    assert.near(0.5, s(5), 1e-15)
    assert.near(1, s(10), 1e-15)
    assert.near(0.55, s(60), 1e-15)
    assert.near(0.1, s(110), 1e-15)
    assert.near(0.1, s(1000), 1e-15)
  end)
  it("wsd is constant, then linear", function()
    local s = ml.optim.wsd { peak = 2, floor = 0.2, warmup = 4, steps = 100, decay_from = 0.5 }
    assert.near(1, s(2), 1e-15)
    assert.near(2, s(49), 1e-15)
    assert.near(1.1, s(75), 1e-12)
    assert.near(0.2, s(100), 1e-15)
  end)
  it("linear and constant", function()
    assert.near(0.5, ml.optim.linear { peak = 1, steps = 100 }(50), 1e-15)
    assert.near(3, ml.optim.constant { peak = 3, warmup = 5 }(7), 1e-15)
    assert.near(0.6, ml.optim.constant { peak = 3, warmup = 5 }(1), 1e-15)
  end)
  it("refuses what is missing or unknown", function()
    assert.has_error(function() ml.optim.cosine { peak = 1 } end)
    assert.has_error(function() ml.optim.cosine { peak = 1, steps = 5, flor = 1 } end)
  end)
end)
