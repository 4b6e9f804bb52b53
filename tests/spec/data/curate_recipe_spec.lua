-- recipes/curate.lua, whole: on a small world whose truth is known, and on a file.
local ml = require "moonlit"
local core = require "moonlit.core"
local json = require "moonlit.json"
local knobs = require "moonlit.run.knobs"

local function each(list)
  local i = 0
  return function()
    i = i + 1
    return list[i]
  end
end

-- a document of the world: a story of its own, junk, a copy, or one with an address in it
local function document_of(i)
  local story = ml.data.prose { bytes = 900, seed = i }:match("^(.*%.)[^.]*$")
  local id = ("crawl-%03d"):format(i)
  local doc = { id = id, source = "crawl", text = story,
                truth = { kind = "story", junk = false, personal = {} } }
  if i % 5 == 0 then
    doc.text, doc.truth.junk = ("buy now cheap pills "):rep(30), true
  elseif i % 5 == 1 and i > 5 then
    local first = document_of(i - 3)
    doc.text, doc.truth.duplicate_of = first.text .. " The end.", first.id
  elseif i % 5 == 4 then
    local address = ("anna%d@example.com"):format(i)
    doc.text, doc.truth.personal = story .. " Write to " .. address .. ".", { address }
  end
  return doc
end

local function fake_world()
  local world = {}
  function world.crawl(_, n)
    local list = {}
    for i = 1, n do list[i] = document_of(i) end
    return each(list)
  end
  function world.documents(_, part, n)
    local list = {}
    for i = 1, n do
      list[i] = { id = part .. i, source = part,
                  text = ml.data.prose { bytes = 400, seed = 1000 + i + #part * 100 } }
    end
    return each(list)
  end
  return world
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

-- runs the recipe in this process; its directory
local function run(...)
  local dir, before, world = os.tmpname() .. ".d", _G.arg, rawget(ml.data, "world")
  rawset(ml.data, "world", fake_world)
  _G.arg = { [0] = "recipes/curate.lua", "--quiet", "--out", dir, ... }
  local fine, err = pcall(dofile, "recipes/curate.lua")
  _G.arg = before
  rawset(ml.data, "world", world)
  knobs({}, {})
  assert.is_true(fine, tostring(err))
  return dir
end

local function by_name(metrics)
  local values = {}
  for _, m in ipairs(metrics) do values[m.name] = m.value end
  return values
end

describe("recipes/curate.lua", function()
  it("judges itself by the world's truth", function()
    local dir = run("documents=100", "valid=5", "fineweb=false")
    local m = by_name(assert(json.load(dir .. "/results.json")).metrics)
    assert.equal(1.0, m.junk_recall)
    assert.equal(1.0, m.junk_precision)
    assert.equal(1.0, m.duplicates_precision)
    assert.equal(1.0, m.duplicates_recall)
    assert.equal(1.0, m.personal_recall)
    assert.equal(1.0, m.good_kept)
    local n = 0
    for doc in ml.data.read(dir .. "/data/train.jsonl") do
      n = n + 1
      assert.is_nil(doc.truth)
      assert.is_nil(doc.text:find("@", 1, true))
    end
    local books = assert(json.load(dir .. "/ledger.json"))
    assert.equal(books.out.documents, n)
    assert.equal(100, books["in"].documents)
  end)

  it("gives the same bytes every time", function()
    local hashes = {}
    for i = 1, 2 do
      local dir = run("documents=60", "valid=5")
      hashes[i] = core.sys.sha256(read(dir .. "/data/train.jsonl"), read(dir .. "/ledger.json"),
                                  read(dir .. "/results.json"))
    end
    assert.equal(hashes[1], hashes[2])
  end)

  it("reads a file, and puts documents aside", function()
    local path = os.tmpname() .. ".jsonl"
    local list = {}
    for i = 1, 40 do
      local text = ml.data.prose { bytes = 800, seed = i }:match("^(.*%.)[^.]*$")
      list[i] = { id = tostring(i), text = text }
    end
    assert(ml.data.write(path, each(list)))
    local dir = run("data=" .. path, "valid=3", "fineweb=false")
    local count = { train = 0, valid = 0 }
    for part in pairs(count) do
      for _ in ml.data.read(("%s/data/%s.jsonl"):format(dir, part)) do
        count[part] = count[part] + 1
      end
    end
    assert.same({ train = 37, valid = 3 }, count)
  end)

  it("turns rules off", function()
    local dir = run("documents=20", "valid=2", "c4=false", "repetition=false", "quality=false",
                    "fineweb=false", "exact=false", "minhash=false", "decontaminate=false",
                    "pii=false")
    local books = assert(json.load(dir .. "/ledger.json"))
    assert.equal(1, #books.steps)
    assert.same(books["in"], books.out)
  end)
end)
