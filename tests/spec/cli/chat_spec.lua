local chat = require "moonlit.cli.chat"
local core = require "moonlit.core"
local dialogue = require "moonlit.cli.dialogue"
local fake = require "cli.fake"
local files = require "moonlit.run.files"
local json = require "moonlit.json"
local printable = require "moonlit.text.printable"

-- a dialogue with a model that says `replies`, and a function that gives what it wrote
local function session(replies, opt)
  opt = opt or {}
  local tok = fake.tokenizer(opt.plain ~= true)
  local model, out = fake.model(tok, replies, opt.context), {}
  local d = dialogue { model = model, tok = tok, chat = not opt.plain and fake.chat(tok) or nil,
    tools = { calculator = function(arguments) return "=" .. arguments.expression end },
    tokens = opt.tokens, temperature = 0.5, seed = 3,
    write = function(s) out[#out + 1] = s end }
  return d, model, function() return table.concat(out) end
end

describe("a dialogue", function()
  it("streams replies and remembers", function()
    local d, model, shown = session { "Hello.<|im_end|>", "Again.<|im_end|>" }
    assert.is_true(d:say "hi")
    assert.is_true(d:say "and?")
    assert.are.equal("Hello.\nAgain.\n", shown())
    assert.are.equal("user:hi|assistant:Hello.|user:and?|assistant:", model.asked[2].text)
    local opt = model.asked[2].opt
    assert.are.same({ 0.5, 3, 2, 256 }, { opt.temperature, opt.seed, opt.rollout, opt.tokens })
    assert.are.same(d.chat.stop, opt.stop)
  end)

  it("runs the calculator and goes on", function()
    local d, model, shown = session {
      '<tool_call>{"name": "calculator", "arguments": {"expression": "12+30"}}</tool_call>'
      .. "<|im_end|>", "It is 42.<|im_end|>" }
    assert.is_true(d:say "sum")
    assert.are.equal("\n[calculator 12+30 = =12+30]\nIt is 42.\n", shown())
    assert.are.equal("user:sum|assistant:|tool:=12+30|assistant:", model.asked[2].text)
    assert.are.equal(4, #d.messages)
  end)

  it("calls tools no more than four times in a row", function()
    local call = '<tool_call>{"name": "rm", "arguments": {}}</tool_call><|im_end|>'
    local d, model, shown = session { call, call, call, call, call, call }
    assert.is_true(d:say "sum")
    assert.are.equal(4, #model.asked)
    assert.matches("[rm ? = error: no tool of that name]", shown(), 1, true)
  end)

  it("shows nothing a terminal would obey", function()
    local d, _, shown = session { "\27[31mred\7\27]0;t\7 \xc2\x9b1m \u{202e}x é\xff" }
    assert.is_true(d:say "hi")
    assert.are.equal("\\x1b[31mred\\x07\\x1b]0;t\\x07 \\u{9b}1m \\u{202e}x é\\xff\n", shown())
  end)

  it("drops the oldest turns when the context is full", function()
    local d, model, shown = session({ "one<|im_end|>", "two<|im_end|>", "three<|im_end|>" },
                                    { context = 90 })
    d:instruct "S"
    for _ = 1, 3 do assert.is_true(d:say "0123456789") end
    assert.matches("old messages no longer fit", shown())
    assert.are.equal("system:S|user:0123456789|assistant:two|user:0123456789|assistant:",
                     model.asked[3].text)
    local ok, err = d:say(("x"):rep(100))
    assert.is_nil(ok)
    assert.are.equal("that is more than the model's context holds", err)
    assert.are.equal("assistant", d.messages[#d.messages].role)
  end)

  it("forgets a question that got no words", function()
    local d, _, shown = session { "<|im_end|>" }
    assert.is_true(d:say "hi")
    assert.are.equal("\n[no words]\n", shown())
    assert.are.equal(0, #d.messages)
  end)

  it("ends a reply at Ctrl-C and keeps the session", function()
    local d, model, shown = session { "abcdef<|im_end|>", "more<|im_end|>" }
    function model.before(turn, i)
      if turn == 1 and i == 3 then io.popen("kill -INT $PPID"):close() end
    end
    local ok, err, signal = d:say "hi"
    assert.are.same({ true, nil, 2 }, { ok, err, signal })
    assert.are.equal("abc\n", shown())
    assert.are.equal("abc", d.messages[2].content)
    assert.is_nil(core.sys.signal())
    assert.is_true(d:say "go on")
    assert.are.equal("more", d.messages[4].content)
  end)

  it("continues plain text for a base model", function()
    local d, model, shown = session({ " upon a time" }, { plain = true, tokens = 7 })
    assert.is_true(d:say "Once")
    assert.are.equal("Once upon a\n", shown())
    assert.are.equal("Once", model.asked[1].text)
    assert.is_nil(d:say(("x"):rep(1000)))
  end)

  it("says what the tokenizer cannot read", function()
    local d = session({}, { plain = true })
    function d.tok.encode() error("encode: character U+00E9 is not in the vocabulary", 0) end
    local ok, err = d:say "é"
    assert.is_nil(ok)
    assert.are.equal("character U+00E9 is not in the vocabulary", err)
  end)
end)

describe("a session's commands", function()
  local real, shown
  before_each(function()
    real, shown = io.write, {}
    io.write = function(s) shown[#shown + 1] = s end -- luacheck: ignore
  end)
  after_each(function() io.write = real end) -- luacheck: ignore
  local function text() return table.concat(shown) end

  it("reset, set, save and quit", function()
    local d = session { "one<|im_end|>", "two<|im_end|>" }
    assert.is_true(chat.take(d, "/system Be short."))
    assert.is_true(chat.take(d, "hi"))
    assert.are.same({ "system", "user", "assistant" },
                    { d.messages[1].role, d.messages[2].role, d.messages[3].role })
    local path = os.tmpname()
    assert.is_true(chat.take(d, "/save " .. path))
    assert.are.same(d.messages, assert(json.load(path)).messages)
    os.remove(path)
    assert.is_true(chat.take(d, "/reset"))
    assert.are.equal(1, #d.messages)
    assert.is_true(chat.take(d, "/temp 0"))
    assert.are.equal(0, d.temperature)
    assert.is_true(chat.take(d, "/temp hot"))
    assert.are.equal(0, d.temperature)
    assert.is_true(chat.take(d, "  "))
    assert.is_true(chat.take(d, "/help"))
    assert.is_true(chat.take(d, "/rest"))
    assert.is_true(chat.take(d, "/save /nowhere/at/all"))
    assert.is_true(chat.take(d, "/save"))
    assert.is_false(chat.take(d, "/quit"))
    for _, part in ipairs { "[3 messages saved]", "[temperature 0]", "/system TEXT",
                            'did you mean "reset"', "[/save needs a file]",
                            'temperature must be a number of at least 0, got "hot"' } do
      assert.matches(part, text(), 1, true)
    end
  end)
end)

describe("moonlit chat", function()
  local function command(line)
    local pipe = io.popen("lua5.4 lua/moonlit/cli/main.lua chat " .. line .. " 2>&1; echo $?")
    local out, code = pipe:read("a"):match("^(.-)(%d+)\n$")
    pipe:close()
    return math.tointeger(tonumber(code)), out
  end

  it("continues the text of a run, read from a pipe", function()
    local dir = os.tmpname()
    os.remove(dir)
    local ml = require "moonlit"
    local tok = assert(ml.text.chars { text = "abc \27" })
    local model = ml.model { layers = 1, heads = 1, dim = 8, vocab = tok:size(), context = 32,
                             seed = 1 }
    assert(core.sys.mkdir(dir .. "/02-base"))
    assert(model:save(dir .. "/02-base", tok))
    local code, out = command(dir .. "/02-base --tokens 5 --temp 1 </dev/null")
    assert.are_not.equal(0, code, out) -- no abbreviations
    -- a pipeline stands for its last stage with a model
    local line = "printf 'abc\\nxyz\\n/quit\\nabc\\n' | lua5.4 lua/moonlit/cli/main.lua chat "
      .. dir .. " --tokens 5 --seed 4 2>&1"
    local pipe = io.popen(line)
    out = pipe:read "a"
    pipe:close()
    assert.matches("02%-base, a model that continues text", out)
    local reply = out:match "\nabc([^\n]*)\n"
    assert(reply, out)
    assert.is_nil(reply:find "\27")
    assert.matches("character U+0078 (number 1 of the text) is not in the vocabulary", out, 1, true)
    files.remove(dir)
  end)

  it("says what is wrong", function()
    local code, out = command "/nowhere"
    assert.are.equal(1, code)
    assert.matches("^moonlit: chat: .*/nowhere/config%.json", out)
  end)
end)

describe("printable", function()
  it("leaves text, lines and tabs alone", function()
    for _, s in ipairs { "", "a\tb\nc", "Žluťoučký 日本 🌙", "100 %" } do
      assert.are.equal(s, printable(s))
    end
  end)
  it("spells the rest", function()
    assert.are.equal("\\x00\\x7f\\r\\xc3", printable "\0\127\r\xc3")
    assert.are.equal("\\xed\\xa0\\x80", printable "\xed\xa0\x80") -- a surrogate is not UTF-8
    assert.are.equal("\\u{feff}\\u{200f}", printable "\u{feff}\u{200f}")
  end)
end)
