local ml = require "moonlit.tensor"
local core = require "moonlit.core"
local autograd = require "moonlit.autograd"
local kit = require "kit"

local function leaf(v) return ml.tensor(v, { dtype = "f64", grad = true }) end

describe("backward", function()
  kit.leakcheck(before_each, after_each)

  it("gives leaves the derivative", function()
    local x, y = leaf { 1, 2, 3 }, leaf(4);
    (x * x * y):sum():backward()
    kit.near(x:grad(), { 8, 16, 24 })
    kit.near(y:grad(), 14)
    assert.are.equal("f64", x:grad():dtype())
  end)

  it("adds up over calls until the gradient is discarded", function()
    local x = leaf { 1, 2 };
    (x * 3):sum():backward();
    (x * 4):sum():backward()
    kit.near(x:grad(), { 7, 7 })
    x:discard_grad()
    assert.is_nil(x:grad())
  end)

  it("sums the paths through a value used several times", function()
    local x = leaf { 2 }
    local y = x * x
    local z = y + y * y + y
    z:sum():backward()
    kit.near(x:grad(), { 4 * 2 + 4 * 8 }) -- d(2 x^2 + x^4)
  end)

  it("takes a gradient for results that are not one number", function()
    local x = leaf { 1, 2 }
    local y = x * 3
    kit.raises(function() y:backward() end, "is not one number")
    kit.raises(function() y:backward(ml.ones(2)) end, "must be f64, got f32")
    kit.raises(function() y:backward(ml.ones(3, { dtype = "f64" })) end, "must be (2), got (3)")
    y:backward(ml.tensor({ 1, 10 }, { dtype = "f64" }))
    kit.near(x:grad(), { 3, 30 })
  end)

  it("runs once; a second call raises", function()
    local x = leaf { 1 }
    local y = (x * x):sum()
    y:backward()
    kit.raises(function() y:backward() end, "was used by an earlier backward")
  end)

  it("raises when nothing asked for a gradient", function()
    kit.raises(function() ml.zeros(1):backward() end, "nothing behind this tensor")
  end)

  it("raises when a tensor it saved was changed since", function()
    local x, w = leaf { 1, 2 }, ml.ones(2, { dtype = "f64" })
    local y = (x * w):sum()
    w:fill_(5)
    kit.raises(function() y:backward() end, "(2), was changed in place")
  end)

  it("goes through a graph of any depth without recursion", function()
    local x = leaf { 1 }
    local y = x
    for _ = 1, 200000 do y = y + x end
    y:sum():backward()
    kit.near(x:grad(), { 200001 })
    local z = x
    for _ = 1, 200000 do z = z + x end -- dropped without backward
  end)

  it("frees an unused graph with its loss", function()
    local x = leaf { 1 }
    for _ = 1, 100 do
      local _ = (x * x):sum()
    end
    collectgarbage()
    collectgarbage()
    assert.are.equal(0, core.sys.stats().nodes)
  end)

  it("ends at detach and no_grad", function()
    local x = leaf { 3 }
    assert.is_false((x * 2):detach():requires_grad())
    assert.is_true(x:detach():shares(x))
    local y = ml.no_grad(function(v) return v * 2 end, x)
    assert.is_false(y:requires_grad())
    assert.is_true((x * 2):requires_grad())
    kit.raises(function() ml.no_grad(function() error("mine") end) end, "mine")
    assert.is_true(autograd.enabled())
  end)

  it("lets only leaves of f32 or f64 ask for a gradient", function()
    local x = leaf { 1 }
    kit.raises(function() (x * 2):requires_grad(true) end, "is a result")
    kit.raises(function() ml.tensor({ 1 }):requires_grad(true) end, "must be f32 or f64")
    assert.is_true(x:is_leaf())
    assert.is_false((x * 2):is_leaf())
  end)

  it("protects leaves from being overwritten while recording", function()
    local x = leaf { 1, 2 }
    kit.raises(function() x:fill_(0) end)
    kit.raises(function() x[1] = 0 end, "not recorded")
    ml.no_grad(function() x[1] = 5 end)
    kit.near(x, { 5, 2 })
  end)

  it("matches finite differences", function()
    local x, y = leaf { { 1, 2 }, { 3, 4 } }, leaf { 0.5, -1 }
    kit.gradcheck(function(a, b) return a * b + b * b end, { x, y })
  end)
end)

