-- What a run tracks beside a model and its optimiser: all of it comes back, and nothing is missing.
local core = require "moonlit.core"
local files = require "moonlit.run.files"
local kit = require "kit"
local ml = require "moonlit"
local tracked = require "moonlit.run.tracked"

local function model(seed, head)
  return ml.model { preset = "llama", layers = 1, heads = 2, dim = 16, context = 8, vocab = 16,
                    head = head, seed = seed }
end

local function things(seed)
  local policy, critic = model(seed), model(seed + 1, 1)
  return { model = policy, opt = ml.optim.adamw(policy:parameters(), { lr = 0.1 }),
           critic = critic, critic_opt = ml.optim.adamw(critic:parameters(), { lr = 0.1 }),
           data = ml.data.deal({ { n = 1 }, { n = 2 } }, { batch = 1, seed = seed }),
           kl = ml.rl.kl_controller { kind = "adaptive", coef = 0.1 }, alarm = ml.rl.alarm() }
end

local function learn(t)
  local ids = ml.tensor({ { 1, 2, 3, 4 } }, { dtype = "i64" })
  t.model:loss({ ids = ids }):backward()
  t.opt:step()
  t.critic:scores({ ids = ids }):mean():backward()
  t.critic_opt:step()
  t.data:next()
  t.kl:update(9, 100)
  t.alarm:observe(1, { reward = 1, gold = 2, kl = 3 })
end

local function hashes(t)
  return { ml.ckpt.hash(t.model:parameters()), ml.ckpt.hash(t.critic:parameters()),
           ml.ckpt.hash(t.opt:state()), ml.ckpt.hash(t.critic_opt:state()) }
end

-- as a checkpoint does it
local function write(place, t, state)
  local save = core.ckpt.begin(place .. "/step-1")
  assert(tracked.save(save, place, place .. "/step-1.tmp", t, state))
  save:start("{}", true)
  assert(save:wait())
  return place .. "/step-1"
end

describe("what a run tracks", function()
  local place
  before_each(function()
    place = kit.folder()
  end)
  after_each(function() files.remove(place) end)

  it("comes back whole, whatever its name", function()
    local first, state = things(1), {}
    learn(first)
    local from = write(place, first, state)
    local second = things(5)
    tracked.load(from, second, state)
    assert.same(hashes(first), hashes(second))
    for _, name in ipairs { "data", "kl", "alarm" } do
      assert.same(first[name]:state(), second[name]:state())
    end
  end)

  it("must be the same things", function()
    local first, state = things(1), {}
    local from = write(place, first, state)
    for _, change in ipairs {
      { "critic", nil, "holds critic, which is not tracked now" },
      { "kl", nil, "holds kl, which is not tracked now" },
      { "more", ml.rl.alarm(), "more is tracked, but .* holds none" },
    } do
      local other = things(1)
      other[change[1]] = change[2]
      local fine, err = pcall(tracked.load, from, other, state)
      assert.is_false(fine)
      assert.matches(change[3], tostring(err))
    end
  end)

  it("says what it takes", function()
    for _, case in ipairs {
      { 1, "expected { model =" }, { {}, "a model is required" },
      { { model = model(1), x = 3 }, "x must have state%(%)" },
      { { model = model(1), ["a/b"] = model(1) }, '"a/b" cannot be a name here' },
      { { model = model(1), optim = model(1) }, '"optim" cannot be a name here' },
    } do
      assert.error_matches(function() tracked.check(case[1]) end, case[2])
    end
  end)
end)
