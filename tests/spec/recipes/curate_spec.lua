-- recipes/curate.lua, whole: on the built-in world, whose truth is known, and on a file.
local core = require "moonlit.core"
local files = require "moonlit.run.files"
local json = require "moonlit.json"
local kit = require "kit"
local ml = require "moonlit"

local place

local function run(name, arguments)
  local dir = place .. "/" .. name
  local command = "lua5.4 recipes/curate.lua --quiet --out %s %s 2>&1"
  local pipe = io.popen(command:format(dir, arguments))
  local said = pipe:read("a")
  assert.is_true(pipe:close(), said)
  return dir
end

local function by_name(dir)
  local values = {}
  for _, m in ipairs(assert(json.load(dir .. "/results.json")).metrics) do
    values[m.name] = m.value
  end
  return values
end

describe("recipes/curate.lua", function()
  setup(function()
    place = kit.folder()
  end)
  teardown(function() files.remove(place) end)

  it("finds the world's junk, copies and personal data, and keeps the rest", function()
    local dir = run("world", "documents=1500 valid=20")
    local m = by_name(dir)
    for _, name in ipairs { "junk_recall", "junk_precision", "duplicates_recall",
                            "duplicates_precision" } do
      assert.is_true(m[name] >= 0.95, name .. " " .. m[name])
    end
    assert.is_true(m.personal_recall >= 0.99)
    local n = 0
    for doc in ml.data.read(dir .. "/data/train.jsonl") do
      n = n + 1
      assert.is_nil(doc.truth)
      assert.is_nil(doc.text:find("@example", 1, true))
    end
    local books = assert(json.load(dir .. "/data/ledger.json"))
    assert.are.equal(books.out.documents, n)
    assert.are.equal(1500, books["in"].documents)
  end)

  it("gives the same bytes every time", function()
    local function hash(dir)
      local all = {}
      for _, name in ipairs { "data/train.jsonl", "data/valid.jsonl", "data/ledger.json" } do
        all[#all + 1] = files.read(dir .. "/" .. name)
      end
      return core.sys.sha256(table.concat(all, "\0"))
    end
    assert.are.equal(hash(run("a", "documents=200")), hash(run("b", "documents=200")))
  end)

  it("reads a file, and puts documents aside", function()
    local list = {}
    for i = 1, 40 do
      local text = ml.data.prose { bytes = 800, seed = i }:match("^(.*%.)[^.]*$")
      list[i] = { id = tostring(i), text = text }
    end
    assert(ml.data.write(place .. "/in.jsonl", list))
    local dir = run("file", ("data=%s/in.jsonl valid=4 min_stop_words=0 min_alpha_words=0.5")
      :format(place))
    local count = { train = 0, valid = 0 }
    for part in pairs(count) do
      for _ in ml.data.read(("%s/data/%s.jsonl"):format(dir, part)) do
        count[part] = count[part] + 1
      end
    end
    assert.is_true(count.valid >= 3 and count.valid <= 5, count.valid)
    assert.is_true(count.train > 20)
  end)

  it("gives the same bytes with more workers, and from a directory", function()
    local list = {}
    for doc in ml.data.world():crawl(300) do
      list[#list + 1] = { content = doc.text:gsub("%. ", ".\n"), id = "d" .. #list }
    end
    assert(core.sys.mkdir(place .. "/in"))
    assert(ml.data.write(place .. "/in/a.jsonl", table.move(list, 1, 200, 1, {})))
    assert(ml.data.write(place .. "/in/b.jsonl.gz", table.move(list, 201, 300, 1, {})))
    local knobs = ("data=%s/in text=content min_stop_words=0 min_words=5 min_alpha_words=0.3 " ..
                   "grams=false valid=9 workers=%%d"):format(place)
    local dirs = { run("one", knobs:format(1)), run("three", knobs:format(3)) }
    assert.is_true(#files.read(dirs[1] .. "/data/train.jsonl") > 1000)
    for _, name in ipairs { "data/train.jsonl", "data/valid.jsonl", "data/ledger.json" } do
      assert.are.equal(files.read(dirs[1] .. "/" .. name), files.read(dirs[2] .. "/" .. name))
    end
  end)

  it("says that the disk is full, leaves nothing half done, and goes on when it is not", function()
    local list = {}
    for doc in ml.data.world():crawl(200) do list[#list + 1] = { id = doc.id, text = doc.text } end
    assert(ml.data.write(place .. "/big.jsonl", list))
    local knobs = ("data=%s/big.jsonl min_stop_words=0 min_words=5 min_alpha_words=0.3 grams=false "
                   .. "min_sentences=1 workers=2"):format(place)
    local dir, whole = place .. "/full", run("whole", knobs)
    -- no file may be larger than 8 kB, which a write answers like a disk without room
    local command = "trap '' XFSZ; ulimit -f 16; lua5.4 recipes/curate.lua --quiet --out %s %s 2>&1"
    local pipe = io.popen(command:format(dir, knobs))
    local said = pipe:read "a"
    assert.is_falsy(pipe:close())
    assert.matches("File too large", said, 1, true)
    assert.is_false(files.exists(dir .. "/data/train.jsonl"))
    run("full", knobs .. " --resume")
    for _, name in ipairs { "data/train.jsonl", "data/valid.jsonl", "data/ledger.json" } do
      assert.are.equal(files.read(whole .. "/" .. name), files.read(dir .. "/" .. name))
    end
  end)

  it("keeps the same documents in whatever order they come", function()
    local list, sets = {}, {}
    for doc in ml.data.world():crawl(300) do list[#list + 1] = { id = doc.id, text = doc.text } end
    for i = 1, 2 do
      assert(ml.data.write(place .. "/order.jsonl", list))
      local texts, dir = {}, run("order" .. i, ("data=%s/order.jsonl min_stop_words=0 min_words=5 "
        .. "min_alpha_words=0.3 grams=false min_sentences=1 valid=9"):format(place))
      for doc in ml.data.read { dir .. "/data/train.jsonl", dir .. "/data/valid.jsonl" } do
        texts[#texts + 1] = doc.text
      end
      table.sort(texts)
      sets[i] = texts
      for j = 1, #list // 2 do list[j], list[#list + 1 - j] = list[#list + 1 - j], list[j] end
    end
    assert.is_true(#sets[1] > 50)
    assert.are.same(sets[1], sets[2])
  end)

  it("asks a classifier that recipes/quality.lua made, and other filters by name", function()
    local function salad(i)
      local words = {}
      local text = ml.data.prose { bytes = 900, seed = i }
      for word in text:gmatch "%S+" do table.insert(words, 1, word) end
      return table.concat(words, " ") .. ". So. It. Is. Said."
    end
    local good, bad, both = {}, {}, {}
    for i = 1, 60 do
      good[i] = { text = ml.data.prose { bytes = 900, seed = i } }
      bad[i] = { text = salad(i) }
      both[2 * i - 1] = { id = "good", text = ml.data.prose { bytes = 900, seed = 100 + i } }
      both[2 * i] = { id = "bad", text = salad(100 + i) }
    end
    for name, list in pairs { good = good, bad = bad, both = both } do
      assert(ml.data.write(("%s/%s.jsonl"):format(place, name), list))
    end
    local pipe = io.popen(("lua5.4 recipes/quality.lua good=%s/good.jsonl bad=%s/bad.jsonl --quiet "
      .. "--out %s/quality 2>&1"):format(place, place, place))
    local said = pipe:read "a"
    assert.is_true(pipe:close(), said)
    assert.is_true(tonumber(said:match "AUC ([%d.]+)") > 0.99, said)
    local dir = run("asked", ("data=%s/both.jsonl quality=%s/quality language=en "
      .. "symbols=yes valid=2 min_stop_words=0 "
      .. "min_alpha_words=0 min_sentences=0 workers=2"):format(place, place))
    local steps = {}
    for _, step in ipairs(assert(json.load(dir .. "/data/ledger.json")).steps) do
      steps[step.name] = step
    end
    assert.is_true(steps.quality.dropped.documents > 20)
    for _, name in ipairs { "language", "symbols" } do
      assert.is_true(steps[name].out.documents > 40)
    end
    for doc in ml.data.read(dir .. "/data/train.jsonl") do assert.equal("good", doc.id) end
  end)
end)
