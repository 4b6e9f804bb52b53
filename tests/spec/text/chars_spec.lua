local kit = require "kit"
local text = require "moonlit.text"

describe("text.chars", function()
  kit.leakcheck(before_each, after_each)

  it("numbers characters from 0 by code point", function()
    local tok = assert(text.chars { text = "banana\u{e9}B" })
    assert.are.equal(5, tok:size())
    assert.are.same({ 0, 1, 2, 3, 4 }, tok:encode("Babn\u{e9}"))
    assert.are.equal("B\u{e9}", tok:decode { 0, 4 })
  end)

  it("gives back any text, bytes that are no UTF-8 included", function()
    for _, s in ipairs { "plain\ntext\0", "\u{1F600}gr\u{fc}n", "\xff\xfe\xC0\x80a\xE2\x82",
                         "\xED\xA0\x80", string.rep("\x80", 100) } do
      local tok = assert(text.chars { text = s })
      assert.are.equal(s, tok:decode(tok:encode(s)))
    end
    local tok = text.chars { text = "a\xff\u{10FFFF}\x80" }
    assert.are.equal(4, tok:size())
    assert.are.same({ 0, 1, 2, 3 }, tok:encode("a\u{10FFFF}\x80\xff"))
  end)

  it("refuses what is not in its vocabulary", function()
    local tok = text.chars { text = "abc" }
    kit.raises(function() tok:encode("ab\u{e9}") end,
               "character U+00E9 (number 3 of the text) is not in the vocabulary")
    kit.raises(function() tok:encode("\xff") end, "byte 0xFF")
    kit.raises(function() tok:decode { 0, 3 } end, "id 3 is outside 0..2")
    kit.raises(function() tok:encode(3) end, "expected a string")
  end)

  it("saves and loads", function()
    local path = os.tmpname()
    local s = "hello \u{e9}\xff"
    local tok = text.chars { text = s }
    assert(tok:save(path))
    local again = assert(text.load(path))
    assert.are.same(tok:encode(s), again:encode(s))
    local file = io.open(path, "w")
    file:write('{"type": "else"}')
    file:close()
    local t, message, code = text.load(path)
    assert.is_nil(t)
    assert.matches("expected", message)
    assert.are.equal("format", code)
    os.remove(path)
  end)

  it("reads files", function()
    local path = os.tmpname()
    local file = io.open(path, "wb")
    file:write("hello world")
    file:close()
    local tok = assert(text.chars(path))
    local ids = assert(tok:encode_file(path))
    assert.are.equal("i64", ids:dtype())
    assert.are.equal("hello world", tok:decode(ids))
    local t, message, code = text.chars { text = "abc" }:encode_file(path)
    assert.is_nil(t)
    assert.matches("not in the vocabulary", message)
    assert.are.equal("format", code)
    os.remove(path)
    t, message, code = text.chars(path)
    assert.is_nil(t)
    assert.matches("No such file", message)
    assert.are.equal("io", code)
  end)

  it("is quick", function()
    local path = os.tmpname()
    local file = io.open(path, "wb")
    file:write((("The quick brown fox. "):rep(50000)))
    file:close()
    local tok = assert(text.chars(path))
    local started = os.clock()
    assert.are.equal(1050000, assert(tok:encode_file(path)):size(1))
    assert.is_true(os.clock() - started < 1) -- 0.1 s on an idle machine
    os.remove(path)
  end)
end)
