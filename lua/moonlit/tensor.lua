--- Tensors, as Lua sees them: everything flat in the core (creation and ops), and what is nicer
--- said in Lua. Other modules of the package require this one, never "moonlit".
local core = require "moonlit.core"
local options = require "moonlit.options"

local tensor = {}
for name, value in pairs(core) do
  if type(value) == "function" then tensor[name] = value end
end

-- a function of the module and a method
local function both(name, f)
  tensor[name] = f
  core.methods[name] = f
end

--- Starts the random numbers of this Lua state: randn, rand, randint, dropout.
function tensor.seed(n) core.sys.seed(n) end

--- f(...) without recording gradients.
tensor.no_grad = core.autograd.no_grad

--- x:max() -> the largest element; x:max(dim [, { keepdim }]) -> largest along dim, positions.
both("max", function(x, dim, opt)
  if dim == nil then return core.amax(x) end
  return core.max_along(x, dim, opt)
end)

--- x:min() and x:min(dim [, { keepdim }]), like max.
both("min", function(x, dim, opt)
  if dim == nil then return core.amin(x) end
  return core.min_along(x, dim, opt)
end)

--- x:split(size [, dim]) -> an array of views, size positions each; the last may be shorter.
--- size may be an array of sizes that add up to the dimension.
both("split", function(x, size, dim)
  dim = dim or 1
  local n, parts, at = x:size(dim), {}, 1
  local function take(len)
    parts[#parts + 1] = core.narrow(x, dim, at, len)
    at = at + len
  end
  if type(size) == "table" then
    local sum = 0
    for _, len in ipairs(size) do sum = sum + len end
    if sum ~= n then
      error(("split: sizes add up to %s, the dimension is %d"):format(sum, n), 2)
    end
    for _, len in ipairs(size) do take(len) end
    return parts
  end
  if math.type(size) ~= "integer" or size < 1 then
    error(("split: size must be a positive integer, got %s"):format(tostring(size)), 2)
  end
  while at <= n do take(math.min(size, n - at + 1)) end
  return parts
end)

--- x:dropout(p): zeroes elements with probability p and scales the rest by 1 / (1 - p). The mask
--- comes from this state's random numbers, unless { seed, step, site } name another.
both("dropout", function(x, p, opt)
  if opt == nil then
    local seed, step, at = core.sys.draw(1)
    opt = { seed = seed, step = step, site = (at + 1) & 0xffffffff }
  end
  return core.dropout(x, p, opt)
end)

--- x:allclose(y [, { rtol = 1e-5, atol = 1e-8 }]) -> boolean: |x - y| <= atol + rtol |y|
--- everywhere. NaN is close to nothing.
both("allclose", function(x, y, opt)
  local o = options(opt, { rtol = 1e-5, atol = 1e-8 }, "allclose")
  return core.autograd.no_grad(function()
    local near = (x - y):abs():le(core.abs(y) * o.rtol + o.atol)
    return near:all():item()
  end)
end)

return tensor
