-- Every loss against tests/golden/loss: values, and how much they pull at the logits.
local kit = require "kit"
local ml = require "moonlit"
local inputs = require "loss.inputs"

local loss, goldens = ml.loss, inputs.goldens
local tolerance = { f64 = 1e-12, f32 = 1e-6 }

-- f(logits, dtype) -> loss, stats, in both precisions, against the golden of that name
local function case(name, f, check)
  for _, dtype in ipairs { "f64", "f32" } do
    it(name .. " in " .. dtype, function()
      local x = inputs.logits(0, dtype):requires_grad(true)
      local y, stats = f(x, dtype)
      assert.equal(dtype, y:dtype())
      assert.equal(0, y:dim())
      y:backward()
      kit.near(y:item(), goldens[name].loss, tolerance[dtype])
      kit.near(x:grad():abs():sum():item(), goldens[name].grad_l1, tolerance[dtype] * 3)
      if check then check(stats, tolerance[dtype]) end
    end)
  end
end

local function near_fields(stats, want, tol)
  for name, value in pairs(want) do kit.near(stats[name], value, tol) end
end

describe("golden values of preference losses", function()
  kit.leakcheck(before_each, after_each)

  local function dpo(opt)
    return function(x, dtype)
      local lp = inputs.sums(inputs.logprobs(x))
      local ref = inputs.sums(inputs.logprobs(inputs.logits(0.25, dtype)))
      local lengths = inputs.mask():sum(2)
      local all = { chosen_lengths = lengths:narrow(1, 1, 2),
                    rejected_lengths = lengths:narrow(1, 3, 2) }
      for k, v in pairs(opt) do all[k] = v end
      return loss.dpo(lp:narrow(1, 1, 2), lp:narrow(1, 3, 2), ref:narrow(1, 1, 2),
                      ref:narrow(1, 3, 2), all)
    end
  end

  local function metrics(stats, tol)
    near_fields(stats, goldens["dpo.stats"], tol)
    assert.equal(2, stats.count)
  end

  case("dpo.sigmoid", dpo {}, metrics)
  case("dpo.sigmoid beta 1", dpo { beta = 1 })
  case("dpo.cdpo", dpo { kind = "cdpo", label_smoothing = 0.1 }, metrics)
  case("dpo.robust", dpo { kind = "robust", label_smoothing = 0.1 })
  case("dpo.hinge", dpo { kind = "hinge" })
  case("dpo.ipo", dpo { kind = "ipo" }, metrics)
  case("dpo.ipo_sequence", dpo { kind = "ipo_sequence" })
  case("dpo.length_normalized beta 2", dpo { length_normalized = true, beta = 2 })
  case("dpo.length_normalized beta 5", dpo { length_normalized = true, beta = 5 })
  case("dpo.reference_free", dpo { reference_free = true })
  case("dpo.sft", dpo { sft = 0.5 }, function(stats, tol)
    kit.near(stats.nll_loss, goldens.nll.loss, tol)
  end)

  local function kto(kl)
    return function(x, dtype)
      local opt = { kl = kl }
      if not kl then
        opt.kl_policy = inputs.vector(goldens["kto.kl_policy"], dtype)
        opt.kl_reference = inputs.vector(goldens["kto.kl_reference"], dtype)
      end
      return loss.kto(inputs.sums(inputs.logprobs(x)),
                      inputs.sums(inputs.logprobs(inputs.logits(0.25, dtype))),
                      ml.tensor { true, true, false, false }, opt)
    end
  end

  case("kto", kto(nil), function(stats, tol)
    kit.near(stats.kl, goldens["kto.kl"], tol)
    for _, name in ipairs { "rewards/chosen", "rewards/rejected", "rewards/margins",
                            "logps/chosen", "logps/rejected" } do
      kit.near(stats[name], goldens["dpo.stats"][name], tol)
    end
  end)
  case("kto.kl 0", kto(0))

  for _, dtype in ipairs { "f64", "f32" } do
    it("reward in " .. dtype, function()
      for name, opt in pairs { reward = {}, ["reward.margin"] = { margin = 0.5 },
                               ["reward.center"] = { center = 0.01 } } do
        local c = ml.tensor({ 1.2 }, { dtype = dtype, grad = true })
        local r = ml.tensor({ 0.3 }, { dtype = dtype, grad = true })
        local y, stats = loss.reward(c, r, opt)
        y:backward()
        kit.near(y, goldens[name].loss, tolerance[dtype])
        kit.near({ c:grad():item(), r:grad():item() }, goldens[name].grad, tolerance[dtype])
        assert.equal(1, stats.accuracy)
        kit.near({ stats.margin, stats.mean_reward, stats.min_reward, stats.max_reward },
                 { 0.9, 0.75, 0.3, 1.2 })
      end
    end)
  end
end)

