-- Tasks: what each scorer makes of a reply, how conversations are played, the two baselines.
local kit = require "kit"
local ml = require "moonlit"
local toys = require "eval.toys"

local user, assistant = toys.user, toys.assistant
local tasks = ml.eval.tasks

local function score(task, item, content, messages)
  local reply = { content = content, messages = messages or { assistant(content) },
                  stopped = true }
  return task.score(item, reply)
end

describe("a scorer", function()
  it("wants summaries, translations and answers word for word", function()
    local item = { answer = "In short, Bala found a red kite." }
    for _, name in ipairs { "summary", "translate", "questions", "questions_back" } do
      for _, case in ipairs {
        { "In short, Bala found a red kite.", 1 }, { " In short, Bala found a red kite.\n", 1 },
        { "In short, Bala found a kite.", 0 }, { "in short, Bala found a red kite.", 0 },
        { "In short, Bala found a red kite. And more.", 0 }, { "", 0 },
      } do
        assert.are.equal(case[2], score(tasks[name], item, case[1]), name .. ": " .. case[1])
      end
    end
  end)

  it("takes the last number of a sum's reply", function()
    for _, case in ipairs {
      { "632.", 1 }, { "7+5=12, 4+8+1=13, 3+2+1=6. So 632.", 1 }, { "632", 1 }, { "It is 632!", 1 },
      { "632, no, 631.", 0 }, { "6320", 0 }, { "-632", 0 }, { "none", 0 }, { "", 0 }, { "0632", 0 },
    } do
      assert.are.equal(case[2], score(tasks.sums, { answer = "632" }, case[1]), case[1])
    end
    assert.are.equal("-1234567", ml.eval.match.last_number "12, then -1,234,567.")
    assert.are.equal("5", ml.eval.match.last_number "1,5")
  end)

  it("wants one exact call of the calculator and the exact answer", function()
    local item = { answer = "The answer is 42.", call = "12+30", result = "42" }
    local function call(expression, name)
      return { role = "assistant", tool_calls = { { name = name or "calculator",
               arguments = { expression = expression } } } }
    end
    local result, last = { role = "tool", content = "42" }, assistant "The answer is 42."
    for _, case in ipairs {
      { { call "12+30", result, last }, 1 }, { { call "12 + 30", result, last }, 1 },
      { { call "30+12", result, last }, 0 }, { { last }, 0 }, { { call("12+30", "sum"), last }, 0 },
      { { call "12+30", result, call "12+30", result, last }, 0 },
      { { call(nil), result, last }, 0 },
      { { { role = "assistant", tool_calls = { { name = "calculator" } } }, last }, 0 },
    } do
      assert.are.equal(case[2], score(tasks.calculator, item, "The answer is 42.", case[1]))
    end
    assert.are.equal(0, score(tasks.calculator, item, "The answer is 43.",
                              { call "12+30", result, assistant "The answer is 43." }))
  end)
end)

local calculator = { calculator = function() return "42" end }

-- a world of one kind of item
local function world(name, make)
  return { tasks = function(_, part, n)
    local list = {}
    for i = 1, n do list[i] = make(i, part) end
    return { [name] = list }
  end }
end

