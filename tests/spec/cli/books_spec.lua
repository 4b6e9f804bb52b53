-- moonlit inspect of a run that curated.
local core = require "moonlit.core"
local ml = require "moonlit"

describe("moonlit inspect RUN", function()
  local dir

  before_each(function()
    dir = os.tmpname()
    os.remove(dir)
    assert(core.sys.mkdir(dir))
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
    assert(l:save(dir .. "/ledger.json"))
    local text = inspect "--rows 1"
    for _, part in ipairs { "3 documents came, 59 bytes; 2 stayed", "length%s+3 %->%s+2",
                            "1 too_few_words  33.3 %%, 6 bytes\n      d1: Short%.",
                            "1 changed: email 1\n      d2: " } do
      assert.is_truthy(text:find(part), text)
    end
    assert.is_nil(text:find "\27")
    assert.is_nil(inspect "--rows 0":find "d1")
  end)

  it("tells what could not be read", function()
    local file <close> = assert(io.open(dir .. "/a.jsonl", "w"))
    file:write '{"text":"one"}\n{"text":\n'
    file:flush()
    local l = ml.data.ledger()
    local docs = ml.data.read(dir .. "/a.jsonl", { wrong = "mark" })
    for _ in l:read("web", docs) do end -- luacheck: ignore 512
    l:finish()
    assert(l:save(dir .. "/ledger.json"))
    assert.is_truthy(inspect():find("1 not JSON", 1, true))
  end)

  it("refuses books that are none", function()
    local file <close> = assert(io.open(dir .. "/ledger.json", "w"))
    file:write "{}"
    file:flush()
    local text, fine = inspect()
    assert.is_falsy(fine)
    assert.is_truthy(text:find("expected the books of a curation", 1, true), text)
  end)
end)
