-- The whole chain, small: from a crawl to a model that talks, to the bits that README.md prints;
-- twice, as the second time nothing is left to do.
local files = require "moonlit.run.files"
local json = require "moonlit.json"
local kit = require "kit"

local place
local STAGES = { "curate", "tokenizer", "baselines", "pretrain", "midtrain", "sft", "reward", "dpo",
                 "ppo", "grpo" }

local function quickstart(arguments)
  local pipe = io.popen(("lua5.4 recipes/quickstart.lua size=small --quiet --out %s/q %s 2>&1")
    :format(place, arguments or ""))
  local said = pipe:read("a")
  return pipe:close(), said
end

local function load(name) return assert(json.load(place .. "/q/" .. name)) end

describe("quickstart", function()
  setup(function()
    place = kit.folder()
    local fine, said = quickstart()
    assert.is_true(fine, said)
  end)
  teardown(function() files.remove(place) end)

  it("goes through every stage and says what became of it", function()
    local names = {}
    for i, stage in ipairs(load("pipeline.json").stages) do
      names[i] = stage.name
      assert.are.equal("ran", stage.status)
      assert.is_true(#load(stage.dir .. "/results.json").metrics > 0, stage.name)
    end
    assert.are.same(STAGES, names)
    for _, name in ipairs { "report.md", "report.json", "report.html" } do
      assert.is_truthy(files.read(place .. "/q/" .. name), name)
    end
  end)

  it("gives the weights that README.md prints", function()
    local readme = files.read "README.md"
    for i = 4, #STAGES do
      local dir = ("%02d-%s"):format(i, STAGES[i])
      local last = load(dir .. "/run.json").last
      local line = last[#last]:match "^weights (sha256 %x+)$"
      local want = ("%s %s"):format(dir:match "%-(.*)", line:match "%x+$")
      assert.is_truthy(readme:find(want, 1, true), "README.md lacks: " .. want)
    end
  end)

  it("does nothing the second time", function()
    local fine, said = quickstart()
    assert.is_true(fine, said)
    for _, stage in ipairs(load("pipeline.json").stages) do
      assert.are.equal("unchanged", stage.status)
    end
  end)

  it("refuses a knob it does not know, with the nearest name", function()
    local fine, said = quickstart "sft.setps=3"
    assert.is_falsy(fine)
    assert.matches("sft.steps", said, 1, true)
  end)
end)
