-- Runs tests/spec/run/guard_recipe.lua: something stops being finite, and what is said and done.
local files = require "moonlit.run.files"
local json = require "moonlit.json"
local kit = require "kit"
local ml = require "moonlit"

local place

local function recipe(arguments)
  local pipe = io.popen(("lua5.4 tests/spec/run/guard_recipe.lua --quiet %s 2>&1; echo $?"):format(
    arguments))
  local out = pipe:read("a")
  pipe:close()
  local text, code = out:match("^(.-)(%d+)\n$")
  return math.tointeger(tonumber(code)), text
end

local function out(name) return " --out " .. place .. "/" .. name end

local function metrics(name)
  local list = {}
  for line in files.read(place .. "/" .. name .. "/metrics.jsonl"):gmatch("[^\n]+") do
    list[#list + 1] = assert(json.decode(line))
  end
  return list
end

local function log(name)
  local text = files.read(place .. "/" .. name .. "/metrics.jsonl")
  return (text:gsub('"seconds":[%d.e-]+,?', ""))
end

describe("a run's guard", function()
  setup(function()
    place = kit.folder()
  end)
  teardown(function() files.remove(place) end)

  local function stops(plant, at, what, where)
    local code, text = recipe(("plant=%s at=%s"):format(plant, at) .. out(plant .. at))
    assert.are.equal(1, code, text)
    assert.matches(("step 7: %s, first in %s (the same bits when run again)"):format(what, where),
                   text, 1, true)
    assert.matches("nothing was updated; the last checkpoint is of step 5", text, 1, true)
    assert.is_nil(text:find("traceback", 1, true))
  end

  it("stops, and names the weights that are not finite, whichever they are", function()
    for _, arch in ipairs { "llama", "gpt2" } do
      local model = ml.model { arch = arch, layers = 3, heads = 2, dim = 16, vocab = 20,
                               context = 8 }
      local blame = require "moonlit.run.blame"
      for _, p in ipairs(model:parameters()) do
        local was = p.tensor:detach():clone()
        ml.no_grad(function() p.tensor:narrow(1, 1, 1):fill_(1 / 0) end)
        assert.are.equal("the weights " .. p.name, blame(model, {}))
        ml.no_grad(function() p.tensor:copy_(was) end)
      end
    end
    stops("weights", "model.layers.1.mlp.up_proj.weight", "the loss is nan",
          "the weights model.layers.1.mlp.up_proj.weight")
  end)

  it("names the module whose output is not finite", function()
    for _, module in ipairs { "model.embed_tokens", "model.layers.0", "model.layers.1",
                              "model.layers.2" } do
      stops("output", module, "the loss is nan", "the output of " .. module)
    end
  end)

  it("names it where a teacher is learned from", function()
    local code, text = recipe("teacher=true plant=output at=model.layers.1" .. out "teacher")
    assert.are.equal(1, code)
    assert.matches("step 7: the gradient norm is nan, first in the output of model.layers.1 "
                   .. "(the same bits when run again)", text, 1, true)
  end)

  it("names the gradient, where only that is not finite", function()
    stops("gradient", "", "the gradient norm is nan", "the gradient of lm_head.weight")
  end)

  it("calls other bits at the second time a fault of the machine", function()
    local code, text = recipe("plant=once at=model.layers.1 policy=skip" .. out "once")
    assert.are.equal(1, code, text)
    assert.matches("step 7: the loss is nan (the output of model.layers.1), but run once more it "
                   .. "gave other bits", text, 1, true)
  end)

  it("skips a step, says so, and is the same run however often it is stopped", function()
    local how = "plant=output at=model.layers.1 policy=skip "
    local code, text = recipe(how .. out "skip")
    assert.are.equal(0, code, text)
    local lines = metrics "skip"
    assert.are.equal(14, #lines)
    assert.are.equal("the loss is nan", lines[7].skipped)
    assert.are.equal("the output of model.layers.1", lines[7].module)
    assert.is_nil(lines[7].loss)
    assert.is_number(lines[7].dice)
    assert.is_nil(lines[8].skipped)
    assert.are.equal(3, (recipe(how .. "stop=9" .. out "stopped")))
    local again, last = recipe(how .. "stop=0 --resume" .. out "stopped")
    assert.are.equal(1, again) -- a knob of the recipe changed
    assert.matches("stop was 9", last)
    local config = assert(json.load(place .. "/stopped/config.json"))
    config.stop = 0
    assert(json.save(place .. "/stopped/config.json", config))
    again, last = recipe(how .. "--resume" .. out "stopped")
    assert.are.equal(0, again, last)
    assert.are.equal(text, last)
    assert.are.equal(log "skip", log "stopped")
  end)

  it("does not skip for ever", function()
    local code, text = recipe("plant=output at=model.layers.1 policy=skip most=0" .. out "most")
    assert.are.equal(1, code)
    assert.matches("0 steps in a row were skipped before it", text, 1, true)
  end)

  it("goes back to the checkpoint and leaves batches out", function()
    local how = "plant=output at=model.layers.1 policy=rollback"
    local code, text = recipe(how .. out "back")
    assert.are.equal(0, code, text)
    local lines = metrics "back"
    assert.are.equal(15, #lines)
    assert.are.same({ rollback = "the loss is nan", module = "the output of model.layers.1",
                      from = 7, left_out = 2, step = 5 }, lines[6])
    assert.are.equal(6, lines[7].step)
    local same, last = recipe(how .. out "back2")
    assert.are.equal(0, same)
    assert.are.equal(text, last)
    assert.are.equal(log "back", log "back2")
    -- before the first checkpoint there is nowhere to go
    code, text = recipe(how .. " batch=3" .. out "early")
    assert.are.equal(1, code)
    assert.matches("there is none to go back to", text, 1, true)
  end)

  it("puts all that is tracked back before it runs a step again", function()
    local function coefficient(arguments, name)
      local code, text = recipe("critic=true policy=skip " .. arguments .. out(name))
      assert.are.equal(0, code, text)
      local lines = metrics(name)
      assert.are.equal(14, #lines)
      return lines[14].coef, lines[7], text
    end
    local plain = coefficient("", "calm")
    local same, line = coefficient("plant=output at=model.layers.1", "put_back")
    assert.are.equal(plain, same)
    assert.are.equal("the output of model.layers.1", line.module)
    local code, text = recipe("critic=true plant=gradient" .. out "put_back_stop")
    assert.are.equal(1, code)
    assert.matches("the gradient of lm_head.weight (the same bits when run again)", text, 1, true)
  end)

  it("names the module of a critic, too", function()
    local code, text = recipe("critic=true plant=critic" .. out "critic")
    assert.are.equal(1, code)
    assert.matches("step 7: the gradient norm is nan, first in critic: the gradient of "
                   .. "score.weight (not run again)", text, 1, true)
    assert.is_nil(text:find("traceback", 1, true))
  end)

  it("refuses what it does not know", function()
    local code, text = recipe("policy=skipp" .. out "typo")
    assert.are.equal(1, code)
    assert.matches('policy must be "stop", "skip" or "rollback", got skipp', text, 1, true)
  end)
end)
