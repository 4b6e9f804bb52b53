local ml = require "moonlit"

local function numbers(n)
  local list = {}
  for i = 1, n do list[i] = { n = i } end
  return list
end

describe("data.deal", function()
  it("gives every item once an epoch, in an order of the seed", function()
    local data = ml.data.deal(numbers(7), { batch = 3, seed = 5 })
    local seen, orders = {}, {}
    for epoch = 1, 2 do
      orders[epoch] = {}
      for i = 1, 7 do
        local at = (epoch - 1) * 7 + i - 1
        local n = data:at(at // 3 + 1)[at % 3 + 1].n
        seen[n] = (seen[n] or 0) + 1
        orders[epoch][i] = n
      end
    end
    for n = 1, 7 do assert.equal(2, seen[n]) end
    assert.not_same(orders[1], orders[2])
    assert.not_same(data:at(1), ml.data.deal(numbers(7), { batch = 3, seed = 6 }):at(1))
  end)

  it("goes on from a state, and refuses another list", function()
    local data = ml.data.deal(numbers(10), { batch = 4 })
    data:reseed(3)
    data:next()
    local state, wanted = data:state(), data:next()
    local other = ml.data.deal(numbers(10), { batch = 4 })
    other:load_state(state)
    assert.same(wanted, other:next())
    assert.has_error(function() ml.data.deal(numbers(9), { batch = 4 }):load_state(state) end)
    local changed = numbers(10)
    changed[3].n = 30
    assert.error_matches(function() ml.data.deal(changed, { batch = 4 }):load_state(state) end,
                         "data.deal: the state is of 10 items")
  end)

  it("says what it wants", function()
    assert.error_matches(function() ml.data.deal({}, { batch = 1 }) end, "expected a list of items")
    assert.error_matches(function() ml.data.deal(numbers(2), { batch = 0 }) end, "positive integer")
  end)
end)
