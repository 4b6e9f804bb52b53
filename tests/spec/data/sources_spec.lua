-- What stands between files and loaders: data.open, take, sequences, conversations, judge.
local ml = require "moonlit"
local core = require "moonlit.core"
local files = require "moonlit.run.files"

local place
local tok

setup(function()
  place = os.tmpname()
  os.remove(place)
  assert(core.sys.mkdir(place .. "/run/data"))
  tok = ml.text.train({ "the moon rose over the harbour" }, { vocab = 280,
                                                             special = ml.data.chat.special })
end)
teardown(function() files.remove(place) end)

local function jsonl(name, list)
  assert(ml.data.write(place .. "/" .. name, list))
  return place .. "/" .. name
end

local function texts(iterator)
  local list = {}
  for doc in iterator do list[#list + 1] = doc.text end
  return list
end

describe("data.open", function()
  it("parts a file: each 50th document is held out", function()
    local list = {}
    for i = 1, 120 do list[i] = { id = tostring(i), text = "document " .. i } end
    local path = jsonl("all.jsonl", list)
    assert.are.same({ "document 50", "document 100" }, texts(ml.data.open(path, "valid")))
    assert.are.equal(118, #texts(ml.data.open(path, "train")))
    assert.are.equal(12, #texts(ml.data.open(path, "valid", { held = 10 })))
  end)

  it("takes a directory's own parts", function()
    jsonl("run/data/train.jsonl", { { id = "1", text = "a" } })
    jsonl("run/data/valid.jsonl", { { id = "2", text = "b" } })
    assert.are.same({ "b" }, texts(ml.data.open(place .. "/run", "valid")))
  end)

  it("cuts a text at its blank lines", function()
    local file = io.open(place .. "/t.txt", "w")
    file:write("one\nstill one\n\ntwo\n\n\nthree\n")
    file:close()
    assert.are.same({ "one\nstill one", "three" },
                    texts(ml.data.open(place .. "/t.txt", "train", { held = 2 })))
  end)

  it("names a file that is not there, and a part there is not", function()
    local docs, err, code = ml.data.open(place .. "/none.jsonl", "train")
    assert.is_nil(docs)
    assert.matches("none.jsonl", err, 1, true)
    assert.are.equal("io", code)
    assert.has_error(function() ml.data.open(place, "tset") end)
  end)
end)

describe("data.take", function()
  it("takes what there is, up to n", function()
    local function three()
      local i = 0
      return function()
        i = i + 1
        return i <= 3 and i or nil
      end
    end
    assert.are.same({ 1, 2 }, ml.data.take(three(), 2))
    assert.are.same({ 1, 2, 3 }, ml.data.take(three(), 9))
    assert.has_error(function() ml.data.take({}, 2) end)
  end)
end)

describe("data.sequences", function()
  it("begins and ends every document", function()
    local mark, n = tok:id "<|endoftext|>", 0
    local docs = {}
    for i = 1, 300 do docs[i] = { id = tostring(i), text = "moon " .. i } end
    for s in ml.data.sequences(docs, tok) do
      n = n + 1
      assert.are.equal(mark, s.ids[1])
      assert.are.equal(mark, s.ids[#s.ids])
      assert.are.equal("moon " .. n, tok:decode(s.ids, { special = false }))
      assert.are.equal(tostring(n), s.id)
    end
    assert.are.equal(300, n)
  end)

  it("needs the mark", function()
    assert.has_error(function() ml.data.sequences({}, ml.text.chars { text = "ab" }) end,
                     "data.sequences: the tokenizer has no <|endoftext|>")
  end)
end)

describe("data.conversations", function()
  it("reads messages, or two fields", function()
    local messages = { { role = "user", content = "hi" }, { role = "assistant", content = "ho" } }
    local path = jsonl("chats.jsonl", { { messages = messages } })
    local c = ml.data.conversations(path, "train")()
    assert.are.same(messages, c.messages)
    path = jsonl("pairs.jsonl", { { question = "1+1?", answer = "2" } })
    c = ml.data.conversations(path, "train", { prompt = "question", reply = "answer" })()
    assert.are.same({ { role = "user", content = "1+1?" }, { role = "assistant", content = "2" } },
                    c.messages)
    local rows = ml.data.chat(tok):sequences(ml.data.conversations(path, "train",
      { prompt = "question", reply = "answer" }))
    local row = rows()
    assert.are.equal(#row.ids, #row.mask)
    assert.is_nil(rows())
  end)

  it("names the line of what is none", function()
    local path = jsonl("bad.jsonl", { { messages = { { role = "user", content = "hi" } } } })
    local ok, err = pcall(ml.data.conversations(path, "train"))
    assert.is_false(ok)
    assert.matches("bad.jsonl:1: message 1: the last one must be the assistant's", err, 1, true)
    path = jsonl("half.jsonl", { { question = "x" } })
    ok, err = pcall(ml.data.conversations(path, "train", { prompt = "question", reply = "answer" }))
    assert.is_false(ok)
    assert.matches('half.jsonl:1: expected text in the field "answer"', err, 1, true)
    assert.has_error(function() ml.data.conversations(path, "train", { prompt = "q" }) end,
                     "data.conversations: prompt and reply come together")
  end)
end)

describe("data.judge", function()
  local crawl = {
    { id = "1", text = "a", truth = { junk = false, personal = {} } },
    { id = "2", text = "a", truth = { junk = false, personal = {}, duplicate_of = "1" } },
    { id = "3", text = "x", truth = { junk = true, personal = {} } },
    { id = "4", text = "x", truth = { junk = true, personal = {} } },
    { id = "5", text = "b a@b.c", truth = { junk = false, personal = { "a@b.c" } } },
    { id = "6", text = "c", truth = { junk = false, personal = {} } },
  }

  it("counts what was found, what was lost, and what is masked", function()
    local judge = ml.data.judge()
    local i = 0
    for doc in judge:watch(function()
      i = i + 1
      return crawl[i]
    end) do
      -- the copy stays instead of the first, one piece of junk too, and 6 is lost
      if doc.id == "2" or doc.id == "4" then judge:kept(doc) end
      if doc.id == "5" then judge:kept { id = "5", text = "b <email>" } end
    end
    local m = {}
    for _, metric in ipairs(judge:metrics()) do m[metric.name] = metric.value end
    assert.are.same({ junk_recall = 0.5, junk_precision = 0.5, duplicates_recall = 1.0,
                      duplicates_precision = 0.5, personal_recall = 1.0 }, m)
  end)
end)
