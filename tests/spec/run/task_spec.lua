-- Runs without a loop, results.json, processes.
local core = require "moonlit.core"
local files = require "moonlit.run.files"
local harness = require "moonlit.run.harness"
local json = require "moonlit.json"
local kit = require "kit"
local ml = require "moonlit"

describe("a task", function()
  local place
  before_each(function()
    harness.reset()
    harness.quiet = true
    place = os.tmpname()
    os.remove(place)
  end)
  after_each(function()
    harness.reset()
    files.remove(place)
  end)

  it("leaves a directory that says what happened", function()
    harness.config = { n = 3 }
    local task = ml.run.task(place, { seed = 4 })
    task:say("hello")
    assert.are.equal(place .. "/data/x/y.txt", task:path "data/x/y.txt")
    assert(core.sys.write(task:path "data/x/y.txt", "y"))
    assert.are.equal("running", json.load(place .. "/run.json").status)
    task:results { title = "T", metrics = { { name = "n", value = 3, unit = "%",
                                               better = "lower" } },
                   samples = { { prompt = "a", reply = "b\xff" } }, notes = { "so" } }
    task:finish()
    local info = json.load(place .. "/run.json")
    assert.are.equal("finished", info.status)
    assert.are.equal("task", info.kind)
    assert.are.equal(4, info.seed)
    assert.are.equal(3, json.load(place .. "/config.json").n)
    assert.matches("Z hello\n", files.read(place .. "/log.txt"))
    local results = json.load(place .. "/results.json")
    assert.are.equal("b?", results.samples[1].reply)
    assert.are.same({ name = "n", title = "n", value = 3, unit = "%", better = "lower" },
                    results.metrics[1])
    assert.are.equal(place .. "-2", ml.run.task(place).dir)
    files.remove(place .. "-2")
  end)

  it("says what is wrong with results", function()
    local task = ml.run.task(place .. "/01-sft")
    local function refused(values, text)
      local message = kit.raises(function() task:results(values) end, text)
      assert.matches("task_spec.lua", message)
    end
    refused({ metric = {} }, 'unknown option "metric"; did you mean "metrics"?')
    refused({ metrics = { { name = "a" } } }, 'metrics[1]: option "value" is needed')
    refused({ metrics = { { name = "a", value = 0 / 0 } } },
            "metrics[1].value: expected a finite number, got")
    refused({ metrics = { { name = "a", value = 1, better = "more" } } },
            'expected "higher" or "lower", got more')
    refused({ notes = { 1 } }, "notes[1]: expected a string, got 1")
    task:results {}
    assert.are.equal("sft", json.load(task.dir .. "/results.json").stage)
  end)

  it("is refused for what it cannot be", function()
    kit.raises(function() ml.run.task(1) end, "path must be a string, got number")
    kit.raises(function() ml.run.task(place, { sed = 1 }) end, 'unknown option "sed"')
    kit.raises(function() ml.run.task(place, { seed = 1.5 }) end, "seed must be an integer")
    kit.raises(function() return ml.run.pipelin end, 'did you mean "pipeline"?')
    kit.raises(function() ml.run.pipeline(place, { sede = 1 }) end, 'did you mean "seed"?')
  end)
end)

describe("a pipeline's stage", function()
  local place, p
  setup(function()
    harness.reset()
    place = os.tmpname()
    os.remove(place)
    p = ml.run.pipeline(place)
  end)
  teardown(function() files.remove(place) end)

  it("is refused for what it cannot be", function()
    local recipe = "tests/spec/run/task_recipe.lua"
    local function refused(text, ...)
      local args = table.pack(...)
      kit.raises(function() p:stage(table.unpack(args, 1, args.n)) end, text)
    end
    refused('a name is letters, digits, "-" and "_", got "a/b"', "a/b", recipe)
    refused("recipe must be a path, got nil", "a")
    refused("no recipe recipes/none.lua", "b", "recipes/none.lua")
    refused('"--out" is not the name of a knob', "c", recipe, { ["--out"] = 1 })
    refused("list of them, got function", "d", recipe, { n = print })
    refused("data is a knob and an input", "e", recipe, { data = "x" }, { data = place })
    refused("no such file or directory: /nowhere", "f", recipe, {}, { data = "/nowhere" })
    refused("must be a stage's result or a path, got number", "g", recipe, {}, { data = 1 })
  end)
end)

describe("core.sys.spawn", function()
  it("gives exit codes and signals", function()
    assert.are.equal(7, (core.sys.spawn { "sh", "-c", "exit 7" }))
    local code, number = core.sys.spawn { "sh", "-c", "kill -9 $$" }
    assert.are.equal(128 + 9, code)
    assert.are.equal(9, number)
  end)

  it("says why nothing starts", function()
    local code, message, kind = core.sys.spawn { "no-such-program" }
    assert.is_nil(code)
    assert.are.equal("no-such-program: cannot start: No such file or directory", message)
    assert.are.equal("io", kind)
    kit.raises(function() core.sys.spawn {} end, "expected 1 to 10000 strings, got 0")
    kit.raises(function() core.sys.spawn { "sh", 1 } end, "argument 2 must be a string, got number")
    kit.raises(function() core.sys.spawn { "sh", "a\0b" } end, "argument 2 holds a zero byte")
  end)
end)
