local kit = require "kit"
local ml = require "moonlit"
local toy = require "rl.toy"

-- three samples of 4, 2 and 3 ids
local function samples()
  return {
    { ids = { 1, 2, 3, 4 }, mask = { 0, 0, 1, 1 }, logprobs = { 0, 0, -1, -2 }, advantages = 2 },
    { ids = { 5, 6 }, mask = { 0, 1 }, logprobs = { 0, -3 }, advantages = -1 },
    { ids = { 7, 8, 9 }, mask = { 0, 1, 0 }, logprobs = { 0, -4, 0 }, advantages = { 0, 0.5, 0 } },
  }
end

describe("rl.batch", function()
  kit.leakcheck(before_each, after_each)

  it("is a row a sample", function()
    local b = ml.rl.batch(samples())
    assert.are.same({ { 1, 2, 3, 4 }, { 5, 6, 0, 0 }, { 7, 8, 9, 0 } }, b.ids:table())
    assert.are.same({ { 0, 0, 1, 1 }, { 0, 1, 0, 0 }, { 0, 1, 0, 0 } }, b.mask:table())
    assert.are.same({ { 1, 1, 1, 1 }, { 1, 1, 2, 2 }, { 1, 1, 1, 2 } }, b.doc:table())
    assert.are.same({ { 0, 0, -1, -2 }, { 0, -3, 0, 0 }, { 0, -4, 0, 0 } }, b.logprobs:table())
    assert.are.same({ { 0, 0, 2, 2 }, { 0, -1, 0, 0 }, { 0, 0.5, 0, 0 } }, b.advantages:table())
    assert.are.equal(4, b.tokens)
    assert.is_nil(b.values)
    assert.are.same(b.logprobs:table(), ml.rl.unpack(b, b.logprobs):table())
  end)

  it("packs, and unpacks again", function()
    local b = ml.rl.batch(samples(), { length = 6, pack = true, rows = 3, dtype = "f64" })
    assert.are.same({ { 1, 2, 3, 4, 5, 6 }, { 7, 8, 9, 0, 0, 0 }, { 0, 0, 0, 0, 0, 0 } },
                    b.ids:table())
    assert.are.same({ { 1, 1, 1, 1, 2, 2 }, { 1, 1, 1, 2, 2, 2 }, { 1, 1, 1, 1, 1, 1 } },
                    b.doc:table())
    assert.are.same({ { 0, 0, 1, 1, 0, 1 }, { 0, 1, 0, 0, 0, 0 }, { 0, 0, 0, 0, 0, 0 } },
                    b.mask:table())
    assert.are.equal("f64", b.logprobs:dtype())
    local plain = ml.rl.batch(samples())
    for _, name in ipairs { "mask", "logprobs", "advantages" } do
      assert.are.same(plain[name]:table(), ml.rl.unpack(b, b[name]):table())
    end
  end)

  it("gives the same gradient packed and padded", function()
    local model = toy.model { dtype = "f64" }
    local list = ml.rl.rollout(model, toy.chat, toy.prompts(6), { samples = 2, tokens = 9 })
    for i, s in ipairs(list) do s.advantages = math.sin(i) end
    local function gradient(opt)
      opt.dtype = "f64"
      local b = ml.rl.batch(list, opt)
      local weighed = ml.rl.unpack(b, model:logprobs(b)) * ml.rl.unpack(b, b.advantages)
      weighed:sum():backward()
      local out = {}
      for i, p in ipairs(model:parameters()) do
        out[i] = p.tensor:grad():clone()
        p.tensor:discard_grad()
      end
      return out
    end
    local a, b = gradient {}, gradient { length = 90, pack = true }
    for i = 1, #a do kit.near(a[i], b[i], 1e-10) end
  end)

  it("goes through long lists in parts", function()
    local list, shapes, seen = samples(), {}, 0
    for batch, part in ml.rl.batches(list, { rows = 2 }) do
      shapes[#shapes + 1] = batch.ids:shape()
      for i, s in ipairs(part) do assert.are.equal(list[seen + i], s) end
      seen = seen + #part
    end
    assert.are.same({ { 2, 4 }, { 1, 3 } }, shapes)
    assert.are.equal(#list, seen)
  end)

  it("says what is wrong", function()
    local function try(text, change, opt)
      local list = samples()
      change(list)
      kit.raises(function() ml.rl.batch(list, opt) end, "rl.batch: " .. text)
    end
    try("a sample of 4 ids does not fit rows of 3", function() end, { length = 3 })
    try("3 samples need 3 rows, got 2", function() end, { rows = 2 })
    try("advantages: sample 1 and sample 2, only one has it",
        function(l) l[2].advantages = nil end)
    try("logprobs of sample 3: 1 numbers for 3 ids", function(l) l[3].logprobs = { 1 } end)
    try("sample 2 must have ids and a mask of as many", function(l) l[2].mask = { 0 } end)
    try("sample 1: its first id is learned", function(l) l[1].mask[1] = 1 end)
    kit.raises(function() ml.rl.batch {} end, "expected a list of samples, got none")
    kit.raises(function() ml.rl.batches(samples(), { rows = 0 }) end, "positive integer, got 0")
    kit.raises(function() ml.rl.unpack({}, ml.zeros(1, 1)) end, "expected a batch of rl.batch")
  end)
end)
