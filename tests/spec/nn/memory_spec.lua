-- Every allocation of a training step and of decoding fails once: a clean error, nothing left.
local ml = require "moonlit"
local core = require "moonlit.core"

-- runs fn with its nth allocation failing, for n = 1, 2, ... until it needs no more
local function sweep(fn, settle)
  fn() -- caches and plans are made
  settle()
  local before = core.sys.memory().live_bytes
  for n = 1, 10000 do
    core.sys.fail_at(n)
    local ok, err = pcall(fn)
    core.sys.fail_at(0)
    settle()
    if ok then return n end
    assert.matches("memory", err)
    assert.is_true(core.sys.memory().live_bytes <= before)
  end
end

describe("running out of memory", function()
  for _, preset in ipairs { "gpt2", "qwen3", "speedrun" } do
    local o = { preset = preset, layers = 2, heads = 2, dim = 16, vocab = 19, context = 8 }

    it("in a training step leaves nothing behind: " .. preset, function()
      local model, ids = ml.model(o), ml.randint(0, 18, { 2, 9 })
      local function settle()
        for _, p in ipairs(model:parameters()) do p.tensor:discard_grad() end
        collectgarbage()
        assert.are.equal(0, core.nn.plans())
      end
      assert.is_true(sweep(function() model:loss({ ids = ids }):backward() end, settle) > 5)
    end)

    it("in following a teacher leaves nothing behind: " .. preset, function()
      local model, teacher, ids = ml.model(o), ml.model(o), ml.randint(0, 18, { 2, 9 })
      local function settle()
        for _, p in ipairs(model:parameters()) do p.tensor:discard_grad() end
        collectgarbage()
        assert.are.equal(0, core.nn.plans())
      end
      assert.is_true(sweep(function()
        local _, entropy = model:logprobs({ ids = ids }, { entropy = true })
        local kl = model:kl({ ids = ids }, teacher, { kind = "js" });
        (kl - entropy):sum():backward()
      end, settle) > 5)
    end)

    it("in making a model leaves nothing behind: " .. preset, function()
      assert.is_true(sweep(function() ml.model(o) end, collectgarbage) > 5)
    end)

    it("in decoding leaves the cache as it was: " .. preset, function()
      local model = ml.model(o)
      local cache = model:cache(2)
      local function step()
        local y = model:decode(cache, { { slot = 1, ids = { 1, 2 } }, { slot = 2, ids = { 3 } } })
        cache:truncate(1)
        cache:truncate(2)
        return y
      end
      sweep(step, function()
        collectgarbage()
        assert.are.equal(0, cache:length(1))
      end)
    end)
  end
end)
