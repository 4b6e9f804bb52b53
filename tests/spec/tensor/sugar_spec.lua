local ml = require "moonlit.tensor"
local kit = require "kit"

describe("what is said in Lua", function()
  kit.leakcheck(before_each, after_each)

  it("max and min: one number, or values and positions along a dimension", function()
    local x = ml.tensor { { 1.5, 9 }, { 7, 3 } }
    assert.are.equal(9, x:max():item())
    assert.are.equal(1.5, ml.min(x):item())
    local v, at = x:max(2)
    kit.near(v, { 9, 7 })
    assert.are.same({ 2, 1 }, at:table())
  end)

  it("split gives views, the last perhaps shorter", function()
    local x = ml.arange(1, 7)
    local parts = x:split(3)
    assert.are.equal(3, #parts)
    assert.are.same({ 7 }, parts[3]:table())
    assert.is_true(parts[1]:shares(x))
    assert.are.same({ 3, 4, 5, 6, 7 }, x:split({ 2, 5 })[2]:table())
    kit.raises(function() x:split({ 2, 2 }) end, "add up to 4, the dimension is 7")
    kit.raises(function() x:split(0) end, "positive integer")
  end)

  it("dropout draws a new mask each time, the same from the same seed", function()
    local x = ml.ones(200)
    ml.seed(1)
    local a, b = x:dropout(0.5), x:dropout(0.5)
    ml.seed(1)
    assert.are.equal(a:bytes(), x:dropout(0.5):bytes())
    assert.are_not.equal(a:bytes(), b:bytes())
    for _, v in ipairs(a:table()) do assert.is_true(v == 0 or v == 2) end
    ml.seed(0)
  end)

  it("allclose compares with a tolerance, and NaN is close to nothing", function()
    local x = ml.tensor { 1.0, 2.5 }
    assert.is_true(x:allclose(x + 1e-7))
    assert.is_false(x:allclose(x + 1))
    assert.is_true(x:allclose(x + 1, { atol = 2 }))
    local nan = ml.tensor { 0 / 0 }
    assert.is_false(nan:allclose(nan))
  end)

  it("records gradients through every kind of selector", function()
    local x = ml.randn(4, 3, { dtype = "f64", grad = true })
    local rows, mask = ml.tensor { 4, 1, 4 }, ml.tensor { true, false, true, true }
    kit.gradcheck(function(t) return t[2] end, { x })
    kit.gradcheck(function(t) return t[{ 2, 3 }] end, { x })
    kit.gradcheck(function(t) return t[{ { 1, 4, 2 }, -1 }] end, { x })
    kit.gradcheck(function(t) return t[rows] end, { x })
    kit.gradcheck(function(t) return t[mask] end, { x })
    kit.gradcheck(function(t) return t[x:gt(0)] end, { x })
    assert.are.equal(0, x[{ 5, 4 }]:numel())
  end)
end)
