local data = require "moonlit.data"
local kit = require "kit"
local tensor = require "moonlit.tensor"

local function counting(n) return tensor.arange(0, n - 1) end

describe("data.windows", function()
  kit.leakcheck(before_each, after_each)

  it("gives rows of consecutive ids, length + 1 each", function()
    local w = data.windows(counting(100), { batch = 3, length = 8 })
    local batch = w:next()
    assert.are.same({ 3, 9 }, batch.ids:shape())
    for _, row in ipairs(batch.ids:table()) do
      for i = 2, 9 do assert.are.equal(row[i - 1] + 1, row[i]) end
    end
    assert.are.equal(24, w:tokens())
  end)

  it("is a function of seed and step", function()
    local a = data.windows(counting(1000), { batch = 4, length = 8, seed = 7 })
    local b = data.windows(counting(1000), { batch = 4, length = 8, seed = 7 })
    local c = data.windows(counting(1000), { batch = 4, length = 8, seed = 8 })
    local first = a:next().ids:table()
    local second = a:next().ids:table()
    assert.are_not.same(first, second)
    assert.are.same(second, b:at(2).ids:table())
    assert.are.same(first, b:next().ids:table())
    assert.are_not.same(first, c:next().ids:table())
  end)

  it("goes on from its state", function()
    local a = data.windows(counting(1000), { batch = 2, length = 8, seed = 7 })
    a:next()
    local b = data.windows(counting(1000), { batch = 2, length = 8 })
    b:load_state(a:state())
    assert.are.same(a:next().ids:table(), b:next().ids:table())
    local other = data.windows(counting(999), { batch = 2, length = 8 })
    kit.raises(function() other:load_state(a:state()) end, "the state is of 1000 ids")
  end)

  it("takes the run's seed unless it has its own", function()
    local own = data.windows(counting(1000), { batch = 2, length = 8, seed = 7 })
    local any = data.windows(counting(1000), { batch = 2, length = 8 })
    own:reseed(3)
    any:reseed(7)
    assert.are.same(own:next().ids:table(), any:next().ids:table())
  end)

  it("reaches both ends of the data", function()
    local w = data.windows(counting(12), { batch = 200, length = 8 })
    local least, most = math.huge, 0
    for _, row in ipairs(w:next().ids:table()) do
      least, most = math.min(least, row[1]), math.max(most, row[9])
    end
    assert.are.equal(0, least)
    assert.are.equal(11, most)
  end)

  it("comes by every window once an epoch", function()
    for _, size in ipairs { 9, 10, 17, 100, 1000, 1003 } do
      local w = data.windows(counting(size), { batch = 1, length = 8, seed = 3, epochs = true })
      local count, orders = math.max(1, size // 8 - 1), {}
      for epoch = 1, 3 do
        local seen, order = {}, {}
        for i = 1, count do
          local row = w:next().ids:table()[1]
          assert.is_nil(seen[row[1]])
          seen[row[1]], order[i] = true, row[1]
          assert.are.equal(row[1] + 8, row[9])
        end
        table.sort(order)
        for i = 2, count do assert.are.equal(order[i - 1] + 8, order[i]) end
        orders[epoch] = order[1]
      end
      if size > 900 then assert.is_true(orders[1] ~= orders[2] or orders[2] ~= orders[3]) end
    end
  end)

  it("refuses what cannot be cut", function()
    kit.raises(function() data.windows(counting(8), { batch = 1, length = 8 }) end,
               "8 ids are too few for rows of 9")
    kit.raises(function() data.windows(counting(9), { batch = 0, length = 8 }) end,
               "batch must be a positive integer, got 0")
    kit.raises(function() data.windows("text", { batch = 1, length = 8 }) end, "expected ids")
    kit.raises(function() data.windows(counting(9), { batch = 1, lenght = 8 }) end,
               'did you mean "length"?')
  end)
end)

describe("data.blocks", function()
  it("makes every id a target once", function()
    local seen, batches = {}, 0
    for batch in data.blocks(counting(100), { batch = 3, length = 8 }) do
      batches = batches + 1
      for _, row in ipairs(batch.ids:table()) do
        for i = 2, #row do
          assert.is_nil(seen[row[i]])
          seen[row[i]] = true
        end
      end
    end
    assert.are.equal(4, batches)
    for id = 1, 96 do assert.is_true(seen[id]) end
    assert.is_nil(seen[97])
  end)

  it("stops after so many tokens", function()
    local n = 0
    for batch in data.blocks(counting(100), { batch = 2, length = 8, tokens = 25 }) do
      n = n + batch.ids:size(1) * 8
    end
    assert.are.equal(24, n)
  end)
end)

describe("data.split", function()
  it("cuts ids in two, at the floor", function()
    local a, b = data.split(counting(11), 0.9)
    assert.are.same({ 0, 1, 2, 3, 4, 5, 6, 7, 8 }, a:table())
    assert.are.same({ 9, 10 }, b:table())
    kit.raises(function() data.split(counting(11), 1.5) end, "between 0 and 1")
    kit.raises(function() data.split(counting(1), 0.5) end, "too few")
  end)
end)

describe("data.prose", function()
  it("is a function of bytes and seed", function()
    local s = data.prose { bytes = 5000, seed = 3 }
    assert.are.equal(5000, #s)
    assert.are.equal(s, data.prose { bytes = 5000, seed = 3 })
    assert.are_not.equal(s, data.prose { bytes = 5000, seed = 4 })
    assert.are.equal(s:sub(1, 4000), data.prose { bytes = 9000, seed = 3 }:sub(1, 4000))
    assert.is_nil(s:find("[{}]"))
  end)

  it("does not repeat itself", function()
    local seen, n, again = {}, 0, 0
    for p in data.prose { bytes = 300000 }:gmatch("[^\n]+") do
      n, again = n + 1, again + (seen[p] and 1 or 0)
      seen[p] = true
    end
    assert.is_true(n > 500 and again == 0)
  end)
end)