describe("golden values of the policy loss", function()
  kit.leakcheck(before_each, after_each)

  -- advantages by name, the policy as it is in opt
  local function policy(advantages, opt)
    return function(x, dtype)
      local all = {}
      for k, v in pairs(opt) do all[k] = v end
      if opt.ref then all.ref = inputs.logprobs(inputs.logits(0.25, dtype)) end
      if opt.entropy then all.entropy = inputs.entropies(x) end
      return loss.policy(inputs.logprobs(x), inputs.logprobs(inputs.logits(0.1, dtype)),
                         inputs.vector(goldens[advantages], dtype), inputs.mask(), all)
    end
  end

  local function clip_stats(want)
    return function(stats, tol)
      for name, value in pairs(want) do kit.near(stats["clip_ratio/" .. name], value, tol) end
      assert.equal(13, stats.count)
      assert.equal(4, stats.sequences)
    end
  end

  local std, none, loo = "group.std", "group.none", "group.loo"
  local tokens = clip_stats { low_mean = 0, high_mean = 1 / 13, region_mean = 1 / 13, low_min = 0,
                              high_max = 0.5 }
  local both = { low = 0.2, high = 0.2 }
  case("policy.ppo", policy(std, { preset = "ppo" }), tokens)
  case("policy.grpo", policy(std, { preset = "grpo", ref = true }), function(stats, tol)
    tokens(stats, tol)
    kit.near(stats.kl, goldens.kl.k3, tol)
    kit.near(stats.policy_loss, goldens["policy.grpo without kl"].loss, tol)
  end)
  case("policy.grpo without kl", policy(std, { aggregate = "sequence" }))
  case("policy.grpo k2", policy(std, { preset = "grpo", kl = "k2", ref = true }))
  case("policy.dr_grpo", policy(none, { preset = "dr_grpo", length = 8 }))
  case("policy.dr_grpo by std", policy(std, { aggregate = "constant", length = 8 }))
  case("policy.dapo", policy(std, { preset = "dapo" }))
  case("policy.dapo kl_ratio", policy(std, { kl = "k3", kl_coef = 0.04, kl_ratio = true,
                                             ref = true }))
  case("policy.dapo dual 1.1", policy(std, { clip = { low = 0.2, high = 0.28, dual = 1.1 } }))
  case("policy.gspo", policy(std, { preset = "gspo" }))
  case("policy.gspo .2", policy(std, { preset = "gspo", clip = both }),
       clip_stats { low_mean = 0, high_mean = 0.25, region_mean = 0.25, low_min = 0,
                    high_max = 1 })
  case("policy.gspo .2 .28", policy(std, { preset = "gspo", clip = { low = 0.2, high = 0.28 } }))
  case("policy.cispo", policy(std, { preset = "cispo" }), function(stats)
    assert.equal(0, stats.cispo_clip_ratio)
  end)
  case("policy.rloo", policy(loo, { preset = "rloo" }))
  case("policy.reinforce", policy(none, { preset = "reinforce" }))
  case("policy.entropy", policy(std, { entropy = true, entropy_coef = 0.01 }),
       function(stats, tol) kit.near(stats.entropy, goldens.entropy, tol) end)
end)

