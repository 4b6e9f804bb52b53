-- The parts of ml.rl together: a policy that learns, and to the same bits however it is run.
local ml = require "moonlit"
local toy = require "rl.toy"

-- the share of an "a" among what was said
local function share_of_a(s)
  local _, n = s.text:gsub("a", "")
  return s.tokens > 0 and n / s.tokens or 0
end

-- each reward against the mean of its prompt's samples
local function set_advantages(samples, G)
  for first = 1, #samples, G do
    local sum = 0
    for i = first, first + G - 1 do sum = sum + samples[i].reward end
    for i = first, first + G - 1 do samples[i].advantages = samples[i].reward - sum / G end
  end
end

-- policy gradient by likelihood ratios; the farthest ratio from 1 of the first mini-batches
local function learn(rollouts, more)
  local o = { batch = 64, parts = 1 }
  for k, v in pairs(more or {}) do o[k] = v end
  local model = toy.model { seed = 9 }
  local optimizer = ml.optim.adamw(model:parameters(), { lr = 0.01 })
  local update = ml.rl.update { epochs = 2, minibatches = 2, seed = 4 }
  local rewards, far, log = {}, 0, nil
  for n = 0, rollouts - 1 do
    local samples = ml.rl.rollout(model, toy.chat, toy.prompts(8), { samples = 8, tokens = 10,
      seed = 1, rollout = n, batch = o.batch })
    rewards[n + 1] = ml.reward.score(share_of_a, samples).reward
    set_advantages(samples, 8)
    for part, epoch, k in update:parts(samples, n) do
      local batch = ml.rl.batch(part)
      local ratio = (model:logprobs(batch) - batch.logprobs):exp()
      if epoch == 1 and k == 1 then
        far = math.max(far, ((ratio:detach() - 1) * batch.mask):abs():amax():item())
      end
      local loss = -(ratio * batch.advantages):sum() / batch.tokens
      loss:backward()
      optimizer:step { clip = 1 }
      update:stepped()
    end
    log = update:finish()
  end
  return model, rewards, far, log
end

describe("ml.rl together", function()
  it("raises its reward, in as many steps as planned", function()
    local _, rewards, far, log = learn(5)
    assert.are.equal(0, far)
    assert.are.equal(20, log.total)
    assert.is_true(rewards[1] < 0.3, rewards[1])
    assert.is_true(rewards[5] > 0.8, rewards[5])
  end)

  it("has one result for any batch and any number of threads", function()
    local want = ml.ckpt.hash((learn(2)):parameters())
    assert.are.equal(want, ml.ckpt.hash((learn(2, { batch = 7 })):parameters()))
    local before = ml.threads()
    ml.threads(before == 1 and 2 or 1)
    local got = ml.ckpt.hash((learn(2)):parameters())
    ml.threads(before)
    assert.are.equal(want, got)
  end)
end)
