-- moonlit eval with measuring itself stood in for: what is asked for, and what is shown.
local eval = require "moonlit.cli.eval"
local fake = require "cli.fake"
local files = require "moonlit.run.files"
local json = require "moonlit.json"
local kit = require "kit"

local stood_in = { "moonlit.eval", "moonlit.data" }

describe("moonlit eval", function()
  local asked, real

  before_each(function()
    asked, real = {}, {}
    for _, name in ipairs(stood_in) do real[name] = package.loaded[name] end
    local ml = require "moonlit"
    real.data = rawget(ml, "data")
    ml.data = {
      world = function(o)
        return { seed = o.seed, documents = function(_, part, n) return part .. n end }
      end,
      chat = function() return "chat" end, tools = { calculator = print },
      read = function(path)
        if path:find "nowhere" then error("data.read: " .. path .. ": no such file", 0) end
        return "documents of " .. path
      end,
    }
    package.loaded["moonlit.eval"] = {
      tasks = { sums = {}, summary = {} },
      bits_per_byte = function(_, _, docs)
        asked[#asked + 1] = docs
        return { bits_per_byte = 1.5, documents = 7 }
      end,
      run = function(_, chat, task, o)
        asked[#asked + 1] = ("%s %s %d %d %s"):format(chat, task, o.n, o.world.seed, o.part)
        assert.are.equal(print, o.tools.calculator)
        return { task = task, title = task .. " right", value = 0.9, low = 0.8, high = 0.95,
                 n = o.n, samples = { { prompt = "p", reply = "r" } } }
      end,
    }
  end)
  after_each(function()
    for _, name in ipairs(stood_in) do package.loaded[name] = real[name] end
    require("moonlit").data = real.data
  end)

  local function measure(talks, o)
    o.n, o.seed = 20, 4
    return eval.measure({}, fake.tokenizer(talks), o)
  end

  it("measures everything a model can do", function()
    local results = measure(true, {})
    assert.are.same({ "test20", "chat summary 20 4 test", "chat sums 20 4 test" }, asked)
    local m = results.metrics
    assert.are.same({ name = "bits_per_byte", title = "documents", value = 1.5, n = 7,
                      unit = "bits/byte", better = "lower" }, m[1])
    assert.are.same({ name = "summary", title = "summary right", value = 0.9, low = 0.8,
                      high = 0.95, n = 20, unit = "%", better = "higher" }, m[2])
    assert.are.equal(2, #results.samples)
  end)

  it("measures a base model on documents", function()
    measure(false, { data = "mine.jsonl" })
    assert.are.same({ "documents of mine.jsonl" }, asked)
  end)

  it("measures what is named, in that order", function()
    measure(true, { task = "sums,bits_per_byte" })
    assert.are.same({ "chat sums 20 4 test", "test20" }, asked)
  end)

  it("says what it cannot do", function()
    kit.raises(function() measure(true, { task = "sumary" }) end,
               'eval: unknown task "sumary"; did you mean "summary"?')
    kit.raises(function() measure(false, { task = "sums" }) end,
               "eval: sums needs a model with chat tokens")
    kit.raises(function() measure(true, { task = "," }) end, "eval: --task names no task")
    kit.raises(function() measure(false, { data = "/nowhere" }) end, "no such file")
  end)

  it("prints a table and writes it down", function()
    local ml = require "moonlit"
    local dir, printed = os.tmpname(), {}
    os.remove(dir)
    local tok = assert(ml.text.chars { text = "abc" })
    assert(ml.model { layers = 1, heads = 1, dim = 8, vocab = 3, context = 8 }:save(dir, tok))
    eval.run({ dir, "--n", "3", "--out", dir .. "/eval.json" }, function(line)
      printed[#printed + 1] = line
    end)
    assert.are.equal(1, #printed)
    assert.matches("^documents +1%.500 bits/byte +n = 7$", printed[1])
    assert.are.equal(1.5, assert(json.load(dir .. "/eval.json")).metrics[1].value)
    kit.raises(function() eval.run { dir, "--n", "none" } end,
               '--n must be an integer of at least 1, got "none"')
    files.remove(dir)
    kit.raises(function() eval.run { "/nowhere" } end, "eval: ")
  end)
end)
