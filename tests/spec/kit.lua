--- What the specs share: comparing tensors, expecting errors, gradient checks, leak checks.
local core = require "moonlit.core"

local kit = {}

local function settle()
  collectgarbage()
  collectgarbage()
  return core.sys.stats()
end

--- In a describe: kit.leakcheck(before_each, after_each). A test that leaves more tensors or
--- graph nodes alive than it found fails.
function kit.leakcheck(before_each, after_each)
  local before
  before_each(function() before = settle() end)
  after_each(function()
    local after = settle()
    if after.tensors ~= before.tensors or after.nodes ~= before.nodes then
      error(("leak: %d tensors and %d nodes before, %d and %d after"):format(
        before.tensors, before.nodes, after.tensors, after.nodes), 0)
    end
  end)
end

--- A new, empty folder.
--- @return string path
function kit.folder()
  local path = os.tmpname()
  os.remove(path)
  assert(core.sys.mkdir(path))
  return path
end

local function flat(v, out)
  if core.is_tensor(v) then v = v:table() end
  if type(v) ~= "table" then
    out[#out + 1] = v
    return out
  end
  for _, x in ipairs(v) do flat(x, out) end
  return out
end

local function close(a, b, tol)
  if type(a) ~= "number" or type(b) ~= "number" then return a == b end
  if a ~= a or b ~= b then return a ~= a and b ~= b end -- NaN is near NaN
  if a == b then return true end
  return math.abs(a - b) <= tol * math.max(1, math.abs(a), math.abs(b))
end

--- Every element of x within tol (default 1e-6; absolute below 1, relative above) of want's.
function kit.near(x, want, tol)
  local a, b = flat(x, {}), flat(want, {})
  if #a ~= #b then
    error(("near: %d elements, expected %d\n%s"):format(#a, #b, tostring(x)), 2)
  end
  for i = 1, #a do
    if not close(a[i], b[i], tol or 1e-6) then
      error(("near: element %d is %s, expected %s\n%s"):format(
        i, tostring(a[i]), tostring(b[i]), tostring(x)), 2)
    end
  end
end

--- f must raise a message that contains text; returns the message.
function kit.raises(f, text)
  local ok, message = pcall(f)
  if ok then error("raises: no error came", 2) end
  message = tostring(message)
  if text and not message:find(text, 1, true) then
    error(("raises: expected %q, got %q"):format(text, message), 2)
  end
  return message
end

-- sum of y times fixed uneven weights, as a number or (given backward) a tensor's gradient
local function weights(y)
  local w, n = {}, y:numel()
  for i = 1, n do w[i] = math.sin(i * 1.7) + 0.3 end
  return w
end

local function value(f, inputs)
  local y = f(table.unpack(inputs))
  local sum, w, v = 0, weights(y), flat(y, {})
  for i = 1, #v do sum = sum + w[i] * v[i] end
  return sum
end

local function weight_tensor(y)
  local w = core.tensor(weights(y), { dtype = "f64" })
  local dy = core.zeros(y:shape(), { dtype = "f64" })
  core.autograd.no_grad(function() dy[core.ones(y:shape(), { dtype = "bool" })] = w end)
  return dy
end

-- x's elements one after the other, each moved by +- eps
local function difference(f, inputs, k, eps)
  local x, out = inputs[k], {}
  local data, size = flat(x, {}), x:shape()
  local function at(i, v)
    local moved = table.move(data, 1, #data, 1, {})
    moved[i] = v
    local t = core.zeros(size, { dtype = "f64" })
    if #size == 0 then t:fill_(v)
    else t[core.ones(size, { dtype = "bool" })] = core.tensor(moved, { dtype = "f64" }) end
    local args = table.move(inputs, 1, #inputs, 1, {})
    args[k] = t
    return core.autograd.no_grad(value, f, args)
  end
  for i = 1, #data do
    out[i] = (at(i, data[i] + eps) - at(i, data[i] - eps)) / (2 * eps)
  end
  return out
end

--- Central differences in f64 against backward, for every input that requires a gradient.
--- f(inputs...) -> tensor of any shape. opts: eps (1e-6), tol (1e-6).
function kit.gradcheck(f, inputs, opts)
  opts = opts or {}
  for _, x in ipairs(inputs) do
    if core.is_tensor(x) and x:requires_grad() then x:discard_grad() end
  end
  local y = f(table.unpack(inputs))
  y:backward(weight_tensor(y))
  for k, x in ipairs(inputs) do
    if core.is_tensor(x) and x:requires_grad() then
      local want = difference(f, inputs, k, opts.eps or 1e-6)
      local got = x:grad()
      if not got then error("gradcheck: no gradient for input " .. k, 2) end
      local ok, err = pcall(kit.near, got, want, opts.tol or 1e-6)
      if not ok then error(("gradcheck: input %d: %s"):format(k, err), 2) end
      x:discard_grad()
    end
  end
end

return kit
