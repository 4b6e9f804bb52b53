-- What must not change a loss: how a batch is cut into parts, what fills it up, what is added to
-- both sides, who is called first. And what must be nothing: masked rows, equal rewards.
local kit = require "kit"
local ml = require "moonlit"
local toy = require "rl.toy"

local loss = ml.loss
local f64 = { dtype = "f64" }
local B, T, V = 6, 7, 5

-- numbers of a shape, other ones for every phase
local function wave(phase, ...)
  local n = 1
  for _, size in ipairs { ... } do n = n * size end
  local list = {}
  for i = 1, n do list[i] = -1.1 + math.sin(1.7 * i + 0.3 * i * i + phase) end
  return ml.tensor(list, f64):view(...)
end

-- the tokens that count: rows of 5, 1, 0, 7, 3, 2
local function token_mask()
  local rows = {}
  for b, n in ipairs { 5, 1, 0, 7, 3, 2 } do
    rows[b] = {}
    for t = 1, T do rows[b][t] = t > T - n and 1 or 0 end
  end
  return ml.tensor(rows, f64)
end

local lengths = ml.tensor({ 5, 1, 3, 7, 3, 2 }, f64)
local counted = ml.tensor({ 1, 1, 0, 1, 1, 1 }, f64)

-- ---- the losses ----
-- x: inputs, the first `learned` with a gradient; f(x, mask, over); count: the `over` of
-- a mask

local function pairs_in(mask) return mask:sum():item() end
local tokens_in = pairs_in
local function rows_in(mask) return mask:sum(2):gt(0):sum():item() end

