-- moonlit inspect of a run that curated.
local core = require "moonlit.core"
local kit = require "kit"
local ml = require "moonlit"

describe("moonlit inspect RUN", function()
  local dir

  before_each(function()
    dir = kit.folder()
    assert(core.sys.mkdir(dir .. "/data"))
  end)
  after_each(function() require("moonlit.run.files").remove(dir) end)

  local function inspect(arguments)
    local pipe = io.popen(("lua5.4 lua/moonlit/cli/main.lua inspect %s %s 2>&1"):format(dir,
      arguments or ""))
    local text = pipe:read "a"
    return text, pipe:close()
  end

  it("tells what stayed and what went, and why", function()
    local docs, i = { "Short.", "A longer text with an address, a@b.com", "A\27[31m red one." }, 0
    local l = ml.data.ledger()
    local flow = l:read("web", function()
      i = i + 1
      return docs[i] and { id = "d" .. i, text = docs[i] }
    end)
    flow = l:filter("length", flow, ml.data.filter.length { min_words = 6 })
    for _ in l:map("pii", flow, ml.data.pii()) do end -- luacheck: ignore 512
    l:finish()
    assert(l:save(dir .. "/data/ledger.json"))
    local text = inspect "--rows 1"
    for _, part in ipairs { "3 documents came, 59 bytes; 2 stayed", "length%s+3 %->%s+2",
                            "1 too_few_words  33.3 %%, 6 bytes\n      d1: Short%.",
                            "1 changed: email 1\n      d2: " } do
      assert.is_truthy(text:find(part), text)
    end
    assert.is_nil(text:find "\27")
    assert.is_nil(inspect "--rows 0":find "d1")
  end)

  it("names the clusters of what is alike", function()
    local l, i = ml.data.ledger(), 0
    local flow = l:read("web", function()
      i = i + 1
      return i <= 6 and { id = "d" .. i, text = i <= 5 and "the same" or "another" } or nil
    end)
    for _ in l:dedup("exact", flow, ml.data.dedup.exact()) do end -- luacheck: ignore 512
    assert(l:save(dir .. "/data/ledger.json"))
    local text = inspect()
    for _, part in ipairs { "4 duplicate  66.7 %, 32 bytes", "d2: the same (of d1)",
                            "5 documents in 1 cluster\n",
                            "5, of which d1 stays: d2, d3, d4, ..." } do
      assert.is_truthy(text:find(part, 1, true), text)
    end
  end)

  it("tells what could not be read", function()
    local file <close> = assert(io.open(dir .. "/a.jsonl", "w"))
    file:write '{"text":"one"}\n{"text":\n'
    file:flush()
    local l = ml.data.ledger()
    local docs = ml.data.read(dir .. "/a.jsonl", { wrong = "mark" })
    for _ in l:read("web", docs) do end -- luacheck: ignore 512
    l:finish()
    assert(l:save(dir .. "/data/ledger.json"))
    assert.is_truthy(inspect():find("1 not JSON", 1, true))
  end)

  it("refuses books that are none", function()
    local file <close> = assert(io.open(dir .. "/data/ledger.json", "w"))
    file:write "{}"
    file:flush()
    local text, fine = inspect()
    assert.is_falsy(fine)
    assert.is_truthy(text:find("expected the books of a curation", 1, true), text)
  end)
end)
