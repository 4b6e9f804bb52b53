local ml = require "moonlit.tensor"
local kit = require "kit"

local function grid() return ml.tensor { { 1, 2, 3 }, { 4, 5, 6 }, { 7, 8, 9 } } end

describe("indexing", function()
  kit.leakcheck(before_each, after_each)

  it("selects by position, 1-based, -1 the last, 0 an error", function()
    local x = grid()
    kit.near(x[1], { 1, 2, 3 })
    kit.near(x[-1][2], 8)
    kit.raises(function() return x[0] end, "position 0 is outside dimension 1 of 3")
    kit.raises(function() return x[4] end, "position 4")
    kit.raises(function() return x[1.5] end, "must be an integer, got 1.5")
    kit.raises(function() return x[1][1][1] end, "selectors for ()")
  end)

  it("takes ranges, both ends included", function()
    local x = grid()
    kit.near(x[{ 2, 3 }], { { 4, 5, 6 }, { 7, 8, 9 } })
    kit.near(x[{ 1, -1, 2 }], { { 1, 2, 3 }, { 7, 8, 9 } })
    assert.are.equal(0, x[{ 4, 3 }]:numel())
    kit.raises(function() return x[{ 3, 1 }] end, "backwards")
    kit.raises(function() return x[{ 1, 5 }] end, "position 5")
    kit.raises(function() return x[{ 1, 2, 0 }] end, "step must be at least 1")
    kit.raises(function() return x[{ 1 }] end, "a range is")
    kit.raises(function() return x[{}] end, "a range is")
  end)

  it("takes one selector a dimension", function()
    local x = grid()
    kit.near(x[{ 2, { 1, 2 } }], { 4, 5 })
    kit.near(x[{ ml.all or ml.sum, 3 }], { 3, 6, 9 })
    kit.near(x[{ { 1, 2 }, { 2, 3 } }], { { 2, 3 }, { 5, 6 } })
    kit.raises(function() return x[{ 1, { 1, 2 }, 1 }] end, "3 selectors for (3, 3)")
  end)

  it("shares storage with what it was taken from", function()
    local x = grid()
    assert.is_true(x[2]:shares(x))
    x[2]:fill_(0)
    kit.near(x, { { 1, 2, 3 }, { 0, 0, 0 }, { 7, 8, 9 } })
  end)

  it("gathers by an index tensor and by masks", function()
    local x = grid()
    kit.near(x[ml.tensor { 3, 1 }], { { 7, 8, 9 }, { 1, 2, 3 } })
    assert.are.same({ 2, 1, 3 }, x[ml.tensor { { 3 }, { 1 } }]:shape())
    kit.near(x[ml.tensor { true, false, true }], { { 1, 2, 3 }, { 7, 8, 9 } })
    local even = ml.tensor { { false, true, false }, { true, false, true },
                             { false, true, false } }
    kit.near(x[even], { 2, 4, 6, 8 })
    kit.raises(function() return x[ml.tensor { true, false }] end, "mask (2) does not fit (3, 3)")
  end)

  it("assigns numbers and tensors through the same selectors", function()
    local x = grid()
    x[1] = 0
    x[{ { 2, 3 }, 1 }] = ml.tensor { 10, 20 }
    kit.near(x, { { 0, 0, 0 }, { 10, 5, 6 }, { 20, 8, 9 } })
    x[{ 1, -1, 2 }] = -1.0
    kit.near(x, { { -1, -1, -1 }, { 10, 5, 6 }, { -1, -1, -1 } })
    kit.raises(function() x[1] = ml.zeros(2) end, "(2) does not broadcast to (3)")
    kit.raises(function() x[1] = "no" end, "expected a number or a tensor")
    kit.raises(function() x.foo = 1 end, 'no field "foo"')
  end)

  it("assigns by masks and index tensors, views included", function()
    local x = grid()
    x[ml.tensor { -1, 1 }] = ml.tensor { { 1, 1, 1 }, { 2, 2, 2 } }
    kit.near(x, { { 2, 2, 2 }, { 4, 5, 6 }, { 1, 1, 1 } })
    x[ml.tensor { false, true, false }] = 9
    kit.near(x[2], { 9, 9, 9 })
    local column = x[{ ml.sum, 1 }]
    column[ml.tensor { true, false, true }] = ml.tensor { 5, 6 }
    kit.near(x, { { 5, 2, 2 }, { 9, 9, 9 }, { 6, 1, 1 } })
    kit.raises(function() x[ml.tensor { 4 }] = 0 end, "position 4 is outside 1..3")
    kit.raises(function() x[ml.tensor { 0 }] = 0 end, "position 0")
  end)

  it("copies correctly between overlapping views", function()
    local x = ml.arange(1, 6)
    x[{ 2, 6 }] = x[{ 1, 5 }]
    kit.near(x, { 1, 1, 2, 3, 4, 5 })
  end)

  it("says where in the user's file the mistake is", function()
    local x = grid()
    local message = kit.raises(function() return x[9] end, "position 9")
    assert.is_truthy(message:find("index_spec.lua:%d+: "))
  end)
end)
