local kit = require "kit"
local ml = require "moonlit"
local toy = require "rl.toy"

local function sample(text, more)
  local s = { prompt = 1, sample = 1, row = { answer = "42" }, text = text, tokens = #text,
              asked = { { role = "user", content = "What is 6 times 7?" } }, stopped = true,
              ids = { 1, text:byte(1, -1) }, mask = { 0 } }
  for i = 2, #s.ids do s.mask[i] = 1 end
  for k, v in pairs(more or {}) do s[k] = v end
  return s
end

local nan = 0 / 0

describe("reward", function()
  it("exact", function()
    local r = ml.reward.exact()
    assert.are.equal(1, r(sample " 42\n"))
    assert.are.equal(0, r(sample "It is 42"))
    assert.are.equal(1, ml.reward.exact { field = "a" }(sample("7", { row = { a = 7 } })))
    kit.raises(function() r(sample("7", { row = {} })) end, 'the prompt\'s row has no "answer"')
  end)

  it("numeric", function()
    local r = ml.reward.numeric()
    for text, want in pairs { ["6*7=42"] = 1, ["42."] = 1, ["It is 42.0, I think"] = 1, ["43"] = 0,
                              ["-42"] = 0, ["none"] = 0, ["42, or 41"] = 0, ["0042"] = 1 } do
      assert.are.equal(want, r(sample(text)), text)
    end
    local near = ml.reward.numeric { tolerance = 0.01, field = "x" }
    assert.are.equal(1, near(sample("1,234.505", { row = { x = 1234.5 } })))
    assert.are.equal(0, near(sample("1,234.52", { row = { x = "about 1,234.5" } })))
    kit.raises(function() near(sample("1", { row = { x = "?" } })) end, "must hold a number, got ?")
  end)

  it("format", function()
    local r = ml.reward.format { pattern = { "^So", "%d+%.$" } }
    assert.are.equal(1, r(sample "So 42."))
    kit.near(r(sample("So 42.", { stopped = false })), 2 / 3)
    kit.near(r(sample "Is 42"), 1 / 3)
    assert.are.equal(0, ml.reward.format()(sample("", { stopped = false })))
    assert.are.equal(1, ml.reward.format { pattern = "4", ended = false }(sample "42"))
    kit.raises(function() ml.reward.format { pattern = "%" } end, 'pattern "%"')
    kit.raises(function() ml.reward.format { ended = false } end, "nothing is asked for")
  end)

  it("length", function()
    local r = ml.reward.length { min = 2, max = 10, slack = 4 }
    for n, want in pairs { [2] = 0, [10] = 0, [11] = -0.25, [14] = -1, [50] = -1, [1] = -0.25 } do
      assert.are.equal(want, r(sample(("x"):rep(n))))
    end
    assert.are.equal(-1, ml.reward.length { max = 3 }(sample "xxxx"))
    kit.raises(function() ml.reward.length { max = 3, min = 4 } end, "min <= max")
  end)

  it("repetition", function()
    local r = ml.reward.repetition { n = 2 }
    assert.are.equal(0, r(sample "abcd"))
    kit.near(r(sample "aaaaa"), -3 / 4)
    kit.near(r(sample "abab"), -1 / 3)
    assert.are.equal(0, r(sample "a"))
    -- what the world says between two turns is not counted, nor bridged
    local s = sample "abXab"
    s.mask[4] = 0
    kit.near(r(s), -1 / 2)
    kit.raises(function() ml.reward.repetition { n = 0 } end, "positive integer, got 0")
  end)

  it("model: the value at the last learned id, in batches", function()
    local widths = {}
    local judge = {
      scores = function(_, batch) -- the value is the id, and its place is seen in the hundreds
        widths[#widths + 1] = batch.ids:size(1)
        return batch.ids:to "f32" + ml.arange(1, batch.ids:size(2)):to "f32" * 1000
      end,
    }
    local list = { sample "ab", sample "abcd", sample("abc", { stopped = false }) }
    list[2].mask[5] = 0
    local r = ml.reward.model(judge, { batch = 2 })
    assert.are.same({ 3098, 4099, 4099 }, r:scores(list))
    assert.are.same({ 2, 1 }, widths)
    assert.are.same({ 3098, 4099, -5 }, ml.reward.model(judge, { cut = -5 }):scores(list))
    kit.raises(function() r:scores { sample "" } end, "a sample with no id that is learned")
    kit.raises(function() ml.reward.model(ml.tensor { 1 }) end, "a model with a scalar head")
    -- alone, and as a part
    ml.reward.score(r, list)
    assert.are.equal(3098, list[1].reward)
    ml.reward.score(ml.reward.combine { judge = { weight = 0.5, reward = r } }, list)
    assert.are.equal(1549, list[1].reward)
    assert.are.same({ judge = 3098 }, list[1].parts)
  end)

  it("combines parts with weights", function()
    local reward = ml.reward.combine {
      numeric = 1, format = { weight = 0.5, pattern = "%.$" },
      short = { weight = -0.1, reward = function(s) return s.tokens end },
      two = function() return { a = 1, b = 2 } end,
    }
    local list = { sample "42.", sample("43", { sample = 2 }), sample("42.", { prompt = 2 }) }
    local stats = ml.reward.score(reward, list)
    assert.are.same({ numeric = 1, format = 1, short = 3, two = 3 }, list[1].parts)
    kit.near(list[1].reward, 1 + 0.5 - 0.3 + 3, 1e-12)
    kit.near(list[2].reward, 0 + 0.25 - 0.2 + 3, 1e-12)
    kit.near(stats.reward, (4.2 + 3.05 + 4.2) / 3, 1e-12)
    kit.near(stats.reward_std, 1.15 / 3 ^ 0.5, 1e-12)
    kit.near(stats["rewards/numeric/mean"], 2 / 3, 1e-12)
    kit.near(stats["rewards/numeric/std"], (1 / 3) ^ 0.5, 1e-12)
    assert.are.equal(0.5, stats.frac_reward_zero_std)
  end)

  it("takes a function of a number or of parts", function()
    local list = { sample "a" }
    local stats = ml.reward.score(function(s) return #s.text end, list)
    assert.are.equal(1, list[1].reward)
    assert.are.equal(0, stats.reward_std)
    ml.reward.score(function() return { a = 1, b = 0.5 } end, list)
    assert.are.equal(1.5, list[1].reward)
    assert.are.same({ a = 1, b = 0.5 }, list[1].parts)
  end)

  it("names a bad reward and its prompt", function()
    local list = { sample "a", sample("b", { prompt = 3, sample = 2 }) }
    local where = 'prompt 3, sample 2, "What is 6 times 7?": '
    local function try(text, bad)
      local function f(s) if s.prompt == 1 then return 0 end return bad() end
      kit.raises(function() ml.reward.score(f, list) end, "reward" .. text:format(": " .. where))
      kit.raises(function() ml.reward.score(ml.reward.combine { mine = f }, list) end,
                 "reward.mine" .. text:format(": " .. where))
    end
    try("%sexpected a number, got nil", function() end)
    try("%sexpected a number, got string", function() return "1" end)
    try("%sexpected a finite number, got ", function() return nan end)
    try("%sexpected a finite number, got inf", function() return math.huge end)
    try("%sraised: bang", function() error("bang", 0) end)
    try(" (b)%sexpected a finite number, got ", function() return { a = 1, b = nan } end)
    local long = sample("x", { asked = { { role = "user", content = ("é"):rep(50) } } })
    local message = kit.raises(function() ml.reward.score(function() end, { long }) end, "...")
    assert.is_truthy(utf8.len(message))
  end)

  it("says what is wrong", function()
    local function try(text, parts)
      kit.raises(function() ml.reward.combine(parts) end, "reward.combine: " .. text)
    end
    try("expected { name = weight", {})
    try('give { reward = }, as there is no built-in "exakt"; did you mean "exact"?', { exakt = 1 })
    try("length: expected a weight, a reward or options, got string", { length = "x" })
    try("numeric: weight must be a number", { numeric = { weight = "1" } })
    try('mine: unknown option "wieght"', { mine = { wieght = 1, reward = function() end } })
    try("model: which one? give { reward = ml.reward.model(judge) }", { model = 1 })
    kit.raises(function() ml.reward.combine { format = { patern = "x" } } end,
               'did you mean "pattern"')
    kit.raises(function() ml.reward.score(3, { sample "a" }) end, "expected a function or what")
    kit.raises(function() ml.reward.score(function() end, {}) end, "expected a list of samples")
    kit.raises(function() return ml.reward.exat end, 'no "exat"; did you mean "exact"')
  end)

  it("judges what a model said", function()
    local samples = ml.rl.rollout(toy.model(), toy.chat, toy.prompts(4),
                                  { samples = 3, tokens = 9 })
    local stats = ml.reward.score(ml.reward.combine { format = 1, repetition = 0.5,
                                                      length = { max = 8 } }, samples)
    assert.is_number(stats.reward)
    for _, s in ipairs(samples) do
      assert.are.equal(s.stopped and 1 or 0, s.parts.format)
      assert.are.equal(s.tokens > 8 and -1 or 0, s.parts.length)
    end
  end)
end)
