-- Gradients of every loss by central differences in f64; where a factor is held fixed, which
-- differences cannot see, against the loss in which it is a number.
local kit = require "kit"
local ml = require "moonlit"
local inputs = require "loss.inputs"

local loss = ml.loss

local function leaf(list) return ml.tensor(list, { dtype = "f64", grad = true }) end
local function fixed(list) return ml.tensor(list, { dtype = "f64" }) end

describe("gradients of losses on pairs", function()
  kit.leakcheck(before_each, after_each)

  it("reward", function()
    for _, opt in ipairs { {}, { margin = 0.4 }, { margin = fixed { 0.1, 2, 0 } },
                           { center = 0.3 }, { mask = ml.tensor { 1, 0, 1 } } } do
      kit.gradcheck(function(c, r) return (loss.reward(c, r, opt)) end,
                    { leaf { 1.2, -3, 0.5 }, leaf { 0.3, 0.2, 4 } })
    end
  end)

  it("dpo of every kind", function()
    local lengths = { chosen_lengths = ml.tensor { 4, 3, 7 },
                      rejected_lengths = ml.tensor { 2, 4, 5 } }
    for _, opt in ipairs { {}, { kind = "cdpo", label_smoothing = 0.2 }, { kind = "hinge" },
                           { kind = "robust", label_smoothing = 0.2 }, { kind = "ipo" },
                           { kind = "ipo_sequence" }, { length_normalized = true, beta = 5 },
                           { reference_free = true }, { sft = 0.7 },
                           { mask = ml.tensor { 0, 1, 1 }, sft = 1 } } do
      for k, v in pairs(lengths) do opt[k] = v end
      kit.gradcheck(function(c, r)
        return (loss.dpo(c, r, fixed { -7, -6, -20 }, fixed { -6, -8, -15 }, opt))
      end, { leaf { -7.4, -5.1, -19 }, leaf { -5.2, -8.3, -17 } })
    end
  end)

  it("kto", function()
    local good = ml.tensor { true, false, true }
    for _, opt in ipairs { { kl = 0.3 }, { kl = 0, beta = 1 }, { kl = 0.1, undesirable = 2 },
                           { kl = 0.3, mask = ml.tensor { 1, 1, 0 } } } do
      kit.gradcheck(function(p) return (loss.kto(p, fixed { -7, -6, -20 }, good, opt)) end,
                    { leaf { -7.4, -5.1, -19 } })
    end
  end)

  it("go to the policy only", function()
    local c, r = leaf { -1, -2 }, leaf { -3, -1 }
    local rc, rr = leaf { -1.5, -2 }, leaf { -2, -2 }
    loss.dpo(c, r, rc, rr):backward()
    assert.is_nil(rc:grad())
    assert.is_nil(rr:grad())
    local z = leaf { -1, -3 }
    loss.kto(c, rc, ml.tensor { 1, 0 }, { kl_policy = z, kl_reference = rr }):backward()
    assert.is_nil(rc:grad())
    assert.is_nil(z:grad())
  end)
end)

