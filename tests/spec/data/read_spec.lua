local core = require "moonlit.core"
local data = require "moonlit.data"
local document = require "moonlit.data.document"
local kit = require "kit"

local function put(path, s)
  local file = assert(io.open(path, "wb"))
  file:write(s)
  file:close()
end

local function get(path)
  local file = assert(io.open(path, "rb"))
  local s = file:read("a")
  file:close()
  return s
end

local function all(iterator)
  local list = {}
  for doc in iterator do list[#list + 1] = doc end
  return list
end

-- a gzip member of text
local function gz(dir, text)
  local path = dir .. "/member.gz"
  local out = assert(core.data.out(path, true))
  assert(out:put(text))
  assert(out:commit())
  local s = get(path)
  os.remove(path)
  return s
end

describe("data.read", function()
  local dir
  before_each(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(core.sys.mkdir(dir))
  end)
  after_each(function() os.execute("rm -rf " .. dir) end)

  local function file(name, s)
    put(dir .. "/" .. name, s)
    return dir .. "/" .. name
  end

  local function refused(name, s, text, opt)
    local path = file(name, s)
    local message = kit.raises(function() all(data.read(path, opt)) end, text)
    assert.are.equal("data.read: " .. path, message:sub(1, #path + 11))
  end

  it("gives the objects of .jsonl, whatever ends its lines", function()
    local path = file("a.jsonl", '\xEF\xBB\xBF{"id":"x","text":"one","n":1}\r\n\n'
                      .. '{"text":"two","id":7}\n  \n{"text":"drei \\n"}')
    assert.are.same({ { id = "x", text = "one", n = 1 }, { id = "7", text = "two" },
                      { id = path .. ":5", text = "drei \n" } }, all(data.read(path)))
  end)

  it("reads gzip of several members, and several files", function()
    local one = gz(dir, '{"text":"a"}\n{"te')
    local path = file("b.jsonl.gz", one .. gz(dir, "") .. gz(dir, 'xt":"b"}\n'))
    local other = file("c.jsonl", '{"text":"c"}\n')
    local empty = file("d.jsonl", "")
    local texts = {}
    for doc in data.read { path, empty, other } do texts[#texts + 1] = doc.text end
    assert.are.same({ "a", "b", "c" }, texts)
  end)

  it("gives .txt as a document, or its blocks", function()
    local text = "\n\nOne\r\ntwo\n\n \nthree \u{e9}\n"
    local path = file("a.txt", text)
    assert.are.same({ { id = path, text = text } }, all(data.read(path)))
    assert.are.same({ { id = path .. ":3", text = "One\ntwo" },
                      { id = path .. ":7", text = "three \u{e9}" } },
                    all(data.read(path, { split = "blank" })))
    local packed = file("b.txt.gz", gz(dir, text))
    assert.are.equal(text, data.read(packed)().text)
  end)

  it("keeps any value of another field", function()
    local path = file("m.jsonl", '{"id":"c","messages":[{"role":"user","content":"hi"}]}')
    local doc = data.read(path, { field = "messages" })()
    assert.are.equal("hi", doc.messages[1].content)
  end)

  it("says where and what is wrong", function()
    refused("a.jsonl", '{"text":"x"}\n{"text":', ":2:8: expected JSON, got ")
    refused("a.jsonl", '{"text":"x"}\n\n12\n', ":3: expected an object, got a number")
    refused("a.jsonl", "[]\n", ":1: expected an object, got an array")
    refused("a.jsonl", "null\n", ":1: expected an object, got null")
    refused("a.jsonl", '{"body":"x"}\n', ':1: expected a field "text", got an object without one')
    refused("a.jsonl", '{"text":null}\n', ':1: expected a field "text", got null')
    refused("a.jsonl", '{"text":4}\n', ':1: expected a string in "text", got a number')
    refused("a.jsonl", '{"text":"x","id":[]}\n', ':1: expected a string in "id", got a table')
    refused("a.jsonl", '{"text":"x","text":"y"}\n', "duplicate")
    refused("a.jsonl", '{"text":"\xff"}\n', ":1:9: expected JSON, got")
    refused("a.jsonl", '{"text":"x"}\n\0\n', ":2:1: expected JSON, got")
    refused("a.txt", "one\ntwo \xff\n", ":2:5: expected UTF-8, got byte 0xFF")
    refused("a.txt", "one\n\ntwo\n\xff", ":4:1: expected UTF-8, got byte 0xFF", { split = "blank" })
    refused("a.jsonl.gz", '{"text":"x"}\n', ":1: expected gzip data, got something else")
    refused("a.jsonl.gz", "", ":1: expected gzip data, got an empty file")
    refused("a.csv", "", ": expected a name in")
    kit.raises(function() data.read(dir .. "/no.jsonl") end, "no.jsonl: cannot open: ")
    kit.raises(function() data.read(dir) end, "a.jsonl.gz:1: expected gzip data")
    refused("b.jsonl", '{"content":3}\n', ':1: expected a string in "content", got a number',
            { text = "content" })
    refused("b.jsonl", '{"text":"x"}\n', ':1: expected a field "content"', { text = "content" })
    kit.raises(function() data.read { file("x.jsonl", ""), 4 } end, "path 2 must be a string")
    kit.raises(function() data.read("x", { feild = "text" }) end, 'did you mean "field"?')
  end)

  it("never takes a damaged .gz for a shorter one", function()
    local text = {}
    for i = 1, 500 do text[i] = ('{"text":"%d"}\n'):format(i * 7919 % 1000) end
    local whole = gz(dir, table.concat(text))
    for cut = 1, #whole - 1, 13 do
      refused("a.jsonl.gz", whole:sub(1, cut), "")
    end
    refused("a.jsonl.gz", whole:sub(1, #whole - 1), ":501: the gzip data ends inside a member")
    refused("a.jsonl.gz", whole .. "more", ":501: expected gzip data, got incorrect header check")
    local flipped = whole:sub(1, -5) .. string.char(whole:byte(-4) ~ 1) .. whole:sub(-3)
    refused("a.jsonl.gz", flipped, "expected gzip data, got incorrect length check")
    flipped = whole:sub(1, -9) .. string.char(whole:byte(-8) ~ 1) .. whole:sub(-7)
    refused("a.jsonl.gz", flipped, "expected gzip data, got incorrect data check")
  end)

  it("keeps within the limit, whatever a file expands to", function()
    local line = '{"text":"' .. ("a"):rep(89) .. '"}'
    assert.are.equal(100, #line)
    local path = file("a.jsonl", line .. "\r\n" .. line)
    assert.are.equal(2, #all(data.read(path, { limit = 100 })))
    refused("a.jsonl", line .. "\n" .. line .. " \n",
            ":2: expected a line of at most 100 bytes, got a longer one", { limit = 100 })
    refused("a.txt", ("x\n"):rep(60), ":1: expected a text of at most 100 bytes", { limit = 100 })
    refused("a.txt", "\n" .. ("x\n"):rep(60), ":2: expected a block of at most 100 bytes",
            { limit = 100, split = "blank" })
    local bomb = gz(dir, (" "):rep(20000000))
    assert.is_true(#bomb < 30000)
    core.sys.reset_peak()
    local before = core.sys.memory().live_bytes
    refused("a.jsonl.gz", bomb, ":1: expected a line of at most 1000 bytes", { limit = 1000 })
    assert.is_true(core.sys.memory().peak_bytes - before < 2000000)
  end)

  it("gives the lines at every place a chunk may end", function()
    for _, extra in ipairs { -1, 0, 1 } do
      local long = ("y"):rep((1 << 18) - 14 + extra)
      local path = file("a.jsonl", ('{"text":"%s"}\r\n{"text":"b"}\n'):format(long))
      local docs = all(data.read(path))
      assert.are.equal(long, docs[1].text)
      assert.are.equal("b", docs[2].text)
    end
  end)
end)

describe("data.read, told to go on", function()
  local dir
  before_each(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(core.sys.mkdir(dir))
  end)
  after_each(function() os.execute("chmod -R u+rwx " .. dir .. "; rm -rf " .. dir) end)

  local function file(name, s)
    put(dir .. "/" .. name, s)
    return dir .. "/" .. name
  end

  -- id, text or reason, of each
  local function seen(path, opt)
    local list, o = {}, { wrong = "mark" }
    for k, v in pairs(opt or {}) do o[k] = v end
    for doc in data.read(path, o) do
      local at = doc.id:gsub("^.*/", "")
      list[#list + 1] = at .. " " .. (document.is_wrong(doc) and doc.wrong or doc.text)
    end
    return list
  end

  it("marks every line that is no document", function()
    local path = file("a.jsonl", '{"text":"x"}\n{"text":\n12\n[]\n{"body":"x"}\n{"text":null}\n'
      .. '{"text":4}\n{"text":"x","id":[]}\n{"text":"\xff"}\n\0\n{"text":"y","wrong":"a",'
      .. '"why":"b"}\n{"text":"' .. ("z"):rep(200) .. '"}\n{"text":"last"}')
    assert.are.same({ "a.jsonl:1 x", "a.jsonl:2 not JSON", "a.jsonl:3 no object",
      "a.jsonl:4 no object", "a.jsonl:5 no text", "a.jsonl:6 no text", "a.jsonl:7 no text",
      "a.jsonl:8 no id", "a.jsonl:9 not JSON", "a.jsonl:10 not JSON", "a.jsonl:11 y",
      "a.jsonl:12 too long", "a.jsonl:13 last" }, seen(path, { limit = 100 }))
  end)

  it("marks texts and blocks", function()
    local one = seen(file("a.txt", "one \xff"))[1]
    assert.are.same({ "a.txt not UTF-8" }, { (one:gsub("^.*/", "")) })
    assert.are.same({ "b.txt too long" },
      { (seen(file("b.txt", ("x\n"):rep(60)), { limit = 100 })[1]:gsub(":%d+", "")) })
    local path = file("c.txt", "one\n" .. ("y"):rep(500) .. "\ntwo\n\n" .. ("x\n"):rep(60)
                      .. "\n\xff\n\nlast")
    assert.are.same({ "c.txt:1 one", "c.txt:2 too long", "c.txt:3 two", "c.txt:5 too long",
                      "c.txt:66 not UTF-8", "c.txt:68 last" },
                    seen(path, { limit = 100, split = "blank" }))
  end)

  it("gives what is whole of a damaged .gz, and says that it is damaged", function()
    local whole = gz(dir, '{"text":"a"}\n{"text":"b"}\n')
    local cut = file("cut.jsonl.gz", whole:sub(1, -5))
    local next_one = file("next.jsonl", '{"text":"c"}')
    assert.are.same({ "cut.jsonl.gz:1 a", "cut.jsonl.gz:2 b", "cut.jsonl.gz damaged file",
                      "next.jsonl:1 c" }, seen { cut, next_one })
    assert.are.same({ "no.jsonl damaged file", "none.jsonl.gz damaged file", "next.jsonl:1 c" },
                    seen { dir .. "/no.jsonl", file("none.jsonl.gz", ""), next_one })
    assert.are.same({}, seen(file("empty.jsonl", "")))
  end)

  it("holds little of a line that is far too long, plain or from a bomb", function()
    local text = '{"text":"a"}\n' .. (" "):rep(20000000) .. 'x\n{"text":"b"}\n'
    local bomb = file("bomb.jsonl.gz", gz(dir, text))
    core.sys.reset_peak()
    local before = core.sys.memory().live_bytes
    local list = {}
    for doc in data.read(bomb, { limit = 1000, wrong = "mark" }) do list[#list + 1] = doc end
    assert.are.equal(3, #list)
    assert.are.equal("too long", list[2].wrong)
    assert.matches("at most 1000 bytes, got a longer one, of 20000001 bytes", list[2].why, 1, true)
    assert.are.equal(1024, #list[2].text)
    assert.are.equal("b", list[3].text)
    assert.is_true(core.sys.memory().peak_bytes - before < 2000000)
  end)

  it("is counted by a ledger", function()
    local path = file("a.jsonl", '{"text":"x"}\n12\n{"text":"y"}\nno\n')
    local l = data.ledger()
    local docs = all(l:read("in", data.read(path, { wrong = "mark" })))
    local books = l:finish()
    assert.are.equal(2, #docs)
    assert.are.same({ documents = 4, bytes = 6 }, books["in"])
    assert.are.same({ documents = 2, bytes = 2 }, books.out)
    local why = {}
    for i, r in ipairs(books.steps[1].reasons) do why[i] = r.reason .. " " .. r.documents end
    assert.are.same({ "no object 1", "not JSON 1" }, why)
    assert.matches("a.jsonl:2: expected an object, got a number",
                   books.steps[1].reasons[1].examples[1].detail, 1, true)
  end)

  it("keeps a NUL that JSON or a text has", function()
    local path = file("a.jsonl", '{"text":"a\\u0000b"}')
    assert.are.equal("a\0b", data.read(path)().text)
    assert.are.equal("a\0b\n", data.read(file("a.txt", "a\0b\n"))().text)
  end)

  it("refuses another word for it", function()
    kit.raises(function() data.read("x.jsonl", { wrong = "skip" }) end, 'must be "raise" or "mark"')
  end)

  it("gives what is wrong to the reader of that line, and to no other", function()
    local whole = gz(dir, '{"text":"a"}\n12\n' .. (" "):rep(200) .. '\n{"text":"b"}\n')
    local path = file("a.jsonl.gz", whole:sub(1, -3)) -- lines 1 to 4; the damage would be the 5th
    local all_of = { "a 1", "no object 2", "too long 3", "b 4", "damaged file 5" }
    for i, want in ipairs(all_of) do
      local got = seen(path, { limit = 100, only = function(n) return n == i end })
      assert.are.equal(1, #got, want)
      assert.are.equal(want:match "^%D+", (got[1]:gsub("^%S+ ", "")) .. " ")
    end
    local none = file("b.jsonl.gz", "")
    assert.are.equal(1, #seen(none, { only = function(n) return n == 1 end }))
    assert.are.equal(0, #seen(none, { only = function(n) return n == 2 end }))
  end)
end)

describe("data.write", function()
  local path
  before_each(function() path = os.tmpname() end)
  after_each(function()
    for _, e in ipairs { "", ".jsonl", ".jsonl.gz" } do os.remove(path .. e) end
  end)

  it("writes what read gives back, plain or gzip", function()
    local docs = {}
    for i = 1, 3000 do
      docs[i] = { id = tostring(i), text = ("line %d\n\"\u{e9}\""):format(i * i), n = i / 7 }
    end
    for _, e in ipairs { ".jsonl", ".jsonl.gz" } do
      assert.are.equal(3000, data.write(path .. e, docs))
      assert.are.same(docs, all(data.read(path .. e)))
      local first = get(path .. e)
      assert.are.equal(3000, data.write(path .. e, data.read(path .. e)))
      assert.are.equal(first, get(path .. e))
    end
    assert.are.equal(0, data.write(path .. ".jsonl.gz", {}))
    assert.are.same({}, all(data.read(path .. ".jsonl.gz")))
  end)

  it("leaves what was there when something fails", function()
    put(path .. ".jsonl", "old")
    local function failing(doc)
      local n = 0
      return function()
        n = n + 1
        return n < 3 and { id = "a", text = "b" } or doc
      end
    end
    kit.raises(function() data.write(path .. ".jsonl", failing(12)) end,
               "data.write: document 3: expected a table, got a number")
    kit.raises(function() data.write(path .. ".jsonl", failing { text = "\xff" }) end,
               "data.write: document 3: a string is not UTF-8")
    kit.raises(function() data.write(path .. ".jsonl", function() error("mine", 0) end) end, "mine")
    assert.are.equal("old", get(path .. ".jsonl"))
    local left = io.popen("ls " .. path .. ".jsonl*"):read("a")
    assert.are.equal(path .. ".jsonl\n", left)
    local none, message, code = data.write("/no/such/place/a.jsonl", {})
    assert.is_nil(none)
    assert.truthy(message:find("data.write: /no/such/place/a.jsonl", 1, true))
    assert.are.equal("io", code)
    kit.raises(function() data.write("a.txt", {}) end, "expected a name in .jsonl or .jsonl.gz")
    kit.raises(function() data.write("a.jsonl", 3) end, "expected an iterator or a list")
  end)
end)
