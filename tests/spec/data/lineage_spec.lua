-- From a token back to the line of the raw file, and the hashes of the files between.
local core = require "moonlit.core"
local files = require "moonlit.run.files"
local json = require "moonlit.json"
local kit = require "kit"
local ml = require "moonlit"

local place

local function put(name, text)
  local path = place .. "/" .. name
  assert(core.sys.write(path, text))
  return path
end

-- raw lines -> documents -> a token file, each with its note
local function chain()
  local raw = put("raw.jsonl", table.concat({ json.encode { id = "a", text = "one two" },
                                              json.encode { text = "three" },
                                              json.encode { id = "c", text = "four five" } }, "\n"))
  local docs, shard = place .. "/docs.jsonl", place .. "/x.shard"
  assert(ml.data.write(docs, ml.data.read(raw, { origin = true })))
  assert(ml.data.lineage.note({ docs }, { raw }))
  local tok = ml.text.train({ "one two three" }, { vocab = 262, special = ml.data.chat.special })
  assert(ml.data.shard.write(shard, ml.data.sequences(ml.data.read(docs, { origin = true }), tok)))
  assert(ml.data.lineage.note({ shard }, { docs }))
  return raw, docs, shard, tok
end

local function states(shard)
  local list = {}
  for i, f in ipairs(ml.data.lineage.files(shard)) do
    list[i] = f.path:match "[^/]*$" .. " " .. f.state
  end
  return table.concat(list, ", ")
end

describe("data.lineage", function()
  setup(function()
    place = kit.folder()
  end)
  teardown(function() files.remove(place) end)

  it("names the source line of every token", function()
    local raw, _, path, tok = chain()
    local shard = assert(ml.data.shard.open(path))
    local read = {} -- the texts, token by token, under their lines
    for token = 0, shard:tokens() - 1 do
      local t = assert(ml.data.lineage.trace(path, token))
      local id = t.ids:table()[t.place]
      if not tok:is_special(id) then
        read[t.origin] = (read[t.origin] or "") .. tok:decode { id }
      end
    end
    assert.same({ [raw .. ":1"] = "one two", [raw .. ":2"] = "three", [raw .. ":3"] = "four five" },
                read)
    assert.error_matches(function() ml.data.lineage.trace(path, shard:tokens()) end,
                         "has tokens 0 to %d+, got")
  end)

  it("says which files are still the same", function()
    local raw, docs, path = chain()
    assert.equal("x.shard same, docs.jsonl same, raw.jsonl same", states(path))
    put("raw.jsonl", "{}")
    assert.equal("x.shard same, docs.jsonl same, raw.jsonl changed", states(path))
    os.remove(raw)
    os.remove(docs .. ".lineage.json")
    assert.equal("x.shard same, docs.jsonl same", states(path))
    os.remove(docs)
    assert.equal("x.shard same, docs.jsonl missing", states(path))
  end)

  it("stands notes that are damaged or run in a circle", function()
    local raw, docs, path = chain()
    assert(ml.data.lineage.note({ raw }, { path }))
    assert.equal("x.shard same, docs.jsonl same, raw.jsonl same", states(path))
    for _, text in ipairs { "", "[]", "{", '{"path":"x","sha256":"y","made_of":[3]}' } do
      put("docs.jsonl.lineage.json", text)
      local list, err, code = ml.data.lineage.files(path)
      assert.is_nil(list)
      assert.truthy(err:find("docs.jsonl.lineage.json", 1, true))
      assert.equal("format", code)
    end
    local none, err = ml.data.lineage.files(docs .. "x")
    assert.is_nil(none)
    assert.truthy(err:find("there is no", 1, true))
    assert.is_nil((ml.data.lineage.note({ place .. "/none" }, {})))
  end)

  it("is what moonlit inspect --token shows", function()
    local out = place .. "/out"
    local raw = { }
    for i = 1, 60 do
      raw[i] = json.encode { id = "doc" .. i, text = ml.data.prose { bytes = 300, seed = i } }
    end
    local path = put("many.jsonl", table.concat(raw, "\n"))
    local pipe = io.popen(("lua5.4 recipes/pretrain.lua data=%s vocab=300 steps=1 valid=1 batch=1 "
      .. "model.layers=1 model.dim=16 model.heads=1 model.hidden=16 model.context=16 --quiet "
      .. "--out %s 2>&1 && lua5.4 lua/moonlit/cli/main.lua inspect %s --token 500 2>&1"):format(
        path, out, out))
    local said = pipe:read "a"
    assert.is_true(pipe:close(), said)
    local line = tonumber(said:match "token 500 is number %d+ of document %d+, %S+:(%d+)\n")
    assert.truthy(said:find(("many.jsonl:%d: %s"):format(line, raw[line]:sub(1, 40)), 1, true))
    assert.truthy(said:find("same .*data/train.shard\n.*same .*many.jsonl\n"))
  end)
end)
