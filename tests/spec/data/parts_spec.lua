-- Documents through rules in several processes: what comes out does not show how many, nor that
-- one was killed.
local core = require "moonlit.core"
local json = require "moonlit.json"
local kit = require "kit"
local lfs = require "lfs"
local ml = require "moonlit"

local filter = ml.data.filter

local function rules(l, docs)
  docs = l:filter("length", docs, filter.length { min_words = 4 })
  return l:map("pii", docs, ml.data.pii())
end

local dir, given

-- some documents, every fifth too short, every seventh with an address; blank lines between
local function make_files()
  given = { dir .. "/a.jsonl", dir .. "/b.jsonl.gz", dir .. "/c.txt" }
  local text = {}
  for i = 1, 57 do
    local doc = { text = i % 5 == 0 and "Too short." or ("Number %d is a longer one%s."):format(
      i, i % 7 == 0 and ", ask ann@example.com" or "") }
    text[i] = json.encode(doc) .. (i % 11 == 0 and "\n\n" or "\n")
  end
  local file <close> = assert(io.open(given[1], "wb"))
  file:write(table.concat(text))
  local docs = {}
  for i = 1, 20 do docs[i] = { id = "b" .. i, source = "b", text = "The letter b, " .. i } end
  assert(ml.data.write(given[2], docs))
  local plain <close> = assert(io.open(given[3], "wb"))
  plain:write "A text of more than four words.\n"
end