describe("gradients of losses on tokens", function()
  kit.leakcheck(before_each, after_each)

  local old = function() return inputs.logprobs(inputs.logits(0.1)) end
  local ref = function() return inputs.logprobs(inputs.logits(0.25)) end
  local advantages = fixed { 1.3, -1, 0.15, -0.4 }

  local function check(opt)
    local all = {}
    for k, v in pairs(opt) do all[k] = v end
    if opt.ref then all.ref = ref() end
    kit.gradcheck(function(x)
      if opt.entropy then all.entropy = inputs.entropies(x) end
      return (loss.policy(inputs.logprobs(x), old(), advantages, inputs.mask(), all))
    end, { inputs.logits(0):requires_grad(true) })
    all.entropy = nil
  end

  for _, ratio in ipairs { "token", "sequence", "sequence_sum" } do
    for _, aggregate in ipairs { "token", "sequence", "constant" } do
      it(("policy: ratio %s, aggregate %s"):format(ratio, aggregate), function()
        check { ratio = ratio, aggregate = aggregate, length = 9 }
      end)
    end
  end

  it("policy: clips", function()
    for _, clip in ipairs { { low = 0.02, high = 0.03 }, { high = 0.05 }, { low = 0.05 },
                            { dual = 1.05 }, false } do
      check { clip = clip }
    end
  end)

  it("policy: KL and entropy in the loss", function()
    for _, kl in ipairs { "k1", "k2", "k3" } do check { kl = kl, kl_coef = 0.5, ref = true } end
    check { kl = "k3", kl_coef = 0.5, kl_ratio = true, ref = true }
    check { kl = "k1", kl_coef = 0.5, kl_ratio = true, ref = true, aggregate = "sequence" }
    check { entropy = true, entropy_coef = 0.3, aggregate = "sequence" }
    check { surrogate = "logprob", ratio = "none" }
  end)

  it("policy: a weight in front of the log-probability is a number", function()
    local x = inputs.logprobs(inputs.logits(0)):detach():requires_grad(true)
    local mask = inputs.mask()
    loss.policy(x, old(), advantages, mask, { surrogate = "logprob",
                                              clip = { low = 0.03, high = 0.05 } }):backward()
    local w = (x:detach() - old()):exp():clamp(0.97, 1.05)
    local want = ml.where(mask, -(w * advantages:unsqueeze(2)) / 13, 0)
    kit.near(x:grad(), want, 1e-14)
  end)

  it("policy: without old, the ratio is 1 and still has a gradient", function()
    local a, b = inputs.logits(0):requires_grad(true), inputs.logits(0):requires_grad(true)
    local lp = inputs.logprobs(b)
    local one, stats = loss.policy(inputs.logprobs(a), nil, advantages, inputs.mask())
    one:backward()
    loss.policy(lp, lp:detach(), advantages, inputs.mask()):backward()
    kit.near(a:grad(), b:grad(), 0)
    assert.equal(1, stats["val/ratio_min"])
    assert.equal(1, stats["val/ratio_max"])
    assert.equal(0, stats["policy/approxkl_avg"])
  end)

  it("policy: nothing flows into old, ref and the advantages", function()
    local function shape(v) return ml.full({ 4, 6 }, v, { dtype = "f64" }):requires_grad(true) end
    local x, o, r, a = shape(-1), shape(-1.1), shape(-1.3), shape(0.7)
    loss.policy(x, o, a, inputs.mask(), { preset = "grpo", ref = r }):backward()
    assert.is_truthy(x:grad())
    for _, t in ipairs { o, r, a } do assert.is_nil(t:grad()) end
  end)

  it("value", function()
    local values, returns = leaf { { 0.5, -0.2, 0.9 }, { 2, 1, 0 } },
      fixed { { 0.6, 0.7, 0.1 }, { 1, 1.5, 3 } }
    local before = fixed { { 0.4, 0.3, 0.8 }, { 1.5, 1.4, 0.05 } }
    local mask = ml.tensor { { 1, 1, 1 }, { 1, 1, 0 } }
    for _, opt in ipairs { {}, { clip = 0.05 }, { clip = false }, { over = 3 } } do
      kit.gradcheck(function(v) return (loss.value(v, returns, before, mask, opt)) end,
                    { values })
    end
  end)

  it("kl estimates", function()
    local r = fixed { { -1, -2.5 }, { -0.3, -4 } }
    for _, name in ipairs { "k1", "k2", "k3" } do
      kit.gradcheck(function(x) return loss.kl(x, r, name) end,
                    { leaf { { -1.2, -2 }, { -0.3, -5 } } })
    end
    local x, y = leaf { -1.2, -2 }, leaf { -1.2, -2 }
    loss.kl(x, fixed { -1, -3 }, "k3+"):sum():backward()
    loss.kl(y, fixed { -1, -3 }, "k2"):sum():backward()
    kit.near(x:grad(), y:grad(), 0)
  end)

  it("distill", function()
    local mask = inputs.mask()
    for _, opt in ipairs { {}, { kind = "reverse" }, { kind = "js" }, { kind = "js", beta = 0.1 },
                           { temperature = 2 }, { kind = "reverse", temperature = 0.5 },
                           { kind = "js", temperature = 3 } } do
      kit.gradcheck(function(x) return (loss.distill(x, inputs.logits(1.5), mask, opt)) end,
                    { inputs.logits(0):requires_grad(true) })
    end
  end)
end)
