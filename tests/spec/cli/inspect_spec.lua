-- moonlit inspect: what is learned in brackets or colours, lengths and rows, what is not used.
local bytetok = require "bytetok"
local inspect = require "moonlit.cli.inspect"
local kit = require "kit"
local ml = require "moonlit"

local tok = bytetok()

local function file(ext, text)
  local path = os.tmpname() .. ext
  local f = assert(io.open(path, "wb"))
  f:write(text)
  f:close()
  return path
end

local function report(ext, text, opt)
  local path, out = file(ext, text), {}
  local o = { rows = 3, length = 64 }
  for k, v in pairs(opt or {}) do o[k] = v end
  local ok, err = pcall(inspect.report, path, o.tok or tok, o, function(format, ...)
    out[#out + 1] = format:format(...)
  end)
  os.remove(path)
  if not ok then error(err, 0) end
  return table.concat(out, "\n") .. "\n", path:match "[^/]*$"
end

local function has(text, part)
  assert.is_truthy(text:find(part, 1, true), ("%q is not in\n%s"):format(part, text))
end

local function command(line)
  local pipe = io.popen("lua5.4 lua/moonlit/cli/main.lua inspect " .. line .. " 2>&1; echo $?")
  local text, code = pipe:read("a"):match("^(.-)(%d+)\n$")
  pipe:close()
  return math.tointeger(tonumber(code)), text
end

local function lines(...)
  local out = {}
  for i, m in ipairs { ... } do out[i] = type(m) == "string" and m or ml.json.encode(m) end
  return table.concat(out, "\n")
end

local function chat(question, answer)
  return { messages = { { role = "user", content = question },
                        { role = "assistant", content = answer } } }
end

describe("moonlit inspect", function()
  it("shows what is learned in brackets", function()
    local text, name = report(".jsonl", lines(chat("hi", "ho")))
    has(text, name .. ": 1 of 1 used")
    has(text, name .. ":1: 25 tokens, 3 learned\n<|im_start|>user\nhi<|im_end|>\n"
              .. "<|im_start|>assistant\n[ho<|im_end|>]\n")
    has(text, "tokens: 25, 3 learned (12.0 %)")
    has(text, "lengths: shortest 25, median 25, 9 of 10 up to 25, longest 25")
    has(text, "rows of 64: 1, 38.5 % filled, 1.0 pieces a row")
    assert.is_nil(text:find("not used", 1, true))
  end)

  it("colours on a terminal, and nothing else does", function()
    local text = report(".jsonl", lines(chat("a\27[31mb<|im_end|>\xc2\x9bc", "ho")),
                        { colour = true })
    has(text, "\27[34m<|im_start|>\27[0muser\n")
    has(text, "a\\x1B[31mb<\\|im_end|>")
    has(text, "\27[32mho\27[0m\27[32m<|im_end|>\27[0m")
    assert.is_nil(text:find("\xc2\x9b", 1, true))
    assert.is_nil(report(".jsonl", lines(chat("a\27b", "c"))):find "\27")
  end)

  it("says what is not used and why, by line", function()
    local text, name = report(".jsonl", lines(chat("hi", "ho"),
      { messages = { { role = "usr", content = "x" }, { role = "assistant", content = "y" } } },
      "{bad", "", "[1]", { messages = { { role = "user", content = "x" } } }, { other = 1 },
      { messages = {} }))
    has(text, "1 of 7 used")
    has(text, "not used: 6\n")
    has(text, name .. ':2: message 1: unknown role "usr"; did you mean "user"?')
    has(text, name .. ":3: ")
    has(text, name .. ':5: neither "messages" nor "text"')
    has(text, name .. ":6: no token would be learned; message 1: the last one must be")
    has(text, name .. ':7: neither "messages" nor "text"')
    has(text, name .. ":8: no token would be learned; no messages")
  end)

  it("names no more than twenty", function()
    local text = report(".jsonl", ("{}\n"):rep(50))
    has(text, "not used: 50\n")
    has(text, 'jsonl:20: neither "messages" nor "text"\n  and 30 more\n')
  end)

  it("names what is cut, and what is lost by it", function()
    local text, name = report(".jsonl", lines(chat("hi", "ho"), chat(("q"):rep(60), "answer"),
                                              chat("q", ("a"):rep(100))))
    has(text, "longer than a row (65 ids), cut: 2\n")
    has(text, name .. ":2: 87 tokens, no token is learned in its first row")
    has(text, name .. ":3: 122 tokens, 56 of 101 learned ones come after the cut")
    -- pieces 65 + 23, 65 + 58, 25: three rows, and one that 25 and 23 share
    has(text, "rows of 64: 4, 90.0 % filled, 1.2 pieces a row")
  end)

  it("packs as the loader does: the fullest row that takes a piece", function()
    local list = {}
    for i, n in ipairs { 5, 2, 3, 1 } do list[i] = { text = ("x"):rep(n) } end
    has(report(".jsonl", lines(table.unpack(list)), { length = 5 }), "rows of 5: 2, 91.7 % filled")
  end)

  it("shows documents token by token", function()
    local text, name = report(".txt", "aé\n")
    has(text, name .. ": 4 tokens, 4 learned\na|\\xC3|\\xA9|\n")
    text = report(".jsonl", lines({ text = "moon" }, { text = "" }, { text = "zz" }),
                  { tok = ml.text.chars { text = "mno" }, rows = 1 })
    has(text, "1 of 3 used")
    has(text, "m|o|o|n")
    has(text, ":2: no text")
    has(text, "not in the vocabulary")
    has(report(".txt", ("x"):rep(1000)), "x|...")
  end)

  it("runs from the shell", function()
    local vocabulary, data = os.tmpname(), file(".txt", "moon\n")
    assert(ml.text.chars { text = "mno\n" }:save(vocabulary))
    local code, text = command(("%s --tokenizer %s --length 2"):format(data, vocabulary))
    assert.are.equal(0, code, text)
    has(text, "m|o|o|n|\n")
    has(text, "rows of 2: 2")
    code, text = command("/nowhere.jsonl --tokenizer " .. vocabulary)
    assert.are.equal(1, code)
    assert.are.equal("moonlit: inspect: /nowhere.jsonl: No such file or directory\n", text)
    code, text = command(data .. " --rows many")
    assert.are_not.equal(0, code)
    has(text, '--rows must be an integer from 0, got "many"')
    os.remove(data)
    os.remove(vocabulary)
  end)

  local when_trained = ml.text.train and it or pending
  when_trained("takes bytes for tokens when no tokenizer is given", function()
    local data = file(".jsonl", lines(chat("hi", "ho")))
    local code, text = command(data)
    os.remove(data)
    assert.are.equal(0, code, text)
    has(text, "25 tokens, 3 learned")
    has(text, "hi<|im_end|>\n<|im_start|>assistant\n[ho<|im_end|>]\n")
  end)

  it("refuses a tokenizer without control tokens", function()
    kit.raises(function()
      report(".jsonl", lines(chat("h", "m")), { tok = ml.text.chars { text = "hm" } })
    end, 'the tokenizer has no "<|im_start|>"')
  end)
end)