describe("a run", function()
  it("gives the share right, Wilson's interval, stops and samples", function()
    local w = world("summary", function(i, part)
      return { messages = { user(part .. " story " .. i) }, answer = "Short " .. i }
    end)
    local model = toys.reciter(function(messages)
      local i = tonumber(messages[1].content:match "test story (%d+)")
      return i <= 6 and "Short " .. i or "Well, " .. i .. (i == 7 and "..." or "")
    end)
    local r = ml.eval.run(model, {}, "summary", { world = w, n = 8, samples = 2 })
    local low, high = ml.eval.wilson(0.75, 8)
    assert.are.same({ "summary", "summaries right", "%", "higher", 0.75, low, high, 8, 7 / 8 },
      { r.task, r.title, r.unit, r.better, r.value, r.low, r.high, r.n, r.stopped })
    assert.are.same({ 1, 1, 1, 1, 1, 1, 0, 0 }, r.scores)
    assert.are.same({ { prompt = "test story 1", reply = "Short 1", answer = "Short 1", score = 1,
                        stopped = true } }, { r.samples[1] })
    assert.are.equal(2, #r.samples)
    assert.are.equal(0, model.opt.temperature)
    ml.eval.run(model, {}, "summary", { world = w, n = 1, tools = calculator })
    assert.are.same({}, model.opt.tools)
  end)

  it("keeps the model's own turns in a conversation, not those of the item", function()
    local item = {
      messages = { user "Note: Bala likes figs.", assistant "I see.", user "Note: Toli likes jam.",
                   assistant "I see.", user "What does Toli like?" }, answer = "That is jam.",
    }
    local short = { messages = { user "a", user "b", assistant "c", user "d" }, answer = "no" }
    local model = toys.reciter(function(messages) return "reply " .. #messages end)
    local r = ml.eval.run(model, {}, "questions", { items = { item, short } })
    assert.are.equal(5, #model.asked)
    assert.are.same({ user "Note: Bala likes figs.", assistant "reply 1",
                      user "Note: Toli likes jam.", assistant "reply 3",
                      user "What does Toli like?" }, model.asked[5])
    assert.are.same({ user "a", user "b" }, model.asked[2])
    assert.are.equal("reply 5", r.samples[1].reply)
    assert.are.equal("user: a\nuser: b\nassistant: reply 2\nuser: d", r.samples[2].prompt)
    assert.are.equal("I see.", item.messages[2].content)
  end)

  it("shows the calls of tools and scores what came after them", function()
    local model = toys.reciter(function()
      return { { role = "assistant", tool_calls = { { name = "calculator",
                 arguments = { expression = "12+30" } } } },
               { role = "tool", content = "42" }, assistant "The answer is 42." }
    end)
    local items = { { messages = { user "What is 12 plus 30?" }, answer = "The answer is 42.",
                      call = "12+30", result = "42" } }
    local r = ml.eval.run(model, {}, "calculator", { items = items, tools = calculator })
    assert.are.equal(1, r.value)
    assert.are.equal("assistant: [calculator: 12+30]\ntool: 42\nassistant: The answer is 42.",
                     r.samples[1].reply)
    assert.are.same(calculator, model.opt.tools)
    -- a turn that ends in a call has no answer
    model = toys.reciter(function() return { { role = "tool", content = "42" } } end)
    assert.are.equal(0, ml.eval.run(model, {}, "calculator",
                                    { items = items, tools = calculator }).value)
  end)

  it("ends a conversation where the model says nothing or leaves no room", function()
    local item = { messages = { user "note", assistant "I see.", user "ask" }, answer = "yes" }
    local said = { note = "", ask = "yes" }
    local model = toys.reciter(function(messages) return said[messages[#messages].content] end)
    local function value() return ml.eval.run(model, toys.chat(), "questions",
                                              { items = { item } }) end
    local r = value()
    assert.are.same({ 0, 1, 1 }, { r.value, #model.asked, r.stopped })
    assert.are.same({ "note", "" }, { r.samples[1].prompt, r.samples[1].reply })
    said.note = "I see."
    assert.are.equal(1, value().value)
    model.options = { context = 14 } -- "note." + "I see." + "ask." are 5 + 7 + 4
    r = value()
    assert.are.same({ 0, 4, 0 }, { r.value, #model.asked, r.stopped })
    model.options.context = 17
    assert.are.equal(1, value().value)
  end)

  it("continues documents for a model that knows no turns", function()
    local plain = ml.eval.plain(toys.tokenizer(true))
    assert.are.same({ 258, 256, 97 }, plain:prompt { user "tha" })
    local message, stopped = plain:parse { 256, 97, 258 }
    assert.are.same({ "tha", true }, { message.content, stopped })
    assert.is_false(select(2, plain:parse { 97 }))
    local model = toys.reciter(function(messages)
      return messages[1].content == "Sum: 2+3\n" and "2+3=5. So 5." or "?"
    end)
    local item = { messages = { user "Work out 2+3." }, prompt = "Sum: 2+3\n", answer = "5" }
    assert.are.equal(1, ml.eval.run(model, plain, "sums", { items = { item } }).value)
    assert.are.equal("Work out 2+3.", item.messages[1].content)
    item.prompt = nil
    kit.raises(function() ml.eval.run(model, plain, "sums", { items = { item } }) end,
               "item 1 has no prompt for a plain document")
    kit.raises(function() ml.eval.plain(toys.tokenizer(false)) end, "no <|endoftext|>")
  end)

  it("keeps samples that any JSON file can hold", function()
    local model = toys.reciter(function() return "caf\xC3\xA9 \xC3x\xFF" end)
    local item = { messages = { user "x" }, answer = "1" }
    local r = ml.eval.run(model, {}, "sums", { items = { item } })
    assert.are.equal("caf\u{E9} \u{FFFD}x\u{FFFD}", r.samples[1].reply)
    assert.are.same(r, ml.json.decode(ml.json.encode(r)))
  end)

  it("takes a task of one's own", function()
    local task = { name = "half", better = "lower", items = function(_, _, n)
      local list = {}
      for i = 1, n do list[i] = { messages = { user "x" } } end
      return list
    end, score = function() return 0.5 end }
    local model = toys.reciter(function() return "y" end)
    local r = ml.eval.run(model, {}, task, { world = {}, n = 4 })
    assert.are.same({ 0.5, 4, "lower" }, { r.value, r.n, r.better })
    task.score = function(_, reply) return reply.content == "y" end
    assert.are.equal(1, ml.eval.run(model, {}, task, { world = {}, n = 4 }).value)
    task.score = function() return 2 end
    kit.raises(function() ml.eval.run(model, {}, task, { world = {} }) end,
               'task "half": item 1: expected a score in 0..1, got 2')
  end)

  it("says what is wrong with a call", function()
    local model = toys.reciter(function() return "" end)
    local function raises(text, task, opt)
      kit.raises(function() ml.eval.run(model, {}, task, opt) end, text)
    end
    raises('unknown task "sumary"; did you mean "summary"?', "sumary", {})
    raises("needs the tool \"calculator\"", "calculator", { items = {} })
    raises("one of the options world and items is needed", "sums", {})
    raises("has no items", "sums", { items = {} })
    raises("item 1: expected messages that end with the user's", "sums", { items = { {} } })
    raises("got number", 3, {})
  end)
end)

describe("the n-gram baseline", function()
  kit.leakcheck(before_each, after_each)

  it("goes by the longest stretch it has seen, then by count, then by the smaller id", function()
    local counts = ml.eval.baseline.ngram({ { ids = { 1, 2, 3, 4 } }, { ids = { 5, 2, 3, 6 } },
      { ids = { 9, 2, 3, 6 } }, { ids = { 7, 7 } } }, { vocab = 12 })
    assert.are.same({ [4] = 1 }, counts:counts { 1, 2, 3 })
    assert.are.same({ [4] = 1, [6] = 2 }, counts:counts { 8, 2, 3 })
    assert.are.same({ [4] = 1, [6] = 2 }, counts:counts { 8, 3 })
    assert.are.same(counts.unigrams, counts:counts { 4 })
    local shorter = ml.eval.baseline.ngram({ { ids = { 1, 2, 3, 4 } }, { ids = { 0, 2, 3, 5 } } },
                                           { vocab = 12, order = 3 })
    assert.are.same({ [4] = 1, [5] = 1 }, shorter:counts { 1, 2, 3 })
    local generate = require("moonlit.generate").generate
    local out = generate(counts, { { 8, 2 }, { 1, 2 }, { 0 } }, { tokens = 2, temperature = 0,
                                                                  batch = 2 })
    assert.are.same({ 3, 6 }, out[1].ids)
    assert.are.same({ 3, 4 }, out[2].ids)
    assert.are.equal(2, out[3].ids[1]) -- 2 and 3 are the most frequent
  end)

  it("says a training text again, at any batch size, through the model's own generation", function()
    local chat, texts, prompts, want = toys.chat(), {}, {}, nil
    for i = 1, 5 do
      texts[i] = chat:render { user("the question " .. i), assistant(i .. " is " .. i) }
      prompts[i] = chat:prompt { user("the question " .. i) }
    end
    local counts = ml.eval.baseline.ngram(texts, { vocab = 260 })
    for _, batch in ipairs { 1, 2, 5 } do
      local out = require("moonlit.generate").generate(counts, prompts,
        { tokens = 30, temperature = 0, stop = chat.stop, batch = batch })
      for i = 1, 5 do
        local message, stopped = chat.parse(nil, out[i].ids)
        assert.are.same({ i .. " is " .. i, true }, { message.content, stopped })
      end
      want = want or out
      assert.are.same(want, out)
    end
  end)

  it("says what is wrong with a call", function()
    kit.raises(function() ml.eval.baseline.ngram({}, { vocab = 3 }) end, "no tokens")
    kit.raises(function() ml.eval.baseline.ngram({ { ids = { 3 } } }, { vocab = 3 }) end,
               "ids lie in 0..2, got 3")
    kit.raises(function() ml.eval.baseline.ngram({}, { vocab = 3, order = 2 }) end, "3 or more")
  end)
end)

describe("the nearest-neighbour baseline", function()
  local chats = {
    { messages = { user "Translate: the red cat", assistant "kato ru" } },
    { messages = { user "Translate: the big dog", assistant "dogo ba" } },
    { messages = { user "Note: Bala sells rusty lamps.", assistant "I see.",
                   user "What does Bala sell?", assistant "That is rusty lamps." } },
    { messages = { user "What is 3 plus 4?", { role = "assistant", tool_calls = { {
        name = "calculator", arguments = { expression = "3+4" } } } },
      { role = "tool", content = "7" }, assistant "The answer is 7." } },
  }

  it("copies the reply to the most similar prompt, rare words counting more", function()
    local memory = ml.eval.baseline.nearest(chats)
    local r = memory:converse({}, { { user "Translate: THE old dog" }, { user "What is 9 plus 4" },
      { user "Note: Toli sells hats.", assistant "I see.", user "What does Toli sell?" },
      { user "xyz" } })
    assert.are.same({ assistant "dogo ba" }, r[1].messages)
    assert.are.equal(3, #r[2].messages)
    assert.are.same({ assistant "That is rusty lamps." }, r[3].messages)
    assert.are.same({ assistant "kato ru" }, r[4].messages)
    assert.is_true(r[1].stopped)
    local same, likeness = memory:nearest(chats[2].messages)
    assert.are.equal(2, same)
    assert.is_true(likeness > 0)
  end)

  it("is scored as a model is", function()
    local n = 0
    local memory = ml.eval.baseline.nearest(function()
      n = n + 1
      return chats[n]
    end)
    local items = { { messages = { user "Translate: the red cat" }, answer = "kato ru" },
                    { messages = { user "Translate: the red dog" }, answer = "dogo ru" } }
    assert.are.equal(0.5, ml.eval.run(memory, {}, "translate", { items = items }).value)
    items = { { messages = { user "What is 5 plus 4?" }, answer = "The answer is 9.",
                call = "5+4", result = "9" } }
    assert.are.equal(0, ml.eval.run(memory, {}, "calculator",
                                    { items = items, tools = calculator }).value)
  end)

  it("needs something to copy", function()
    kit.raises(function() ml.eval.baseline.nearest {} end, "no conversation")
  end)
end)