describe("autograd.fn", function()
  kit.leakcheck(before_each, after_each)

  local cube = autograd.fn {
    forward = function(ctx, x)
      ctx:save(x)
      return x * x * x
    end,
    backward = function(ctx, dy)
      local x = ctx.saved[1]
      return dy * x * x * 3
    end,
  }

  it("is an operation like any other", function()
    local x = leaf { 1, 2 };
    (cube(x) * 2):sum():backward()
    kit.near(x:grad(), { 6, 24 })
    kit.gradcheck(cube, { leaf { 0.3, -2 } })
    assert.is_false(cube(ml.ones(2)):requires_grad())
  end)

  it("lines gradients up with arguments, nil for none", function()
    local f = autograd.fn {
      forward = function(ctx, k, a, b)
        ctx.k = k
        return a * k + b
      end,
      backward = function(ctx, dy) return nil, dy * ctx.k end,
    }
    local a, b = leaf { 1 }, leaf { 2 }
    f(5, a, b):sum():backward()
    kit.near(a:grad(), { 5 })
    assert.is_nil(b:grad())
  end)

  it("raises the user's own error, unchanged", function()
    local mine = setmetatable({}, { __tostring = function() return "mine" end })
    local f = autograd.fn {
      forward = function(_, x) return x * 1 end,
      backward = function() error(mine) end,
    }
    local y = f(leaf { 1 }):sum()
    local ok, err = pcall(y.backward, y)
    assert.is_false(ok)
    assert.are.equal(mine, err)
    local g = autograd.fn { forward = function() error("early") end, backward = print }
    kit.raises(function() g(leaf { 1 }) end, "early")
  end)

  it("checks what backward returns", function()
    local function with(result)
      local f = autograd.fn { forward = function(_, x) return x * 1 end,
                              backward = function() return result end }
      return function() f(leaf { 1, 2 }):sum():backward() end
    end
    kit.raises(with(5), "gradient 1 must be a tensor or nil, got number")
    kit.raises(with(ml.zeros(3, { dtype = "f64" })), "must be (2) f64, got (3) f64")
    kit.raises(with(ml.zeros(2)), "must be (2) f64, got (2) f32")
  end)

  it("may not yield", function()
    local f = autograd.fn { forward = function(_, x) return x * 1 end,
                            backward = function() coroutine.yield() end }
    local ok, err = coroutine.resume(coroutine.create(function()
      f(leaf { 1 }):sum():backward()
    end))
    assert.is_false(ok)
    assert.is_truthy(tostring(err):find("yield", 1, true))
  end)

  it("notices that a saved tensor changed", function()
    local x = ml.tensor({ 1 }, { dtype = "f64" })
    local w = leaf { 2 }
    local f = autograd.fn {
      forward = function(ctx, a, b) ctx:save(a) return a * b end,
      backward = function(ctx, dy) return nil, dy * ctx.saved[1] end,
    }
    local y = f(x, w):sum()
    x:fill_(9)
    kit.raises(function() y:backward() end, "changed in place")
  end)

  it("refuses options it does not know", function()
    kit.raises(function() autograd.fn { forwards = print } end, 'did you mean "forward"?')
    kit.raises(function() autograd.fn { forward = print } end, "backward must be a function")
  end)
end)

describe("recompute", function()
  kit.leakcheck(before_each, after_each)

  it("gives the same value and gradients, keeping no graph of the inside", function()
    local x, w = leaf { 1, 2 }, leaf { 3, 4 }
    local function f(v)
      local y = v * w
      for _ = 1, 20 do y = y * 1.1 end
      return y
    end
    f(x):sum():backward()
    local gx, gw = x:grad():table(), w:grad():table()
    x:discard_grad()
    w:discard_grad()
    collectgarbage()
    collectgarbage()
    local y = autograd.recompute(f, x)
    collectgarbage()
    collectgarbage()
    assert.are.equal(1, core.sys.stats().nodes)
    y:sum():backward()
    kit.near(x:grad(), gx, 0)
    kit.near(w:grad(), gw, 0)
  end)

  it("repeats the random numbers of the forward, and then goes on", function()
    ml.seed(3)
    local x = leaf { 1, 1 }
    local drawn = {}
    local function f(v)
      local r = ml.rand(2, { dtype = "f64" })
      drawn[#drawn + 1] = r:bytes()
      return v * r
    end
    local y = autograd.recompute(f, x):sum()
    local after = ml.rand(1):item()
    y:backward()
    assert.are.equal(drawn[1], drawn[2])
    ml.seed(3)
    ml.rand(2)
    assert.are.equal(after, ml.rand(1):item())
    ml.seed(0)
  end)

  it("passes an error on and restores the random state", function()
    local x, calls = leaf { 1 }, 0
    local y = autograd.recompute(function(v)
      calls = calls + 1
      if calls == 2 then error("second time") end
      return v * 2
    end, x):sum()
    kit.raises(function() y:backward() end, "second time")
  end)
end)
