-- Decoding with a KV cache gives the bits of a training forward over the same tokens, alone or in
-- ragged batches, whatever else shares the batch.
local ml = require "moonlit"

local presets = { "gpt2", "llama", "qwen3", "speedrun" }

local function make(preset, more)
  local o = { preset = preset, layers = 2, heads = 4, dim = 32, vocab = 29, context = 40, seed = 2 }
  for k, v in pairs(more or {}) do o[k] = v end
  local m = ml.model(o)
  for i, p in ipairs(m:parameters()) do
    ml.seed(i)
    ml.no_grad(function()
      p.tensor:copy_(ml.randn(p.tensor:shape()) * 0.2 + (p.tensor:dim() == 1 and 1 or 0))
    end)
  end
  return m
end

local function sequence(n, seed)
  ml.seed(seed)
  return ml.randint(0, 28, { n }):table()
end

-- logits of a training forward, a row a position
local function trained(m, ids)
  return m:logits { ids = ml.tensor({ ids }, { dtype = "i64" }) }:select(1, 1)
end

local function run(m, count, seed)
  local cache, seqs, want, at = m:cache(count), {}, {}, {}
  for s = 1, count do
    seqs[s] = sequence(6 + (s * 7 + seed) % 30, 100 * seed + s)
    want[s], at[s] = trained(m, seqs[s]), 0
  end
  math.randomseed(seed)
  local left = count
  while left > 0 do
    -- a ragged set of those that have tokens left: prompts of several ids beside single steps
    local step, who = {}, {}
    for s = count, 1, -1 do
      local rest = #seqs[s] - at[s]
      if rest > 0 and (math.random() < 0.8 or left == 1) then
        local n = at[s] == 0 and math.random(1, rest) or math.random() < 0.7 and 1
                  or math.random(1, rest)
        step[#step + 1] = { slot = s, ids = table.move(seqs[s], at[s] + 1, at[s] + n, 1, {}) }
        who[#who + 1], at[s] = s, at[s] + n
      end
    end
    if #step > 0 then
      local logits = m:decode(cache, step)
      for i, s in ipairs(who) do
        assert.is_true(logits:narrow(1, i, 1):bytes() == want[s]:narrow(1, at[s], 1):bytes(),
          ("%d sequences, slot %d, position %d"):format(count, s, at[s]))
        assert.are.equal(at[s], cache:length(s))
      end
    end
    left = 0
    for s = 1, count do if at[s] < #seqs[s] then left = left + 1 end end
  end
end

describe("decoding", function()
  for _, preset in ipairs(presets) do
    for _, count in ipairs { 1, 2, 5, 17, 32 } do
      it(("%s, %d ragged sequences"):format(preset, count), function()
        run(make(preset), count, count)
      end)
    end
  end

  for _, dtype in ipairs { "bf16", "bf16-amx" } do
    for i, preset in ipairs(presets) do
      it(("%s in %s"):format(preset, dtype), function()
        run(make(preset, { dtype = dtype }), 4 * i - 3, i)
      end)
    end
  end

  it("follows windows, grouped heads and soft-caps", function()
    for _, dtype in ipairs { "f32", "bf16", "bf16-amx" } do
      run(make("llama", { window = { 5, 0 }, kv_heads = 1, softcap = 4, dtype = dtype }), 6, 3)
    end
  end)

  it("passes from one block of keys to the next", function() -- blocks of 252 and of 256 keys
    for _, dtype in ipairs { "f32", "bf16", "bf16-amx" } do
      for _, capacity in ipairs { 263, 290, 600 } do
        local m = make("llama", { dim = 48, heads = 2, kv_heads = 1, context = 600, dtype = dtype })
        local cache, ids = m:cache(2, capacity), sequence(263, 9)
        local want, at = trained(m, ids), 0
        for _, n in ipairs { 250, 1, 1, 1, 1, 1, 1, 1, 3, 2, 1 } do
          local new = table.move(ids, at + 1, at + n, 1, {})
          local logits = m:decode(cache, { { slot = 2, ids = new } })
          at = at + n
          assert.is_true(logits:bytes() == want:narrow(1, at, 1):bytes(),
                         ("%s, capacity %d, position %d"):format(dtype, capacity, at))
        end
      end
    end
  end)

  it("sees weights that have changed since", function()
    local m = make("llama")
    local cache = m:cache(1)
    local first = m:decode(cache, { { slot = 1, ids = { 1, 2, 3 } } }):bytes()
    ml.no_grad(function() m:parameter("lm_head.weight"):mul_(0.5) end)
    cache:truncate(1)
    local second = m:decode(cache, { { slot = 1, ids = { 1, 2, 3 } } })
    assert.are_not.equal(first, second:bytes())
    assert.is_true(second:bytes() == trained(m, { 1, 2, 3 }):narrow(1, 3, 1):bytes())
  end)

  for _, dtype in ipairs { "f32", "bf16-amx" } do
    it("reuses slots, cuts them short and copies them in " .. dtype, function()
      local m = make("qwen3", { dtype = dtype })
      local cache, ids = m:cache(3, 20), sequence(12, 1)
      local want = trained(m, ids)
      local function step(slot, first, last)
        local new = table.move(ids, first, last, 1, {})
        return m:decode(cache, { { slot = slot, ids = new } }):bytes()
      end
      step(2, 1, 7)
      cache:copy(2, 3)
      assert.are.equal(7, cache:length(3))
      assert.is_true(step(3, 8, 8) == want:narrow(1, 8, 1):bytes())
      cache:truncate(2, 4)
      assert.is_true(step(2, 5, 9) == want:narrow(1, 9, 1):bytes())
      cache:truncate(2)
      assert.is_true(step(2, 1, 3) == want:narrow(1, 3, 1):bytes())
      assert.is_true(step(3, 9, 12) == want:narrow(1, 12, 1):bytes())
    end)
  end

  it("goes through taps", function()
    local m, ids = make("llama"), { 4, 5, 6, 7 }
    local shapes = {}
    m:tap("model.layers.0", function(x)
      shapes[#shapes + 1] = x:shape()
      return x * 2
    end)
    local want = trained(m, ids)
    local cache = m:cache(1)
    m:decode(cache, { { slot = 1, ids = { 4, 5, 6 } } })
    local got = m:decode(cache, { { slot = 1, ids = { 7 } } })
    assert.is_true(got:bytes() == want:narrow(1, 4, 1):bytes())
    assert.are.same({ { 1, 4, 32 }, { 3, 32 }, { 1, 32 } }, shapes)
  end)

  it("refuses what does not fit", function()
    local m = make("llama")
    local cache = m:cache(2, 8)
    local function says(text, list)
      local ok, err = pcall(m.decode, m, cache, list)
      assert.is_false(ok)
      assert.matches(text, err, 1, true)
    end
    says("slot 3 is not among the cache's 2", { { slot = 3, ids = { 1 } } })
    says("9 ids after 0 do not fit a cache of 8", { { slot = 1, ids = sequence(9, 1) } })
    says("row 1, position 2: id 29 is not in a vocabulary of 29", { { slot = 1, ids = { 1, 29 } } })
    says("slot 1 is given twice", { { slot = 1, ids = { 1 } }, { slot = 1, ids = { 1 } } })
    says("has no id to run", { { slot = 1, ids = {} } })
    says("no sequence given", {})
    says("must be { slot =, ids = {...} }", { 5 })
    assert.has_error(function() m:cache(1, 41) end)
    assert.has_error(function() make("llama"):decode(cache, { { slot = 1, ids = { 1 } } }) end)
  end)
end)
