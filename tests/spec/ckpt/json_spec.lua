local json = require "moonlit.json"

describe("json", function()
  it("keeps 64-bit integers exact and floats floats", function()
    local t = assert(json.decode "[9223372036854775807, -9223372036854775808, 1, 1.0, 5e-324]")
    assert.are.equal(math.maxinteger, t[1])
    assert.are.equal(math.mininteger, t[2])
    assert.are.equal("integer", math.type(t[3]))
    assert.are.equal("float", math.type(t[4]))
    assert.are.equal(5e-324, t[5])
    assert.are.equal("[9223372036854775807,-9223372036854775808,1,1.0,4.94065645841247e-324]",
                     json.encode(t))
  end)

  it("writes the fewest digits that read back to the same number", function()
    assert.are.equal("[0.1,1e+300,-0.0,3.141592653589793,0.30000000000000004]",
                     json.encode { 0.1, 1e300, -0.0, math.pi, 0.1 + 0.2 })
    for i = 1, 1000 do
      local v = string.unpack("d", string.pack("i8", i * 0x9E3779B97F4A7C15 >> 2))
      if v == v then assert.are.equal(v, json.decode(json.encode(v))) end
    end
  end)

  it("sorts keys by bytes", function()
    assert.are.equal('{"A":4,"a":1,"aa":2,"b":3,"\xC3\xA9":5}',
                     json.encode { b = 3, aa = 2, a = 1, A = 4, ["\xC3\xA9"] = 5 })
  end)

  it("tells arrays, objects and null apart", function()
    assert.are.equal("{}", json.encode {})
    assert.are.equal("[]", json.encode(json.array {}))
    assert.are.equal("[]", json.encode(json.array()))
    assert.are.equal('{"a":[],"b":{},"c":null}',
                     json.encode(json.decode '{ "c": null, "b": {}, "a": [] }'))
    assert.are.equal(json.null, json.decode "null")
    assert.is_false(json.decode "false")
  end)

  it("escapes what must be escaped", function()
    local s = 'a"b\\c/\n\t\0\x1f\x7f\xE2\x82\xAC'
    local text = json.encode(s)
    assert.are.equal([["a\"b\\c/\n\t\u0000\u001f]] .. '\x7f\xE2\x82\xAC"', text)
    assert.are.equal(s, json.decode(text))
  end)

  it("writes for people when asked", function()
    assert.are.equal('{\n  "a": [\n    1,\n    2\n  ],\n  "b": {},\n  "c": "x"\n}',
                     json.encode({ a = { 1, 2 }, b = {}, c = "x" }, { pretty = true }))
  end)

  it("answers nil, a message with the place, and a code to bad text", function()
    for text, part in pairs { ['{"a": 1,}'] = "line 1", ["[1,\n2"] = "line 2", [""] = "byte 0",
                              ['{"a":1,"a":2}'] = "duplicate", ["[9223372036854775808]"] = "big",
                              ["[1e999]"] = "overflow", ['"\xff"'] = "decode byte",
                              ["1 2"] = "end of",
                              [("["):rep(5000)] = "depth",
                              [("["):rep(1500) .. ("]"):rep(1500)] = "deeper" } do
      local v, message, code = json.decode(text)
      assert.is_nil(v)
      assert.matches(part, message)
      assert.are.equal("format", code)
    end
  end)

  it("raises on what has no JSON form", function()
    local cycle = {}
    cycle.self = cycle
    for part, v in pairs { ["not a JSON number"] = 0 / 0, ["JSON number"] = math.huge,
                           ["no JSON form"] = print, ["holes"] = { 1, nil, 3 },
                           ["no position"] = { 1, a = 2 },
                           ["keys must be strings"] = { a = 1, [true] = 2 },
                           ["not UTF%-8 at byte 3"] = "ab\xff", ["a cycle"] = cycle,
                           ["at byte 1"] = "\xC0\x80", ["no JSON"] = json.array { io.stdout } } do
      local ok, message = pcall(json.encode, v)
      assert.is_false(ok)
      assert.matches(part, message)
    end
    assert.has_error(function() json.encode(1, { prety = true }) end)
  end)

  it("survives the fuzz corpus and every beginning of it", function()
    local pipe = io.popen "ls tests/fuzz/corpus/json"
    local count = 0
    for name in pipe:lines() do
      local file = assert(io.open("tests/fuzz/corpus/json/" .. name, "rb"))
      local text = file:read("a")
      file:close()
      for n = 0, math.min(#text, 200) do
        local v = json.decode(n == 200 and text or text:sub(1, n))
        if v ~= nil then
          local once = json.encode(v)
          assert.are.equal(once, json.encode((json.decode(once))))
        end
      end
      count = count + 1
    end
    pipe:close()
    assert.is_true(count > 10)
  end)

  it("saves and loads a file", function()
    local path = os.tmpname()
    assert.is_true(json.save(path, { a = { 1, 2.5 } }))
    assert.are.same({ a = { 1, 2.5 } }, json.load(path))
    os.remove(path)
    local v, message, code = json.load(path)
    assert.is_nil(v)
    assert.matches(path, message, 1, true)
    assert.are.equal("io", code)
  end)
end)
