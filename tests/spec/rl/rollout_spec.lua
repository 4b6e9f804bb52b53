-- Rollouts: log-probabilities that are those of a training forward, keys of the draws, episodes.
local kit = require "kit"
local ml = require "moonlit"
local toy = require "rl.toy"

local function rollout(model, prompts, more)
  local o = { samples = 4, tokens = 20, seed = 3, rollout = 2 }
  for k, v in pairs(more or {}) do o[k] = v end
  return ml.rl.rollout(model, toy.chat, prompts, o)
end

-- how many drawn ids of a batch have another log-probability in a training forward, and how many
-- there are; ratios that are not exactly 1
local function differences(model, batch, temperature)
  local now = model:logprobs(batch, { temperature = temperature })
  local ratio = ((now - batch.logprobs) * batch.mask):exp()
  local off = (ratio:detach() - 1):abs():sum():item()
  local a, b, bits = now:detach():table(), batch.logprobs:table(), batch.mask:table()
  local wrong, count = 0, 0
  for r, row in ipairs(bits) do
    for t, bit in ipairs(row) do
      if bit == 1 then
        count = count + 1
        if a[r][t] ~= b[r][t] then wrong = wrong + 1 end
      end
    end
  end
  return wrong, count, off
end

describe("rl.rollout", function()
  kit.leakcheck(before_each, after_each)

  for _, dtype in ipairs { "f32", "bf16-amx" } do
    -- 4 x 250 + 4 x 2250: ten thousand sequences a tier
    for _, case in ipairs { { 250, 1 }, { 2250, 0.7 } } do
      local count, temperature = table.unpack(case)
      it(("keeps the bits of a training forward: %s, %d sequences at %g"):format(
          dtype, 4 * count, temperature), function()
        local model = toy.model { dtype = dtype }
        local samples = rollout(model, toy.prompts(count), { temperature = temperature,
                                                             batch = 61 })
        assert.are.equal(4 * count, #samples)
        local drawn, lengths, seen = 0, {}, 0
        for _, s in ipairs(samples) do drawn, lengths[s.tokens] = drawn + s.tokens, true end
        for n = 1, 20 do assert.is_true(lengths[n], "no reply of " .. n .. " tokens") end
        for batch in ml.rl.batches(samples, { rows = 64 }) do
          local wrong, n, off = differences(model, batch, temperature)
          assert.are.equal(0, wrong)
          assert.are.equal(0, off)
          seen = seen + n
        end
        assert.are.equal(drawn, seen)
      end)
    end

    it("keeps them in packed rows and over several turns: " .. dtype, function()
      local model = toy.model { dtype = dtype }
      local function echo()
        local prompts = toy.prompts(9)
        return { reset = function(seed) return { { role = "user", content = prompts[seed] } } end,
                 step = function(m) return "ab" .. m.content:sub(1, 5), false end }
      end
      local seeds = {}
      for i = 1, 9 do seeds[i] = i end
      local samples = rollout(model, seeds, { env = echo, tokens = 8, rounds = 3 })
      local batch = ml.rl.batch(samples, { length = 97, pack = true })
      assert.is_true(batch.ids:size(1) < #samples)
      local wrong, n = differences(model, batch, 1)
      assert.are.equal(0, wrong)
      local drawn = 0
      for _, s in ipairs(samples) do drawn = drawn + s.tokens end
      assert.are.equal(drawn, n)
    end)
  end

  it("says what it drew", function()
    local model, prompts = toy.model(), toy.prompts(5)
    local samples, stats = rollout(model, { prompts[1], { { role = "user", content = prompts[2] } },
      { messages = { { role = "user", content = prompts[3] } }, answer = "x" } })
    assert.are.equal(12, #samples)
    assert.are.equal(3, samples[12].prompt)
    assert.are.equal(4, samples[12].sample)
    assert.are.equal("x", samples[9].row.answer)
    assert.are.equal(prompts[2], samples[5].asked[1].content)
    local least, total, cut = 99, 0, 0
    for _, s in ipairs(samples) do
      assert.are.equal(s.text, s.messages[#s.messages].content)
      assert.are.equal(#s.ids, #s.mask)
      assert.are.equal(#s.ids, #s.logprobs)
      assert.are.equal(#s.ids, s.start + s.tokens)
      for t, bit in ipairs(s.mask) do assert.are.equal(t > s.start and 1 or 0, bit) end
      least, total = math.min(least, s.tokens), total + s.tokens
      if not s.stopped then cut = cut + 1 end
    end
    assert.are.equal(least, stats["completions/min_length"])
    assert.are.equal(total / 12, stats["completions/mean_length"])
    assert.are.equal(total, stats.num_tokens)
    assert.are.equal(cut / 12, stats["completions/clipped_ratio"])
  end)

  it("depends on seed, rollout, prompt and sample, not on the batch", function()
    local model, prompts = toy.model(), toy.prompts(6)
    local all = rollout(model, prompts)
    for _, n in ipairs { 1, 5, 64 } do
      assert.are.same(all, (rollout(model, prompts, { batch = n })))
    end
    local one = rollout(model, { prompts[4] })
    for g = 1, 4 do assert.are.same(all[12 + g].ids, one[g].ids) end
    assert.are_not.same(one[1].ids, one[2].ids)
    assert.are_not.same(one[1].ids, rollout(model, { prompts[4] }, { rollout = 3 })[1].ids)
    assert.are_not.same(one[1].ids, rollout(model, { prompts[4] }, { seed = 4 })[1].ids)
  end)

  it("says what is wrong", function()
    local m = toy.model()
    kit.raises(function() rollout(m, {}) end, "expected a list of prompts, got none")
    kit.raises(function() rollout(m, { 5 }) end, "prompt 1 must be text, messages")
    kit.raises(function() rollout(m, { "a" }, { sample = 2 }) end, 'did you mean "samples"')
    kit.raises(function() rollout(m, { "a" }, { samples = 0 }) end, "positive integer, got 0")
    kit.raises(function() rollout(m, { "a" }, { env = function() end }) end,
               "with env prompts are seeds; number 1 is a string")
  end)
end)

describe("rl.environment", function()
  -- is done after `turns` turns, which is the seed
  local heard
  local function world()
    local turns, n = nil, 0
    return {
      reset = function(seed)
        turns = seed
        return { { role = "user", content = "ab" } }
      end,
      step = function(message)
        n = n + 1
        heard[#heard + 1] = message
        if n == turns then return nil, true, { reward = 10 } end
        return "cd", false, { reward = n }
      end,
    }
  end

  before_each(function() heard = {} end)

  it("goes on until it is done, and earns", function()
    local model = toy.model()
    local samples = rollout(model, { 1, 2, 3 }, { env = world, tokens = 6, rounds = 5 })
    assert.are.equal(12, #samples)
    local ended = 0
    for _, s in ipairs(samples) do
      local turns = 0
      for i, m in ipairs(s.messages) do
        assert.are.equal(i % 2 == 1 and "assistant" or "user", m.role)
        if m.role == "assistant" then turns = turns + 1 end
      end
      assert.are.equal(turns, #s.turns)
      assert.are.equal(#s.ids, s.turns[turns].last)
      assert.are.equal(s.done, turns == s.row.seed)
      if s.done then
        ended = ended + 1
        assert.are.equal(({ 10, 11, 13 })[turns], s.earned)
      else
        assert.is_false(s.stopped) -- a turn was cut
      end
    end
    assert.is_true(ended >= 4)
  end)

  it("never has its own ids learned", function()
    local samples = rollout(toy.model(), { 3 }, { env = world, samples = 30, tokens = 6 })
    local several = 0
    for _, s in ipairs(samples) do
      local said, drawn = 0, {}
      for _, m in ipairs(s.messages) do
        if m.role == "assistant" then said = said + 1 else several = several + 1 end
      end
      for t, bit in ipairs(s.mask) do
        if bit == 0 then assert.are.equal(0, s.logprobs[t]) else drawn[#drawn + 1] = s.ids[t] end
      end
      assert.are.equal(s.tokens, #drawn)
      -- what is left is the template's and the world's: the ids of a conversation with empty turns
      local rest = #s.ids - #drawn
      local follow = #toy.chat:follow { { role = "user", content = "cd" } }
      assert.are.equal(#toy.chat:prompt(s.asked) + (said - 1) * follow, rest)
    end
    assert.is_true(several > 5)
  end)

  it("is the same in any batch", function()
    local model = toy.model()
    local o = { env = world, tokens = 6 }
    local all = rollout(model, { 2, 3, 1, 3 }, o)
    o.batch = 3
    assert.are.same(all, (rollout(model, { 2, 3, 1, 3 }, o)))
  end)

  it("names the seed of what fails", function()
    local m = toy.model()
    local function try(text, reset, step, make)
      local function env() return { reset = reset, step = step } end
      kit.raises(function() rollout(m, { 7 }, { env = make or env, tokens = 6 }) end,
                 "environment: seed 7: " .. text)
    end
    local function hello() return { { role = "user", content = "a" } } end
    try("making it raised: no", nil, nil, function() error("no", 0) end)
    try("expected { reset =, step = }, got nil", nil, nil, function() end)
    try("reset raised: bang", function() error("bang", 0) end, hello)
    try("reset must return messages, got number", function() return 3 end, hello)
    try("reset must return messages, got none", function() return {} end, hello)
    try("step raised: bang", hello, function() error("bang", 0) end)
    try("step must return text or messages before it is done, got nil", hello, function() end)
    try("info must be a table, got number", hello, function() return "a", false, 3 end)
    try("info.reward must be a number", hello,
        function() return "a", false, { reward = 0 / 0 } end)
  end)
end)
