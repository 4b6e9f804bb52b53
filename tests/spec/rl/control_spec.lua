-- What steers an update: the KL's weight, the alarms, the number of steps.
local kit = require "kit"
local ml = require "moonlit"

describe("rl.kl_controller", function()
  it("keeps a fixed weight", function()
    local c = ml.rl.kl_controller { coef = 0.1 }
    assert.are.equal(0.1, c:update(50, 100))
    assert.are.equal(0, ml.rl.kl_controller { coef = 0 }.coef)
  end)

  it("follows the KL", function() -- the numbers are Ziegler et al.'s rule worked by hand
    local c = ml.rl.kl_controller { kind = "adaptive", coef = 0.2, target = 6, horizon = 10000 }
    kit.near(c:update(12, 256), 0.201024, 1e-12)
    kit.near(c:update(3, 256), 0.19999475712, 1e-12)
    kit.near(c:update(0, 256), 0.1989707839635456, 1e-12)
    local again = ml.rl.kl_controller { kind = "adaptive" }
    again:load_state(c:state())
    assert.are.equal(c.coef, again.coef)
  end)

  it("says what is wrong", function()
    kit.raises(function() ml.rl.kl_controller { kind = "adaptiv" } end, '"fixed" or "adaptive"')
    kit.raises(function() ml.rl.kl_controller { coef = -1 } end, "coef must be positive, got -1")
    kit.raises(function() ml.rl.kl_controller { target = 0 } end, "target must be positive, got 0")
    local c = ml.rl.kl_controller { kind = "adaptive" }
    kit.raises(function() c:update(0 / 0, 3) end, "expected the KL of a rollout")
    kit.raises(function() c:update(1) end, "expected a number of replies, got nil")
    kit.raises(function() c:load_state { kind = "fixed", coef = 1 } end, 'of a "fixed" one')
  end)
end)

describe("rl.alarm", function()
  local function names(list)
    local out = {}
    for i, a in ipairs(list) do out[i] = a.name end
    return out
  end

  it("sounds when the reward goes up and the gold score down", function()
    local alarm, fired = ml.rl.alarm { window = 3, fall = 0.1 }, nil
    for step = 1, 40 do
      local gold = step <= 20 and step / 10 or 2 - (step - 20) / 10
      local list = alarm:observe(step, { reward = step / 5, gold = gold })
      if list[1] then
        assert.is_nil(fired)
        fired = list[1]
      end
    end
    assert.are.equal("overoptimised", fired.name)
    assert.is_true(fired.step > 20 and fired.step < 26)
    assert.matches("since step 21 the reward rose from 4 to 4.%d+, the gold score fell", fired.text)
    assert.are.same({ "overoptimised" }, alarm:showing())
  end)

  it("keeps quiet while both rise, both fall, or gold is noisy", function()
    for _, sign in ipairs { 1, -1 } do
      local alarm = ml.rl.alarm { window = 4, fall = 0.3 }
      for step = 1, 60 do
        local noise = 0.2 * math.sin(step * 2.3)
        assert.are.same({}, alarm:observe(step, { reward = sign * step,
                                                  gold = sign * step / 2 + noise }))
      end
    end
  end)

  it("knows the other signs, and sounds again only after they were gone", function()
    local alarm = ml.rl.alarm { kl = 5 }
    assert.are.same({ "kl", "entropy" }, names(alarm:observe(1, { kl = 6, entropy = 0.01 })))
    assert.are.same({}, alarm:observe(2, { kl = 7 }))
    assert.are.same({ "entropy", "kl" }, alarm:showing())
    assert.are.same({}, alarm:observe(3, { kl = 4, entropy = 1 }))
    assert.are.same({}, alarm:showing())
    local list = alarm:observe(4, { kl = 6, frac_reward_zero_std = 0.9,
                                    ["completions/clipped_ratio"] = 0.5, other = 3 })
    assert.are.same({ "kl", "flat", "cut" }, names(list))
    assert.are.equal("KL a reply: 6, more than 5", list[1].text)
  end)

  it("goes on where it was", function()
    local a, b = ml.rl.alarm { window = 2 }, ml.rl.alarm { window = 2 }
    for step = 1, 8 do a:observe(step, { reward = step, gold = step < 5 and step or 5, kl = 1 }) end
    b:load_state(ml.json.decode(ml.json.encode(a:state())))
    for step = 9, 12 do
      local seen = { reward = step, gold = 10 - step }
      assert.are.same(a:observe(step, seen), b:observe(step, seen))
    end
    assert.are.same(a:showing(), b:showing())
    assert.are.same({ "overoptimised" }, b:showing())
  end)
end)

