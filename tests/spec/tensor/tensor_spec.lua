local ml = require "moonlit.tensor"
local core = require "moonlit.core"
local kit = require "kit"

describe("a tensor", function()
  kit.leakcheck(before_each, after_each)

  it("answers questions about itself", function()
    local x = ml.zeros(2, 3)
    assert.are.equal(2, #x)
    assert.are.same({ 2, 3 }, { x:size() })
    assert.are.equal(3, x:size(-1))
    assert.are.equal(2, x:dim())
    assert.are.equal(6, x:numel())
    assert.are.same({ 3, 1 }, x:stride())
    assert.is_true(x:is_contiguous())
    assert.is_false(x[{ ml.sum, 1 }]:is_contiguous())
    assert.is_true(core.is_tensor(x))
    assert.is_false(core.is_tensor({}))
    kit.raises(function() x:size(0) end, "no dimension 0")
    kit.raises(function() x:item() end, "item: (2, 3) is not one number")
    kit.raises(function() return #ml.tensor(1) end, "no length")
  end)

  it("fills, zeroes and copies in place, broadcasting and casting", function()
    local x = ml.zeros(2, 2)
    kit.near(x:fill_(3), { { 3, 3 }, { 3, 3 } })
    kit.near(x:copy_(ml.tensor { 1, 2 }), { { 1, 2 }, { 1, 2 } })
    kit.near(x:zero_(), { { 0, 0 }, { 0, 0 } })
    kit.raises(function() x:copy_(ml.zeros(3)) end, "does not broadcast")
    kit.near(x:add_(1):mul_(2), { { 2, 2 }, { 2, 2 } })
  end)

  it("prints its facts and a corner", function()
    local text = tostring(ml.tensor { { 1.5, -2 }, { 0, 4 } })
    assert.are.equal("Tensor (2, 2) f32  min -2 mean 0.875 max 4\n" ..
                     " {{  1.5000, -2.0000 },\n  {  0.0000,  4.0000 }}", text)
    assert.is_truthy(tostring(ml.zeros(100, 100)):find("..., ", 1, true))
    assert.is_true(#tostring(ml.zeros(100, 100, 4, 4)) < 2000)
    assert.are.equal("Tensor (0, 3) f32", tostring(ml.zeros(0, 3)))
    assert.are.equal("Tensor () i64  7", tostring(ml.tensor(7)))
  end)

  it("is loud about NaN and Inf", function()
    local text = tostring(ml.tensor { 0 / 0, 1 / 0, 1, 2 })
    assert.is_truthy(text:find("*** 1 NaN ***", 1, true))
    assert.is_truthy(text:find("*** 1 Inf ***", 1, true))
    assert.is_truthy(text:find("min 1 mean 1.5 max 2", 1, true))
  end)

  it("can be freed early, twice, and by <close>; later use is a clear error", function()
    local x = ml.zeros(3)
    x:free()
    x:free()
    kit.raises(function() return x:numel() end, "freed")
    kit.raises(function() return x + 1 end, "freed")
    assert.are.equal("Tensor (freed)", tostring(x))
    local y
    do
      local z <close> = ml.zeros(3)
      y = z
    end
    kit.raises(function() y:item() end, "freed")
  end)

  it("refuses what is not a tensor, saying what came", function()
    local x = ml.zeros(3)
    kit.raises(function() return x + "1" end, "must be a tensor or a number, got string")
    kit.raises(function() return x + {} end, "got table")
    kit.raises(function() return x + io.stdout end, "got FILE*")
    kit.raises(function() return x.add(3, 4) end, "one of the arguments must be a tensor")
    kit.raises(function() return x:nothing() end, 'no method "nothing"')
    kit.raises(function() getmetatable(x).__gc() end)
    assert.are.equal("moonlit.Tensor", getmetatable(x))
    kit.raises(function() setmetatable(x, {}) end)
  end)

  it("refuses too many arguments and unknown options", function()
    local x = ml.zeros(3)
    kit.raises(function() x:add(1, 2, 3) end, "too many arguments")
    kit.raises(function() x:sum(1, { keepdmi = true }) end, 'did you mean "keepdim"?')
    kit.raises(function() x:sum(2) end, "sum: no dimension 2 in (3)")
  end)

  it("names the line of the user's code in every error", function()
    local x = ml.zeros(3)
    local line = debug.getinfo(1, "l").currentline
    local message = kit.raises(function() return x + ml.zeros(2) end)
    assert.is_truthy(message:find("tensor_spec.lua:" .. line + 1 .. ": ", 1, true))
    message = kit.raises(function() x:sum(7) end)
    assert.is_truthy(message:find("tensor_spec.lua:" .. line + 3 .. ": ", 1, true))
  end)
end)

describe("memory", function()
  kit.leakcheck(before_each, after_each)

  for _, mode in ipairs { "incremental", "generational" } do
    it("stays small in a loop of dropped tensors, " .. mode, function()
      local was = collectgarbage(mode)
      core.sys.reset_peak()
      local before = core.sys.memory().live_bytes
      for _ = 1, 3000 do ml.zeros(512, 512) end
      local peak = core.sys.memory().peak_bytes - before
      collectgarbage(was)
      assert.is_true(peak < 64 * 2^20, "peak " .. peak)
    end)
  end

  it("leaves a collector that the host stopped stopped", function()
    collectgarbage("stop")
    for _ = 1, 20 do ml.zeros(512, 512) end
    local running = collectgarbage("isrunning")
    collectgarbage("restart")
    assert.is_false(running)
  end)

  it("turns every failed allocation into an error and leaks nothing", function()
    local x = ml.randn(3, 3, { grad = true })
    local function work()
      ((x * 2 + x) * ml.tensor { 1.5, 2, 3 }):sum():backward()
      local z = ml.zeros(3, 3)
      z[ml.tensor { true, false, true }] = 1
      z[{ { 1, 2 }, 1 }] = z[{ { 2, 3 }, 2 }] * 2
      return tostring(z), z[ml.tensor { 1, 3 }]:bytes(), z:table()
    end
    work()
    x:discard_grad()
    collectgarbage()
    collectgarbage()
    local before, failures = core.sys.stats(), 0
    for n = 1, 500 do
      core.sys.fail_at(n)
      local ok, message = pcall(work)
      core.sys.fail_at(0)
      x:discard_grad()
      if ok then break end
      failures = failures + 1
      assert.are.equal("string", type(message))
    end
    collectgarbage()
    collectgarbage()
    local after = core.sys.stats()
    assert.is_true(failures > 10 and failures < 500)
    assert.are.equal(before.tensors, after.tensors)
    assert.are.equal(before.nodes, after.nodes)
    assert.are.equal(before.live_blocks, after.live_blocks)
  end)

  it("keeps to a budget", function()
    core.sys.budget(core.sys.memory().live_bytes + 2^20 // 1 | 0)
    local ok = pcall(ml.zeros, 1024, 1024)
    core.sys.budget(0)
    assert.is_false(ok)
  end)
end)