describe("golden values of what advantages are made of", function()
  kit.leakcheck(before_each, after_each)

  for _, dtype in ipairs { "f64", "f32" } do
    local tol = tolerance[dtype]
    local function of(list) return inputs.vector(list, dtype) end

    it("groups in " .. dtype, function()
      local rewards = of { 1, 0, 0.5, 0.25 }
      local a, stats = loss.group(rewards, 4)
      kit.near(a, goldens["group.std"], tol)
      kit.near({ stats.reward, stats.reward_std, stats.frac_reward_zero_std },
               { 0.4375, math.sqrt(0.546875 / 3), 0 }, tol)
      kit.near(loss.group(rewards, 4, { correction = 0, eps = 1e-8 }),
               goldens["group.std population"], tol)
      kit.near(loss.group(rewards, 4, { scale = "none" }), goldens["group.none"], tol)
      kit.near(loss.group(rewards, 4, { scale = "loo" }), goldens["group.loo"], tol)
    end)

    it("rewards minus KL, GAE and whitening in " .. dtype, function()
      local g = goldens.gae
      local mask = inputs.mask()
      local old = inputs.logprobs(inputs.logits(0.1, dtype))
      local ref = inputs.logprobs(inputs.logits(0.25, dtype))
      local r = loss.kl_rewards(of { 1, 0, 0.5, 0.25 }, old, ref, mask)
      kit.near(r:narrow(2, 3, 4), g.rewards, tol)
      kit.near(r:narrow(2, 1, 2):abs():sum(), 0)
      local a, returns = loss.gae(of(g.rewards), of(g.values), of(g.mask))
      kit.near(a, g.advantages, tol)
      kit.near(returns, g.returns, tol)
      kit.near(loss.whiten(a, of(g.mask)), g.whitened, tol * 3)
      kit.near(loss.whiten(a, of(g.mask)):sum(), 0, tol * 13)
    end)

    it("the value loss in " .. dtype, function()
      local g = goldens.gae
      local v = of(goldens.value.values):requires_grad(true)
      local y, stats = loss.value(v, of(g.returns), of(g.values), of(g.mask))
      y:backward()
      kit.near(y, goldens.value.loss, tol)
      kit.near(v:grad():abs():sum(), goldens.value.grad_l1, tol)
      kit.near(stats["val/clipfrac_avg"], goldens.value.clipfrac, tol)
      kit.near(stats["loss/value_avg"], goldens.value.loss, tol)
    end)

    it("KL estimates in " .. dtype, function()
      local lp = inputs.logprobs(inputs.logits(0, dtype))
      local ref = inputs.logprobs(inputs.logits(0.25, dtype))
      for _, name in ipairs { "k1", "k2", "k3" } do
        local k = loss.kl(lp, ref, name)[inputs.mask()]
        kit.near(k:mean(), goldens.kl[name], tol)
      end
      assert.is_true(loss.kl(lp, ref, "k3"):allclose(loss.kl(lp, ref, "k3+"), { rtol = 1e-5 }))
    end)
  end
end)

describe("golden values of distillation", function()
  kit.leakcheck(before_each, after_each)

  -- a position predicts the next token: the answers' mask, one earlier
  local function before(mask)
    local m = ml.zeros({ inputs.rows, inputs.length }, { dtype = "bool" })
    m:narrow(2, 1, inputs.length - 1):copy_(mask:narrow(2, 2, inputs.length - 1))
    return m
  end

  for beta, opt in pairs { ["0"] = { kind = "forward" }, ["1"] = { kind = "reverse" },
                           ["0.1"] = { kind = "js", beta = 0.1 },
                           ["0.5"] = { kind = "js" } } do
    for _, temperature in ipairs { 1, 2 } do
      case(("distill %s T %d"):format(beta, temperature), function(x, dtype)
        return loss.distill(x, inputs.logits(0.25, dtype), before(inputs.mask()),
          { kind = opt.kind, beta = opt.beta, temperature = temperature })
      end, function(stats) assert.equal(13, stats.count) end)
    end
  end
end)
