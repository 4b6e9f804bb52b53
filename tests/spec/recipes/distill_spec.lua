-- recipes/distill.lua, whole, on a teacher too small to know anything: what it learns from, what
-- it counts, and that a run that crashed goes on as if nothing had happened.
local core = require "moonlit.core"
local files = require "moonlit.run.files"
local json = require "moonlit.json"
local ml = require "moonlit"

local place

local function run(name, arguments, before)
  local dir = place .. "/" .. name
  local command = "lua5.4 %s recipes/distill.lua --quiet --threads 1 --out %s " ..
                  "teacher=%s/teacher tokens=6 items=3 prompts=4 steps=4 every=2 " ..
                  "save_every=1 %s 2>&1"
  local pipe = io.popen(command:format(before or "", dir, place, arguments))
  local said = pipe:read("a")
  return dir, pipe:close(), said
end

local function finished(...)
  local dir, fine, said = run(...)
  assert.is_true(fine, said)
  return dir
end

-- what was logged, a record a step
local function logged(dir)
  local list = {}
  for line in io.lines(dir .. "/metrics.jsonl") do
    list[#list + 1] = assert(json.decode(line))
    list[#list].seconds = nil
  end
  return list
end

local function weights(dir)
  local last = assert(json.load(dir .. "/run.json")).last
  return (last[#last]:match "^weights sha256 (%x+)$")
end

-- ends the process in step 3, while it samples
local CRASH = [[-e 'local rl = require("moonlit").rl
                    local rollout = rl.rollout
                    function rl.rollout(model, chat, prompts, opt)
                      if opt.rollout == 3 then os.exit(9) end
                      return rollout(model, chat, prompts, opt)
                    end']]

describe("recipes/distill.lua", function()
  setup(function()
    place = os.tmpname()
    os.remove(place)
    assert(core.sys.mkdir(place .. "/teacher"))
    local world = ml.data.world()
    local tok = ml.text.train(world:traces("train", 200), { vocab = 320,
                                                            special = ml.data.chat.special })
    local teacher = ml.model { preset = "llama", vocab = tok:size(), layers = 4, heads = 2,
                               dim = 16, hidden = 32, context = 128, seed = 3 }
    assert(ml.ckpt.save_model(place .. "/teacher", teacher, tok))
  end)
  teardown(function() files.remove(place) end)

  it("halves the layers, and counts the tokens that are learned", function()
    local dir = finished("kl", "own=0.5")
    local student = ml.load(dir)
    assert.are.equal(2, student:config().layers)
    local last = logged(dir)[4]
    assert.is_true(last.num_tokens > 4 * 4 and last.num_tokens <= 4 * 4 * 6, last.num_tokens)
    local names = {}
    for i, m in ipairs(assert(json.load(dir .. "/results.json")).metrics) do names[i] = m.name end
    assert.are.same({ "same", "right", "teacher" }, names)
  end)

  it("goes on after a crash with the same weights and the same count", function()
    local dir, fine = run("killed", "own=0.5", CRASH)
    assert.is_falsy(fine)
    assert.are.equal(2, #logged(dir))
    finished("killed", "own=0.5 --resume")
    assert.are.equal(weights(place .. "/kl"), weights(dir))
    assert.are.same(logged(place .. "/kl"), logged(dir))
  end)

  it("learns the teacher's replies as text", function()
    assert.are_not.equal(weights(place .. "/kl"), weights(finished("sft", "method=sft")))
  end)

  it("has nothing to learn from itself", function()
    local first = logged(finished("itself", "layers=4 own=1 every=1"))[1]
    assert.are.equal(0, first.loss)
    assert.are.equal(0, first.norm)
    assert.are.equal(1, first.same)
  end)

  it("takes prompts from a file, and then knows of no answers", function()
    local list = {}
    for i = 1, 100 do list[i] = { id = tostring(i), ask = "What is " .. i .. "?" } end
    assert(ml.data.write(place .. "/asks.jsonl", list))
    local dir = finished("file", ("data=%s/asks.jsonl prompt=ask items=2 own=0"):format(place))
    local metrics = assert(json.load(dir .. "/results.json")).metrics
    assert.are.equal(1, #metrics)
    assert.are.equal(2, metrics[1].n)
  end)

  it("knows two methods", function()
    local _, fine, said = run("other", "method=dpo")
    assert.is_falsy(fine)
    assert.matches('method must be "kl" or "sft", got dpo', said, 1, true)
  end)
end)