describe("rl.update", function()
  local function list(n)
    local l = {}
    for i = 1, n do l[i] = i end
    return l
  end

  local function all(update, n, rollout)
    local out = {}
    for part, epoch, k in update:parts(list(n), rollout) do
      out[#out + 1] = { part = part, epoch = epoch, k = k }
      update:stepped()
    end
    return out
  end

  it("gives every sample once an epoch, and counts the steps", function()
    local u = ml.rl.update { epochs = 2, minibatches = 3 }
    local parts = all(u, 10, 0)
    assert.are.equal(6, #parts)
    for epoch = 1, 2 do
      local seen = {}
      for i = 3 * epoch - 2, 3 * epoch do
        assert.are.equal(epoch, parts[i].epoch)
        assert.is_true(#parts[i].part == 3 or #parts[i].part == 4)
        table.move(parts[i].part, 1, #parts[i].part, #seen + 1, seen)
      end
      assert.are_not.same(list(10), seen)
      table.sort(seen)
      assert.are.same(list(10), seen)
    end
    assert.are.same({ rollout = 0, steps = 6, planned = 6, stopped = false, kl = 0, total = 6 },
                    u:finish())
    all(u, 10, 1)
    assert.are.equal(12, u:finish().total)
  end)

  it("has an order of seed, rollout and epoch", function()
    local function order(seed, rollout)
      return all(ml.rl.update { epochs = 2, minibatches = 2, seed = seed }, 9, rollout)
    end
    assert.are.same(order(1, 4), order(1, 4))
    assert.are_not.same(order(1, 4), order(2, 4))
    assert.are_not.same(order(1, 4), order(1, 5))
    local parts = order(1, 4)
    assert.are_not.same(parts[1].part, parts[3].part)
    assert.are.same(list(9), all(ml.rl.update { shuffle = false }, 9, 0)[1].part)
  end)

  it("stops early when the policy has gone too far", function()
    local u, kl = ml.rl.update { epochs = 4, minibatches = 2, stop_kl = 0.1 }, 0
    for _ in u:parts(list(4), 3) do
      kl = kl + 0.04
      u:stepped(kl)
    end
    local log = u:finish()
    assert.are.equal(3, log.steps)
    assert.are.equal(8, log.planned)
    assert.is_true(log.stopped)
    kit.near(log.kl, 0.12)
  end)

  it("refuses another number of steps than planned", function()
    local u = ml.rl.update { minibatches = 2 }
    kit.raises(function()
      for _ in u:parts(list(4), 0) do local _ = u end
    end, "rollout 0: 1 mini-batches handed out, 0 steps made")
    kit.raises(function() u:finish() end, "rollout 0: 2 optimiser steps were planned, 0 made")
    u = ml.rl.update { minibatches = 2 }
    kit.raises(function() u:stepped() end, "a step without a mini-batch")
    u:parts(list(4), 0)()
    u:stepped()
    kit.raises(function() u:stepped() end, "a step without a mini-batch")
    kit.raises(function() u:finish() end, "2 optimiser steps were planned, 1 made")
    kit.raises(function() u:parts(list(4), 1) end, "the rollout before has not been finished")
    u = ml.rl.update { minibatches = 2 }
    kit.raises(function() u:parts(list(1), 0) end, "1 samples are too few for 2 mini-batches")
    kit.raises(function() u:parts(list(2)) end, "expected the rollout's number, got nil")
    kit.raises(function() u:finish() end, "no rollout to finish")
    u:parts(list(4), 0)()
    kit.raises(function() u:stepped(0 / 0) end, "KL is NaN")
    kit.raises(function() ml.rl.update { epochs = 0 } end, "epochs must be a positive integer")
  end)
end)

describe("ml.rl", function()
  it("knows its parts", function()
    kit.raises(function() return ml.rl.rolout end, 'no "rolout"; did you mean "rollout"')
  end)
end)
