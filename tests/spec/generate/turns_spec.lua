-- Conversations with tools: what is said, what is fed back, which ids and log-probabilities come
-- out of it; streams that never show half a character.
local bytetok = require "bytetok"
local kit = require "kit"
local ml = require "moonlit"

local tok = bytetok()
local chat = ml.data.chat(tok)
local tools = { calculator = ml.data.tools.calculator }

local function make(context)
  return ml.model { preset = "llama", layers = 1, heads = 2, dim = 16, vocab = tok:size(),
                    context = context or 400, seed = 3 }
end

local function ids_of(...)
  local ids = {}
  for _, part in ipairs { ... } do
    local more = #part > 1 and tok:id(part) and { tok:id(part) } or tok:encode(part)
    table.move(more, 1, #more, #ids + 1, ids)
  end
  return ids
end

-- a hook that makes the model say what `script` has for the last turn before it
local function says(script)
  return function(logits, sequences)
    for i, s in ipairs(sequences) do
      local text = tok:decode(s.prompt)
      local last = text:match "<|im_start|>%a+\n([^|]*)<|im_end|>\n<|im_start|>assistant\n$"
      local want = assert(script[last], last)[#s.ids + 1]
      logits[i] = 0
      logits[i][want + 1] = 100
    end
  end
end

local function call(text)
  return ids_of("<tool_call>", ('\n{"name": "calculator", "arguments": {"expression": "%s"}}\n')
                :format(text), "</tool_call>")
end

local function ended(...)
  local ids = {}
  for _, part in ipairs { ... } do table.move(part, 1, #part, #ids + 1, ids) end
  ids[#ids + 1] = tok:id "<|im_end|>"
  return ids
end

local function ask(text) return { { role = "user", content = text } } end

local script = {
  ["12+30?"] = ended(ids_of "So:", ids_of "\n", call "12+30"),
  ["42"] = ended(ids_of "It is 42."),
  ["both?"] = ended(call "1+1", ids_of "\n", call "1/0"),
  ["error: division by zero"] = ended(ids_of "No."),
  ["hi"] = ended(ids_of "ho"),
  ["again?"] = ended(call "42"),
  ["loop?"] = ended(call "0"), ["0"] = ended(call "0"),
  ["what?"] = ended(ids_of("<tool_call>", '{"name": "calculater", "arguments": {}}',
                           "</tool_call>")),
  ['error: no tool "calculater"; did you mean "calculator"?'] = ended(ids_of "Oh."),
  ["boom?"] = ended(ids_of("<tool_call>", '{"name": "bomb", "arguments": {}}', "</tool_call>")),
  ["error: bang"] = ended(ids_of "Ow."),
}

local function converse(list, opt)
  local o = { tools = tools, tokens = 160, hook = says(script) }
  for k, v in pairs(opt or {}) do o[k] = v end
  local model = make(o.context)
  o.context = nil
  return ml.converse(model, chat, list, o)
end

local function contents(c)
  local out = {}
  for i, m in ipairs(c.messages) do out[i] = m.content or "" end
  return out
end

describe("converse", function()
  kit.leakcheck(before_each, after_each)

  it("runs tools and feeds their results back", function()
    local out = converse { ask "12+30?", ask "hi", ask "both?", ask "what?" }
    assert.are.same({ "So:", "42", "It is 42." }, contents(out[1]))
    assert.are.same({ { name = "calculator", arguments = { expression = "12+30" } } },
                    out[1].messages[1].tool_calls)
    assert.are.equal("tool", out[1].messages[2].role)
    assert.are.same({ "ho" }, contents(out[2]))
    assert.are.same({ "", "2", "error: division by zero", "No." }, contents(out[3]))
    assert.are.equal("Oh.", contents(out[4])[3])
    for _, c in ipairs(out) do assert.is_true(c.stopped) end
  end)

  it("gives the ids and the mask that rendering it all gives", function()
    local list = { ask "12+30?", ask "both?", ask "hi" }
    for i, c in ipairs(converse(list)) do
      local whole = table.move(c.messages, 1, #c.messages, 2, { list[i][1] })
      local row = chat:render(whole)
      for _, key in ipairs { "ids", "mask" } do -- but for the line break after the last turn
        row[key][#row[key]] = nil
        assert.are.same(row[key], c[key])
      end
      assert.are.equal(#chat:prompt(list[i]), c.prompt)
    end
  end)

  it("records the log-probabilities of what was drawn", function()
    local c = converse({ ask "12+30?" }, { logprobs = true, hook = says(script) })[1]
    assert.are.equal(#c.ids, #c.logprobs)
    for i, bit in ipairs(c.mask) do
      if bit == 0 then assert.are.equal(0, c.logprobs[i]) end
    end
    -- without a hook they are the model's own
    local model, u = make(), ask "hm"
    c = ml.converse(model, chat, { u }, { tokens = 12, logprobs = true, seed = 2 })[1]
    local own = ml.no_grad(function()
      return model:logprobs { ids = ml.tensor({ c.ids }, { dtype = "i64" }) }
    end):table()[1]
    for i, bit in ipairs(c.mask) do
      if bit == 1 then assert.is_true(own[i] == c.logprobs[i]) end
    end
  end)

  it("knows when it is cut: rounds, tokens, context", function()
    local c = converse({ ask "loop?" }, { rounds = 3 })[1]
    assert.is_false(c.stopped)
    assert.are.same({ "", "0", "", "0", "", "0" }, contents(c))
    c = converse({ ask "hi" }, { tokens = 1 })[1]
    assert.is_false(c.stopped)
    assert.are.same({ "h" }, contents(c))
    c = converse({ ask "12+30?" }, { context = 110 })[1] -- no room for the result
    assert.is_false(c.stopped)
    assert.are.same({ "So:" }, contents(c))
  end)

  it("goes on with what is replied to it", function()
    local heard = {}
    local function reply(i, message, c)
      heard[#heard + 1] = { i, message.content, c.stopped }
      if #heard == 3 then return nil end
      return { { role = "user", content = #heard == 1 and "12+30?" or "hi" } }
    end
    local c = converse({ ask "hi" }, { reply = reply, rounds = 9 })[1]
    assert.are.same({ "ho", "12+30?", "So:", "42", "It is 42.", "hi", "ho" }, contents(c))
    assert.are.same({ { 1, "ho", true }, { 1, "It is 42.", true }, { 1, "ho", true } }, heard)
    assert.is_true(c.stopped)
    heard = {}
    c = converse({ ask "hi" }, { reply = reply, tokens = 1 })[1] -- told of a turn that was cut
    assert.are.same({ { 1, "h", false } }, heard)
    assert.are.same({ "h" }, contents(c))
  end)

  it("survives a tool that raises", function()
    local bad = { bomb = function() error("bang", 0) end }
    assert.are.same({ "", "error: bang", "Ow." }, contents(converse({ ask "boom?" },
                                                                    { tools = bad })[1]))
  end)

  it("says the same alone, in any batch, listed or as samples", function()
    local model, list = make(), {}
    for i = 1, 5 do list[i] = ask("question " .. i) end
    local o = { tokens = 10, seed = 4 }
    local all = ml.converse(model, chat, list, o)
    for i = 1, 5 do
      assert.are.same(all[i], ml.converse(model, chat, { list[i] }, o)[1])
    end
    o.batch = 2
    assert.are.same(all, ml.converse(model, chat, list, o))
    local a, b = list[1], list[2]
    local listed = ml.converse(model, chat, { a, a, a, b, b, b }, o)
    o.samples = 3
    assert.are.same(listed, ml.converse(model, chat, { a, b }, o))
    assert.are_not.same(listed[1].ids, listed[2].ids)
  end)

  it("says what is wrong", function()
    local m = make()
    local function try(...)
      local args = { ... }
      return function() ml.converse(m, table.unpack(args)) end
    end
    kit.raises(try(chat, { ask "hi" }, { round = 1 }), 'option "round"; did you mean "rounds"')
    kit.raises(try(chat, { ask "hi" }, { rounds = 0 }), "rounds must be a positive integer")
    kit.raises(try(chat, { ask "hi" }, { reply = 1 }), "reply must be a function, got number")
    kit.raises(try(chat, ask "hi"), "expected a list of conversations")
    kit.raises(try(chat, { ask "hi", ask(("x"):rep(400)) }),
               "conversation 2 has 419 ids, the context is 400")
    kit.raises(try(tok, { ask "hi" }), "expected a chat")
    kit.raises(try(chat, { ask "hi", { { role = "usr", content = "x" } } }),
               'conversation 2: chat.prompt: message 1: unknown role "usr"')
  end)
end)

describe("stream", function()
  kit.leakcheck(before_each, after_each)

  it("never shows half a character, nor the token that ends a turn", function()
    local text = "é – 漢 🌒"
    local out = ended(ids_of(text), { 0xE2 })
    local function hook(logits, sequences)
      logits[1] = 0
      logits[1][out[#sequences[1].ids + 1] + 1] = 100
    end
    local o = { tokens = 40, tokenizer = tok, stop = chat.stop, hook = hook }
    local all, n = "", 0
    for piece in make():stream({ 1 }, o) do
      n = n + 1
      all = all .. piece
      assert.is_truthy(utf8.len(piece) or n == #out, n)
    end
    assert.are.equal(#out, n)
    assert.are.equal(text .. "\xE2", all)
    assert.are.equal(text .. "\xE2", make():generate({ { 1 } }, o)[1].text)
  end)
end)
