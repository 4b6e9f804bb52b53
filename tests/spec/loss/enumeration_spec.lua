-- Expected gradients by going through every outcome of a small policy, each weighed by how likely
-- it is: no sampling, so that an estimator's gradient can be compared with what it should be.
local kit = require "kit"
local ml = require "moonlit"

local loss = ml.loss
local theta, towards, drawn = { 0.2, -0.5, 0.9 }, { 0, 0.3, 0.1 }, { 0.6, 0, 0.2 }

local function logits(list, grad)
  return ml.tensor(list, { dtype = "f64", grad = grad or false })
end

describe("one token, three outcomes", function()
  kit.leakcheck(before_each, after_each)

  -- d/d theta of the exact KL: (p, q) or (q, p)
  local function exact(swapped)
    local x = logits(theta, true)
    local p, q = x:log_softmax(1), logits(towards):log_softmax(1)
    if swapped then p, q = q, p end
    (p:exp() * (p - q)):sum():backward()
    return x:grad()
  end

  -- the expectation, over tokens drawn from `from`, of the gradient of the KL term
  local function expected(opt, from)
    local x = logits(theta, true)
    local old, ref = logits(from):log_softmax(1), logits(towards):log_softmax(1)
    local zero = ml.zeros({ 1, 1 }, { dtype = "f64" })
    for a = 1, 3 do
      local function at(s) return s:narrow(1, a, 1):view(1, 1) end
      local o = { kl = opt.kl, kl_ratio = opt.kl_ratio, kl_coef = 1, ref = at(ref) }
      local y = loss.policy(at(x:log_softmax(1)), at(old), zero, nil, o)
      y:backward(old[a]:exp())
    end
    return x:grad()
  end

  it("k1 teaches nothing, k2 KL(p || ref), k3 KL(ref || p)", function()
    kit.near(exact(), { -0.057754, -0.170143, 0.227897 }, 1e-6)
    kit.near(exact(true), { -0.004560, -0.249230, 0.253790 }, 1e-6)
    kit.near(expected({ kl = "k1" }, theta), { 0, 0, 0 }, 1e-15)
    kit.near(expected({ kl = "k2" }, theta), exact(), 1e-15)
    kit.near(expected({ kl = "k3" }, theta), exact(true), 1e-15)
    kit.near(expected({ kl = "k3+" }, theta), exact(), 1e-15)
  end)

  it("weighed by the ratio, all of them teach KL(p || ref), whoever drew the token", function()
    for _, from in ipairs { theta, drawn } do
      for _, kl in ipairs { "k1", "k2", "k3", "k3+" } do
        kit.near(expected({ kl = kl, kl_ratio = true }, from), exact(), 1e-15)
      end
    end
  end)

  it("each estimate's mean is the KL", function()
    local p, q = logits(theta):log_softmax(1), logits(towards):log_softmax(1)
    local want = (p:exp() * (p - q)):sum()
    for _, name in ipairs { "k1", "k3", "k3+" } do
      kit.near((p:exp() * loss.kl(p, q, name)):sum(), want, 1e-15)
    end
    local near = logits { 0.21, -0.5, 0.9 }:log_softmax(1)
    kit.near((p:exp() * loss.kl(p, near, "k2")):sum() / (p:exp() * (p - near)):sum(), 1, 0.01)
  end)
end)

describe("two tokens, nine answers", function()
  kit.leakcheck(before_each, after_each)

  local first = { 0.2, -0.5, 0.9 }
  local second = { { 0.1, 0.4, -0.3 }, { -0.7, 0.2, 0 }, { 0.5, -0.1, 0.3 } }
  local old_first, old_second = { 0.1, -0.3, 0.6 },
    { { 0, 0.3, -0.2 }, { -0.5, 0.3, 0.1 }, { 0.4, 0, 0.2 } }
  local ref_first, ref_second = { 0, 0.3, 0.1 }, { { 0, 0, 0 }, { 0.2, 0.1, 0 }, { 0, 0.6, 0 } }
  local reward = { { 1, 0, 0.5 }, { -1, 0.3, 0.2 }, { 0, 2, -0.4 } }

  local function policy(f, s, grad)
    local made = { leaves = { logits(f, grad), logits(s, grad) } }
    -- (1, 2) log-probabilities of an answer, with a graph of their own
    function made.answer(a, b)
      local one, two = made.leaves[1]:log_softmax(1), made.leaves[2]:log_softmax(2)
      return ml.cat { one:narrow(1, a, 1), two[{ a, { b, b } }] }:view(1, 2)
    end
    return made
  end

  local function each(f)
    for a = 1, 3 do
      for b = 1, 3 do f(a, b, reward[a][b]) end
    end
  end

  local function grads(p) return { p.leaves[1]:grad():table(), p.leaves[2]:grad():table() } end

  -- gradient of -(E[reward] - beta KL(p || ref))
  local function exact(beta)
    local p, ref = policy(first, second, true), policy(ref_first, ref_second)
    local value = ml.zeros({}, { dtype = "f64" })
    each(function(a, b, r)
      local lp = p.answer(a, b):sum()
      value = value + lp:exp() * (r - (lp - ref.answer(a, b):sum()) * beta)
    end)
    value:backward(ml.tensor(-1.0, { dtype = "f64" }))
    return grads(p)
  end

  -- the expectation of the loss's gradient over answers of q; credit(lp, ref, r) -> advantages
  local function expected(opt, q, credit)
    local p, ref = policy(first, second, true), policy(ref_first, ref_second)
    q = q or policy(first, second)
    each(function(a, b, r)
      local old = q.answer(a, b)
      local y = loss.policy(p.answer(a, b), old, credit(old, ref.answer(a, b), r), nil, opt)
      y:backward(old:sum():exp())
    end)
    return grads(p)
  end

  local function plain(lp, _, r) return ml.full({ 1, 2 }, r, { dtype = lp:dtype() }) end
  local sum = { aggregate = "constant", length = 1 }

  it("on-policy, every surrogate is the gradient of the expected reward", function()
    local want = exact(0)
    kit.near(expected(sum, nil, plain), want, 1e-15)
    kit.near(expected({ surrogate = "logprob", ratio = "none", aggregate = "constant",
                        length = 1 }, nil, plain), want, 1e-15)
    kit.near(expected({ preset = "cispo", aggregate = "constant", length = 1 }, nil, plain),
             want, 1e-15)
    kit.near(expected({ ratio = "sequence_sum", aggregate = "sequence" }, nil, plain),
             want, 1e-15)
    kit.near(expected({ preset = "dr_grpo", length = 1 }, nil, plain), want, 1e-15)
  end)

  it("off-policy, the ratio of whole answers is", function()
    kit.near(expected({ ratio = "sequence_sum", aggregate = "sequence", clip = false },
                      policy(old_first, old_second), plain), exact(0), 1e-14)
  end)

  it("KL in the reward is the gradient of the KL", function()
    local beta = 0.3
    local function credit(lp, ref, r)
      local score = ml.tensor({ r + 0.0 }, { dtype = "f64" })
      local rewards = loss.kl_rewards(score, lp, ref, nil, { coef = beta })
      return (loss.gae(rewards, ml.zeros_like(rewards), nil, { lambda = 1 }))
    end
    kit.near(expected(sum, nil, credit), exact(beta), 1e-15)
  end)

  it("a baseline changes nothing", function()
    local function credit(lp, _, r) return ml.full({ 1, 2 }, r - 17, { dtype = lp:dtype() }) end
    kit.near(expected(sum, nil, credit), exact(0), 1e-13)
  end)
end)