-- documents and books, as text
local function curate(workers, where, opt)
  local books, out = ml.data.ledger(), {}
  local o = { dir = where, rules = rules, workers = workers, lines = 8, source = "web" }
  for k, v in pairs(opt or {}) do o[k] = v end
  for doc in ml.data.parts(books, given, o) do out[#out + 1] = json.encode(doc) end
  return table.concat(out, "\n"), json.encode(books:finish())
end

-- the same by one ledger in one go
local function in_one()
  local books, out = ml.data.ledger(), {}
  for doc in rules(books, books:read("web", ml.data.read(given))) do
    out[#out + 1] = json.encode(doc)
  end
  return table.concat(out, "\n"), json.encode(books:finish())
end

local function parts_in(where)
  local list = {}
  for folder in lfs.dir(where) do
    for name in lfs.dir(where .. "/" .. folder) do
      if name:find "%.json$" then list[#list + 1] = where .. "/" .. folder .. "/" .. name end
    end
  end
  table.sort(list)
  return list
end

describe("data.parts", function()
  before_each(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(core.sys.mkdir(dir))
    make_files()
  end)
  after_each(function() require("moonlit.run.files").remove(dir) end)

  it("gives what one ledger in one process gives, however many workers there are", function()
    local docs, books = in_one()
    for workers = 1, 4 do
      local more_docs, more_books = curate(workers, dir .. "/parts" .. workers)
      assert.are.equal(docs, more_docs)
      assert.are.equal(books, more_books)
    end
  end)

  it("goes on where it was killed", function()
    local docs, books = curate(1, dir .. "/parts")
    local parts = parts_in(dir .. "/parts")
    assert.is_true(#parts > 8)
    local kept = lfs.attributes(parts[1], "modification")
    assert(lfs.touch(parts[1], kept, kept - 1000))
    for i = 2, #parts, 2 do
      os.remove(parts[i])                                -- killed before the books
      if i % 4 == 0 then os.remove(parts[i] .. "l") end  -- and before the documents
    end
    local more_docs, more_books = curate(3, dir .. "/parts")
    assert.are.equal(docs, more_docs)
    assert.are.equal(books, more_books)
    assert.are.equal(kept - 1000, lfs.attributes(parts[1], "modification")) -- not done again
  end)

  it("keeps apart what depends on other rules or other files", function()
    curate(1, dir .. "/parts", { key = "a" })
    local n = #parts_in(dir .. "/parts")
    curate(1, dir .. "/parts", { key = "b" })
    assert.are.equal(2 * n, #parts_in(dir .. "/parts"))
  end)

  it("counts what is wrong once, however many workers there are", function()
    local function add(name, s)
      given[#given + 1] = dir .. "/" .. name
      local file <close> = assert(io.open(given[#given], "wb"))
      file:write(s)
    end
    local packed <close> = assert(io.open(given[2], "rb"))
    add("cut.jsonl.gz", packed:read "a":sub(1, -9))
    add("bad.jsonl", ("12\n{\"text\":\"one more that is long enough\"}\n\xff\n"):rep(9)
        .. (" "):rep(500) .. "\n")
    add("empty.jsonl", "")
    add("bad.txt", "no \xff text")
    add("none.jsonl", "")
    os.remove(given[#given])
    local opt = { read = { wrong = "mark", limit = 400 } }
    local docs, books = curate(1, dir .. "/parts1", opt)
    for workers = 2, 3 do
      local more_docs, more_books = curate(workers, dir .. "/parts" .. workers, opt)
      assert.are.equal(docs, more_docs)
      assert.are.equal(books, more_books)
    end
    local why = {}
    for i, r in ipairs(json.decode(books).steps[1].reasons) do
      why[i] = r.reason .. " " .. r.documents
    end
    -- of cut.jsonl.gz all lines are there but its sum is not; none.jsonl is not there at all
    assert.are.same({ "no object 9", "not JSON 9", "damaged file 2", "not UTF-8 1", "too long 1" },
                    why)
    assert.are.equal(57 + 20 + 1 + 21 + 28 + 1 + 1, json.decode(books)["in"].documents)
  end)

  it("raises a worker's error as its own", function()
    local file <close> = assert(io.open(given[1], "ab"))
    file:write "[1]\n"
    file:flush()
    for workers = 1, 3 do
      kit.raises(function() curate(workers, dir .. "/bad" .. workers) end,
                 "a.jsonl:63: expected an object, got an array")
    end
    kit.raises(function() curate(2, dir .. "/x", { rules = function() error("no", 0) end }) end,
               "no")
    kit.raises(function() curate(0, dir .. "/x") end, "must be positive integers")
  end)

  it("has no documents where files are empty", function()
    given = { dir .. "/empty.jsonl" }
    assert(io.open(given[1], "wb")):close()
    local docs, books = curate(2, dir .. "/parts")
    assert.are.equal("", docs)
    assert.are.equal(3, #json.decode(books).steps)
  end)
end)

describe("data.paths", function()
  local paths = require "moonlit.data.paths"
  local function is(path, ...)
    local list = assert(paths.expand(path))
    for i, name in ipairs(list) do list[i] = name:sub(#dir + 2) end
    assert.are.same({ ... }, list)
  end
  before_each(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(core.sys.mkdir(dir .. "/crawl/b.1/deep"))
    assert(core.sys.mkdir(dir .. "/crawl/a"))
    for _, name in ipairs { "a/2.jsonl", "a/1.txt.gz", "b.1/deep/x.jsonl.gz", "a/notes.md",
                            "a/.hidden.jsonl", "z+[1].txt" } do
      assert(io.open(dir .. "/crawl/" .. name, "w")):close()
    end
  end)
  after_each(function() require("moonlit.run.files").remove(dir) end)

  it("finds what can be read, in order", function()
    is(dir .. "/crawl", "crawl/a/1.txt.gz", "crawl/a/2.jsonl", "crawl/b.1/deep/x.jsonl.gz",
       "crawl/z+[1].txt")
    is(dir .. "/crawl/*/?.jsonl", "crawl/a/2.jsonl")
    is(dir .. "/crawl/*.1", "crawl/b.1/deep/x.jsonl.gz")
    is(dir .. "/crawl/*.txt", "crawl/z+[1].txt")
    is(dir .. "/crawl/z+[1].txt", "crawl/z+[1].txt")
    is(dir .. "/crawl/no", "crawl/no") -- data.read says that it is not there
  end)

  it("says where there is nothing", function()
    assert.are.equal("x/no*: no file has such a name", select(2, paths.expand "x/no*"))
    kit.raises(function() ml.data.read(dir .. "/crawl/b.1/d*p/y*") end, "no file has such a name")
    assert(core.sys.mkdir(dir .. "/none"))
    kit.raises(function() ml.data.read(dir .. "/none") end,
               "expected files in .jsonl or .txt (or .gz of them) below it, got none")
  end)
end)

describe("core.sys.workers", function()
  it("ends all when one is killed", function()
    local start = ml.clock()
    local ok, message, code = core.sys.workers(3, function(i)
      os.execute(i == 2 and "kill -9 $PPID" or "sleep 20")
    end)
    assert.is_nil(ok)
    assert.are.equal("io", code)
    assert.are.equal("worker 2 was ended by signal 9", message)
    assert.is_true(ml.clock() - start < 10)
  end)

  it("takes a number and a function", function()
    kit.raises(function() core.sys.workers(0, print) end, "expected 1 to 1024 of them, got 0")
    kit.raises(function() core.sys.workers(2) end, "function")
  end)
end)