local cases = {}
local function case(name, c)
  c.name, cases[#cases + 1] = name, c
end

case("reward", { x = { wave(1, B), wave(2, B), wave(3, B) }, learned = 2, mask = counted,
  count = pairs_in,
  f = function(x, mask, over)
    return loss.reward(x[1], x[2], { margin = x[3], center = 0.1, mask = mask, over = over })
  end })

for _, kind in ipairs { "sigmoid", "cdpo", "ipo", "ipo_sequence", "hinge", "robust" } do
  local e = (kind == "cdpo" or kind == "robust") and 0.1 or nil
  case("dpo, " .. kind, {
    x = { wave(1, B), wave(2, B), wave(3, B), wave(4, B), lengths, lengths + 2 }, learned = 2,
    mask = counted, count = pairs_in,
    f = function(x, mask, over, tokens)
      return loss.dpo(x[1], x[2], x[3], x[4], { kind = kind, beta = 0.7, label_smoothing = e,
        chosen_lengths = x[5], rejected_lengths = x[6], sft = 0.3, mask = mask, over = over,
        over_tokens = tokens })
    end })
end

case("kto", { x = { wave(1, B), wave(2, B), wave(3, B):gt(-1):to("f64") }, learned = 1,
  mask = counted, count = pairs_in,
  f = function(x, mask, over)
    return loss.kto(x[1], x[2], x[3], { kl = 0.2, desirable = 1.3, mask = mask, over = over })
  end })

case("value", { x = { wave(1, B, T), wave(2, B, T), wave(3, B, T) }, learned = 1,
  mask = token_mask(), count = tokens_in,
  f = function(x, mask, over) return loss.value(x[1], x[2], x[3], mask, { over = over }) end })

case("distill", { x = { wave(1, B, T, V), wave(2, B, T, V) }, learned = 1, mask = token_mask(),
  count = tokens_in,
  f = function(x, mask, over)
    return loss.distill(x[1], x[2], mask, { kind = "js", over = over })
  end })

local presets = { "ppo", "grpo", "dr_grpo", "dapo", "gspo", "cispo", "rloo", "reinforce" }
for _, preset in ipairs(presets) do
  local p = loss.presets[preset]
  case("policy, " .. preset, {
    x = { wave(1, B, T), wave(1.1, B, T), wave(2, B, T), wave(1.3, B, T), wave(4, B, T) },
    learned = 1, mask = token_mask(), count = p.aggregate == "token" and tokens_in or rows_in,
    f = function(x, mask, over)
      return loss.policy(x[1], x[2], x[3], mask, { preset = preset, ref = x[4], entropy = x[5],
        entropy_coef = 0.1, length = 9, over = over })
    end })
end

-- loss, gradients by the inputs that are learned, stats; x are fresh leaves
local function run(c, x, mask, over, tokens)
  local leaves = {}
  for i, t in ipairs(x) do
    leaves[i] = t:detach():clone()
    if i <= c.learned then leaves[i]:requires_grad(true) end
  end
  local y, stats = c.f(leaves, mask, over, tokens)
  y:backward()
  local grads = {}
  for i = 1, c.learned do grads[i] = leaves[i]:grad():clone() end
  return y:item(), grads, stats
end

local function each_of(x, f)
  local out = {}
  for i, t in ipairs(x) do out[i] = f(t, i) end
  return out
end

local nan = 0 / 0

describe("a loss", function()
  kit.leakcheck(before_each, after_each)

  for _, c in ipairs(cases) do
    it("is the sum of its parts: " .. c.name, function()
      local want, gradient = run(c, c.x, c.mask)
      local over, sum = c.count(c.mask), 0
      local tokens = (counted * lengths):sum():item()
      for _, part in ipairs { { 1, 1 }, { 2, 2 }, { 4, 3 } } do
        local function rows(t) return t:narrow(1, part[1], part[2]) end
        local y, grads = run(c, each_of(c.x, rows), rows(c.mask), over, tokens)
        sum = sum + y
        for i, g in ipairs(grads) do kit.near(g, rows(gradient[i]), 1e-13) end
      end
      kit.near(sum, want, 1e-13)
    end)

    it("does not see what fills a batch up: " .. c.name, function()
      local want, gradient, stats = run(c, c.x, c.mask)
      -- rows after the last, and tokens before the first where there are tokens; of NaN
      local function filled(t, with)
        if t:dim() > 1 then
          local shape = t:shape()
          shape[2] = 2
          t = ml.cat({ ml.full(shape, with, f64), t }, 2)
        end
        local shape = t:shape()
        shape[1] = 3
        return ml.cat({ t, ml.full(shape, with, f64) }, 1)
      end
      local x = each_of(c.x, function(t) return filled(t, nan) end)
      local y, grads, seen = run(c, x, filled(c.mask, 0))
      kit.near(y, want, 1e-14)
      for i, g in ipairs(grads) do kit.near(g, filled(gradient[i], 0), 1e-14) end
      for name, value in pairs(stats) do kit.near(seen[name], value, 1e-13) end
    end)

    it("is 0 where all is masked, of NaN too: " .. c.name, function()
      local x = each_of(c.x, function(t) return ml.full(t:shape(), nan, f64) end)
      local y, grads, stats = run(c, x, c.mask * 0)
      assert.are.equal(0, y)
      for _, g in ipairs(grads) do assert.are.equal(0, g:abs():amax():item()) end
      for name, value in pairs(stats) do assert.is_true(value == value, name) end
    end)
  end
end)

describe("pairs", function()
  kit.leakcheck(before_each, after_each)
  local c, r, rc, rr = wave(1, B), wave(2, B), wave(3, B), wave(4, B)

  local function dpo(a, b, ra, rb, more)
    local o = { beta = 0.7 }
    for k, v in pairs(more or {}) do o[k] = v end
    local y, stats = loss.dpo(a, b, ra, rb, o)
    return y:item(), stats
  end

  it("swapped have the opposite margin", function()
    local y, stats = dpo(c, r, rc, rr)
    local z, back = dpo(r, c, rr, rc)
    -- softplus(-x) - softplus(x) = -x
    kit.near(y - z, -stats["rewards/margins"], 1e-14)
    kit.near(back["rewards/margins"], -stats["rewards/margins"], 1e-14)
    kit.near(back["rewards/accuracies"], 1 - stats["rewards/accuracies"], 1e-14)
    assert.are.equal(stats["logps/chosen"], back["logps/rejected"])
    local e = { kind = "cdpo", label_smoothing = 0.2 }
    kit.near(dpo(c, r, rc, rr, e), 0.8 * y + 0.2 * z, 1e-14)
    e.kind = "robust"
    kit.near(dpo(c, r, rc, rr, e), (0.8 * y - 0.2 * z) / 0.6, 1e-14)

    local a, score = loss.reward(c, r)
    local b, other = loss.reward(r, c)
    kit.near(a:item() - b:item(), -score.margin, 1e-14)
    kit.near({ other.margin, other.accuracy, other.mean_reward },
             { -score.margin, 1 - score.accuracy, score.mean_reward }, 1e-14)
  end)

  it("do not see what is added to both sides", function()
    local by = wave(9, B) * 3
    for _, kind in ipairs { "sigmoid", "hinge", "ipo_sequence" } do
      local o = { kind = kind }
      local want = dpo(c, r, rc, rr, o)
      kit.near(dpo(c + by, r + by, rc, rr, o), want, 1e-13) -- the prompt's share
      kit.near(dpo(c, r, rc + by, rr + by, o), want, 1e-13)
      kit.near(dpo(c + by, r, rc + by, rr, o), want, 1e-13) -- a token both are as sure of
    end
    kit.near(loss.reward(c + by, r + by), loss.reward(c, r), 1e-13)
    assert.is_true(math.abs((loss.reward(c + by, r + by, { center = 0.1 })
                             - loss.reward(c, r, { center = 0.1 })):item()) > 0.1)
    local good = wave(3, B):gt(-1)
    kit.near(loss.kto(c + by, r + by, good, { kl = 0.1 }), loss.kto(c, r, good, { kl = 0.1 }),
             1e-13)
  end)
end)

describe("advantages and tokens", function()
  kit.leakcheck(before_each, after_each)

  it("do not see a constant of the rewards", function()
    local rewards, by = wave(1, 12), wave(5, 3):unsqueeze(2):expand { 3, 4 }:reshape(-1)
    for _, scale in ipairs { "std", "none", "loo" } do
      local want = loss.group(rewards, 4, { scale = scale })
      kit.near(loss.group(rewards + by, 4, { scale = scale }), want, 1e-12)
      kit.near(want:view(3, 4):sum(2), { 0, 0, 0 }, 1e-12)
    end
    local mask = ml.tensor({ 1, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1 }, f64)
    kit.near(loss.whiten(rewards + 5, mask), loss.whiten(rewards, mask), 1e-12)
  end)

  it("do not see what is added to both policies", function()
    local lp, old, a, mask = wave(1, B, T), wave(1.1, B, T), wave(2, B, T), token_mask()
    local by = wave(6, B, T)
    for _, preset in ipairs { "ppo", "dapo", "gspo", "rloo" } do
      local o = { preset = preset }
      kit.near(loss.policy(lp + by, old + by, a, mask, o), loss.policy(lp, old, a, mask, o), 1e-13)
    end
    for _, kind in ipairs { "k1", "k2", "k3" } do
      kit.near(loss.kl(lp + by, old + by, kind), loss.kl(lp, old, kind), 1e-12)
    end
  end)
end)

describe("through a model", function()
  kit.leakcheck(before_each, after_each)

  local function gradients(model)
    local worst = 0
    for _, p in ipairs(model:parameters()) do
      worst = math.max(worst, p.tensor:grad():abs():amax():item())
      p.tensor:discard_grad()
    end
    return worst
  end

  -- equal rewards in a group, a reference that is the policy, a second step of the same rollout
  it("nothing to learn moves nothing, whatever the method", function()
    local model = toy.model()
    local samples = ml.rl.rollout(model, toy.chat, toy.prompts(3), { samples = 4, tokens = 9 })
    local rewards = {}
    for i = 1, 12 do rewards[i] = (i - 1) // 4 * 0.1 end
    for _, preset in ipairs(presets) do
      local p = loss.presets[preset]
      local scale = p.advantage ~= "gae" and p.advantage or "std"
      local advantages = loss.group(ml.tensor(rewards), 4, { scale = scale }):table()
      for i, s in ipairs(samples) do s.advantages = advantages[i] end
      local b = ml.rl.batch(samples)
      for _, old in ipairs { b.logprobs, b.logprobs - 0.1 } do
        local logprobs = model:logprobs(b)
        loss.policy(logprobs, old, b.advantages, b.mask,
                    { preset = preset, ref = b.logprobs, length = 9 }):backward()
        assert.are.equal(0, gradients(model), preset)
      end
    end
  end)

  it("a group without a difference is left out of the gradient of the others", function()
    local model = toy.model { dtype = "f64" }
    local samples = ml.rl.rollout(model, toy.chat, toy.prompts(2), { samples = 3, tokens = 9 })
    for i, s in ipairs(samples) do s.advantages = i <= 3 and i - 2 or 0 end
    local function gradient(list, over)
      local b = ml.rl.batch(list, { dtype = "f64" })
      loss.policy(model:logprobs(b), b.logprobs, b.advantages, b.mask,
                  { preset = "grpo", kl = "none", over = over }):backward()
      local out = {}
      for i, p in ipairs(model:parameters()) do
        out[i] = p.tensor:grad():clone()
        p.tensor:discard_grad()
      end
      return out
    end
    local all = gradient(samples)
    local one = gradient({ table.unpack(samples, 1, 3) }, #samples)
    for i = 1, #all do kit.near(all[i], one[i], 1e-12) end
  end)
end)
