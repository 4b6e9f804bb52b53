-- Generation: the same text whatever the batch; recorded log-probabilities have the bits of a
-- training forward; filters keep what they say; stops, hooks, streams, errors.
local core = require "moonlit.core"
local kit = require "kit"
local ml = require "moonlit"

local presets = { "gpt2", "llama", "qwen3", "speedrun" }

local function make(preset, more)
  local o = { preset = preset, layers = 2, heads = 4, dim = 32, vocab = 29, context = 48, seed = 5 }
  for k, v in pairs(more or {}) do o[k] = v end
  local m = ml.model(o)
  for i, p in ipairs(m:parameters()) do
    ml.seed(i)
    ml.no_grad(function()
      p.tensor:copy_(ml.randn(p.tensor:shape()) * 0.3 + (p.tensor:dim() == 1 and 1 or 0))
    end)
  end
  return m
end

local function prompts(count)
  local list = {}
  for i = 1, count do
    list[i] = {}
    for j = 1, 1 + (i * 5) % 11 do list[i][j] = (i * 7 + j * 3) % 29 end
  end
  return list
end

local function joined(a, b)
  local all = table.move(a, 1, #a, 1, {})
  return table.move(b, 1, #b, #all + 1, all)
end

describe("generate", function()
  kit.leakcheck(before_each, after_each)

  for _, preset in ipairs(presets) do
    it("records the training forward's log-probabilities, bit for bit: " .. preset, function()
      local m = make(preset)
      for _, count in ipairs { 1, 2, 7, 32 } do
        local list = prompts(count)
        for _, temperature in ipairs { 1, 0.7 } do
          local out = m:generate(list, { tokens = 20, temperature = temperature, seed = 3,
                                         logprobs = true })
          for i, r in ipairs(out) do
            local ids = joined(list[i], r.ids)
            local lp = ml.no_grad(function()
              return m:logprobs({ ids = ml.tensor({ ids }, { dtype = "i64" }) },
                                { temperature = temperature })
            end):table()[1]
            for j, got in ipairs(r.logprobs) do
              assert.is_true(got == lp[#list[i] + j], ("%d: %d"):format(i, j))
            end
          end
        end
      end
    end)
  end

  it("gives a prompt the same text alone, in any batch, in any order", function()
    local m, list = make "llama", prompts(9)
    local batch = m:generate(list, { tokens = 12, seed = 1 })
    for i = 1, 9 do
      assert.are.same(batch[i].ids, m:generate({ list[i] }, { tokens = 12, seed = 1 })[1].ids)
    end
    local back = {}
    for i = 1, 9 do back[i] = list[10 - i] end
    local reversed = m:generate(back, { tokens = 12, seed = 1 })
    for i = 1, 9 do assert.are.same(batch[i].ids, reversed[10 - i].ids) end
  end)

  local function same(a, b, what)
    assert.are.equal(#a, #b)
    for i, r in ipairs(a) do
      assert.are.same(r.ids, b[i].ids, what)
      assert.are.equal(r.stop, b[i].stop)
      for j, lp in ipairs(r.logprobs) do assert.is_true(lp == b[i].logprobs[j], what) end
    end
  end

  it("gives the same bits however many slots there are, and whoever leaves when", function()
    for _, dtype in ipairs { "f32", "bf16", "bf16-amx" } do
      local m, list, want = make("llama", { dtype = dtype }), prompts(33), nil
      for _, batch in ipairs { 1, 2, 7, 32, 100 } do
        local out = m:generate(list, { tokens = 14, seed = 4, batch = batch, stop = { 3, 11 },
                                       logprobs = true })
        want = want or out
        same(want, out, batch .. " slots, " .. dtype)
      end
    end
  end)

  it("makes samples of a prompt as if it were listed so often", function()
    local m, list, listed = make "qwen3", prompts(5), {}
    list[6] = list[2] -- its samples go on counting
    for _, p in ipairs(list) do
      for _ = 1, 4 do listed[#listed + 1] = p end
    end
    local o = { tokens = 9, seed = 2, stop = { 5 }, logprobs = true }
    local want = m:generate(listed, o)
    o.samples = 4
    for _, batch in ipairs { 1, 2, 3, 7, 32 } do
      o.batch = batch
      same(want, m:generate(list, o), batch .. " slots")
    end
    assert.are_not.same(want[1].ids, want[2].ids)
  end)

  it("runs a prompt once for the samples beside it, and keeps slots busy", function()
    local m, rows = make "llama", {}
    m:tap("model.layers.0", function(x) rows[#rows + 1] = x:size(1) end)
    m:generate({ { 1, 2, 3, 4, 5 } }, { tokens = 3, samples = 4, batch = 4 })
    assert.are.same({ 5, 4, 4, 3 }, rows)
    rows = {}
    m:generate({ { 1, 2, 3 }, { 4, 5 }, { 6 } }, { tokens = 2, batch = 2 })
    assert.are.same({ 5, 2, 1, 1 }, rows)
  end)

  it("draws equal prompts differently, and seeds and rollouts too", function()
    local m = make "llama"
    local out = m:generate({ { 1, 2 }, { 1, 2 } }, { tokens = 20 })
    assert.are_not.same(out[1].ids, out[2].ids)
    local other = m:generate({ { 1, 2 } }, { tokens = 20, seed = 9 })
    assert.are_not.same(out[1].ids, other[1].ids)
    other = m:generate({ { 1, 2 } }, { tokens = 20, rollout = 1 })
    assert.are_not.same(out[1].ids, other[1].ids)
  end)

  it("is greedy at temperature 0", function()
    local m = make "qwen3"
    local r = m:generate({ { 3, 4, 5 } }, { tokens = 10, temperature = 0 })[1]
    local ids = joined({ 3, 4, 5 }, r.ids)
    local best = m:logits { ids = ml.tensor({ ids }, { dtype = "i64" }) }:detach():argmax_ids(3)
    for j = 1, 10 do assert.are.equal(best:table()[1][2 + j], r.ids[j]) end
  end)

  it("stops at ids, strings, the length and the context", function()
    local m = make "llama"
    local tok = ml.text.chars { text = "abcdefghijklmnopqrstuvwxyz .," }
    assert.are.equal(29, tok:size())
    local free = m:generate({ { 1 } }, { tokens = 40, tokenizer = tok })[1]
    assert.are.equal("length", free.stop)
    local stop = free.ids[5]
    local r = m:generate({ { 1 } }, { tokens = 40, stop = { stop } })[1]
    assert.are.equal(stop, r.stop)
    assert.is_true(#r.ids <= 5)
    local word = free.text:sub(7, 8)
    r = m:generate({ { 1 } }, { tokens = 40, stop = { word }, tokenizer = tok })[1]
    assert.are.equal(word, r.stop)
    assert.are.equal(free.text:sub(1, free.text:find(word, 1, true) - 1), r.text)
    assert.are.equal("context", m:generate({ { 1 } }, { tokens = 1000 })[1].stop)
  end)

  it("streams the same tokens, and never shows a stop string", function()
    local m = make "llama"
    local tok = ml.text.chars { text = "abcdefghijklmnopqrstuvwxyz .," }
    local whole = m:generate({ "ab" }, { tokens = 20, tokenizer = tok })[1]
    local text, ids = "", {}
    for piece, id in m:stream("ab", { tokens = 20, tokenizer = tok }) do
      text, ids[#ids + 1] = text .. piece, id
    end
    assert.are.equal(whole.text, text)
    assert.are.same(whole.ids, ids)
    local word = whole.text:sub(9, 11)
    text = ""
    for piece in m:stream("ab", { tokens = 20, tokenizer = tok, stop = { word } }) do
      text = text .. piece
    end
    assert.are.equal(whole.text:sub(1, whole.text:find(word, 1, true) - 1), text)
  end)

  it("lets a hook forbid ids", function()
    local m = make "llama"
    local function ban(logits)
      for row = 1, #logits do
        logits[row][{ 2, 29 }] = -math.huge
      end
    end
    local r = m:generate({ { 1 } }, { tokens = 5, hook = ban })[1]
    assert.are.same({ 0, 0, 0, 0, 0 }, r.ids)
  end)

  it("says what is wrong", function()
    local m = make "llama"
    kit.raises(function() m:generate({ "text" }, {}) end, "tokenizer")
    kit.raises(function() m:generate({ {} }, {}) end, "at least one id")
    kit.raises(function() m:generate({ { 1 } }, { temprature = 1 }) end, "temperature")
    kit.raises(function() m:generate({ { 99 } }, {}) end, "99")
    kit.raises(function() m:generate({ { 1 } }, { batch = 0 }) end, "batch must be a positive")
    kit.raises(function() m:generate({ { 1 } }, { samples = 1.5 }) end, "samples must be")
    kit.raises(function() m:stream({ 1 }, { samples = 2 }) end, "samples must be 1")
    local long = {}
    for i = 1, 60 do long[i] = 1 end
    kit.raises(function() m:generate({ long }, {}) end, "context is 48")
  end)
end)

describe("sample", function()
  local function draw(logits, opt, n)
    local seen = {}
    for i = 1, n do
      local ids = core.sample(logits, opt, { 1 }, { i }, { 0 })
      seen[ids[1]] = (seen[ids[1]] or 0) + 1
    end
    return seen
  end
  local logits = ml.tensor { { 2.0, 1.0, 0.0, 1.0, -30.0 } }

  it("follows the softmax", function()
    local n, total = 4000, 0
    local seen = draw(logits, {}, n)
    local p = logits:softmax(2):table()[1]
    for id = 0, 3 do
      total = total + (seen[id] or 0)
      assert.near(p[id + 1], (seen[id] or 0) / n, 0.03)
    end
    assert.are.equal(n, total)
  end)

  it("top_k keeps k, ties by the lowest id", function()
    local seen = draw(logits, { top_k = 2 }, 500)
    assert.is_truthy(seen[0] and seen[1])
    assert.is_nil(seen[2] or seen[3] or seen[4])
  end)

  it("top_p keeps the smallest set that reaches p", function()
    assert.is_nil(draw(logits, { top_p = 0.5 }, 300)[1])
    local seen = draw(logits, { top_p = 0.9 }, 2000)
    assert.is_truthy(seen[0] and seen[1] and seen[3])
    assert.is_nil(seen[2])
  end)

  it("min_p drops what is small beside the best", function()
    local seen = draw(logits, { min_p = 0.3 }, 2000)
    assert.is_truthy(seen[0] and seen[1] and seen[3])
    assert.is_nil(seen[2])
  end)

  it("never picks what a hook forbade", function()
    local seen = draw(ml.tensor { { -math.huge, 0.0, -math.huge } }, {}, 200)
    assert.are.same({ [1] = 200 }, seen)
  end)
end)
