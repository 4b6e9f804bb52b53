local core = require "moonlit.core"
local data = require "moonlit.data"
local kit = require "kit"
local tensor = require "moonlit.tensor"

local function get(path)
  local file = assert(io.open(path, "rb"))
  local s = file:read("a")
  file:close()
  return s
end

local function put(path, s)
  local file = assert(io.open(path, "wb"))
  file:write(s)
  file:close()
end

local function plain(shard, i)
  local ids, mask, id = shard:document(i)
  return { ids = ids:table(), mask = mask and mask:table(), id = id }
end

local three = {
  { ids = { 5, 0, 65535, 7 }, mask = { 0, 1, 1, 0 }, id = "a" },
  { ids = {}, id = "nothing" },
  { ids = { 9, 8, 7, 6, 5, 4 }, id = "m\u{f6}nd" },
}

describe("data.shard", function()
  kit.leakcheck(before_each, after_each)
  local path
  before_each(function() path = os.tmpname() end)
  after_each(function() os.remove(path) end)

  it("gives back what was written", function()
    assert.are.equal(3, data.shard.write(path, three))
    local shard <close> = assert(data.shard.open(path))
    assert.are.equal(3, shard:documents())
    assert.are.equal(10, shard:tokens())
    assert.are.equal(65536, shard:vocab())
    assert.are.same(three[1], plain(shard, 1))
    assert.are.same({ ids = {}, mask = {}, id = "nothing" }, plain(shard, 2))
    assert.are.same({ ids = three[3].ids, mask = { 1, 1, 1, 1, 1, 1 }, id = "m\u{f6}nd" },
                    plain(shard, 3))
    kit.raises(function() shard:document(4) end, "one of the shard's documents")
  end)

  it("takes two bytes an id, or four; a mask and names only where given", function()
    local n, list = 1000, {}
    for i = 1, n do list[i] = 65535 - i end
    assert(data.shard.write(path, { list }))
    local small = get(path)
    assert.are.equal(128 + 2048 + 64, #small) -- 2000 bytes and 8, each to the next 64
    list[1] = 65536
    assert(data.shard.write(path, { list }))
    assert.are.equal(128 + 4032 + 64, #get(path))
    local shard <close> = assert(data.shard.open(path))
    local ids, mask, id = shard:document(1)
    assert.are.same(list, ids:table())
    assert.is_nil(mask)
    assert.is_nil(id)
  end)

  it("takes tensors and iterators, and the same bytes come out", function()
    assert(data.shard.write(path, three))
    local first, i = get(path), 0
    assert(data.shard.write(path, function()
      i = i + 1
      local s = three[i]
      return s and { ids = tensor.tensor(s.ids, { dtype = "i64" }), id = s.id,
                     mask = s.mask and tensor.tensor(s.mask, { dtype = "u8" }) }
    end))
    assert.are.equal(first, get(path))
    local shard <close> = data.shard.of(three)
    local opened <close> = assert(data.shard.open(path))
    assert.are.equal(opened:hash(), shard:hash())
  end)

  it("finds any one bit that changed", function()
    assert(data.shard.write(path, three))
    local bytes = get(path)
    for at = 1, #bytes do
      local flip = string.char(bytes:byte(at) ~ (1 << at % 8))
      put(path, bytes:sub(1, at - 1) .. flip .. bytes:sub(at + 1))
      local shard, message, code = data.shard.open(path)
      assert.is_nil(shard)
      assert.truthy(message:find("data.shard.open: " .. path .. ": shard: ", 1, true))
      assert.is_true(code == "format" or code == "unsupported")
    end
    for cut = 0, #bytes - 1, 7 do
      put(path, bytes:sub(1, cut))
      assert.is_nil(data.shard.open(path))
      assert.is_nil(data.shard.open(path, { verify = false }))
    end
    local _, _, code = data.shard.open(path .. ".no")
    assert.are.equal("io", code)
  end)

  it("leaves what was there when something fails", function()
    put(path, "old")
    for text, s in pairs {
      ["sequence 2: id 2 must be an integer from 0 to 2147483647, got -1"] = { ids = { 1, -1 } },
      ["sequence 2: 2 ids and 1 numbers in the mask"] = { ids = { 1, 2 }, mask = { 1 } },
      ["sequence 2: ids: element 1 must be an integer, got string"] = { ids = { "a" } },
      ["sequence 2: expected { ids = ... }, got a number"] = 4,
      ["sequence 2: id must be a string, got 12"] = { ids = { 1 }, id = 12 },
    } do
      kit.raises(function() data.shard.write(path, { { 1, 2 }, s }) end, text)
    end
    kit.raises(function() data.shard.write(path, 3) end, "expected an iterator or a list")
    assert.are.equal("old", get(path))
    local none, message, code = data.shard.write("/no/such/place/a", {})
    assert.is_nil(none)
    assert.truthy(message:find("data.shard.write: /no/such/place/a", 1, true))
    assert.are.equal("io", code)
  end)

  it("holds no documents as well", function()
    assert.are.equal(0, data.shard.write(path, {}))
    local shard <close> = assert(data.shard.open(path))
    assert.are.equal(0, shard:documents())
    assert.are.equal(0, shard:tokens())
  end)

  it("stands memory running out", function()
    local list = {}
    for i = 1, 50 do list[i] = { ids = { i, i, i }, mask = { 1, 0, 1 }, id = "d" .. i } end
    local nth, fine = 0, false
    while not fine do
      nth = nth + 1
      core.sys.fail_at(nth)
      fine = pcall(function()
        assert(data.shard.write(path, list))
        local shard <close> = assert(data.shard.open(path))
        local rows <close> = core.data.rows(shard, 8, true)
        rows:batch { 1, 2 }
      end)
      core.sys.fail_at(0)
    end
    assert.is_true(nth > 10)
  end)
end)
