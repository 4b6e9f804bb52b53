-- ops.lua [threads] [pattern] -- what each op costs from Lua, a row an op, on its case of the
-- harness: ns a call on about 16 elements, where the way to the kernel is all there is; on about
-- a million ns an element, GB/s of inputs, and ns an element with backward where there is one.
package.path = "tests/spec/?.lua;" .. package.path
local harness = require "ops.harness"
local ml = require "moonlit"

ml.threads(tonumber(arg and arg[1]) or 1)
local pattern = arg and arg[2] or ""

-- best round of a few, each at least a millisecond, in ns a call
local function cost(f)
  local calls, best, spent = 1, math.huge, 0
  repeat
    local start = ml.clock()
    for _ = 1, calls do f() end
    local took = ml.clock() - start
    spent = spent + took
    if took > 1e-3 then best = math.min(best, took / calls) else calls = calls * 4 end
  until spent > 0.02
  return best * 1e9
end

local function size(x)
  local n, bytes = 0, 0
  for _, t in ipairs(x) do
    n = math.max(n, t:numel())
    bytes = bytes + (t:dtype() == "f32" and 4 or t:dtype() == "bool" and 1 or 8) * t:numel()
  end
  return n, bytes
end

local function backward_cost(case, x)
  for _, t in ipairs(x) do if t:dtype() == "f32" then t:requires_grad(true) end end
  local seed = ml.ones((case.call(table.unpack(x))):shape())
  return cost(function() (case.call(table.unpack(x))):backward(seed) end)
end

local function row(case)
  assert(case.small and case.large, case.op .. ": its first case has no small and large inputs")
  local dtype = harness.dtypes(case)[1]
  local x = harness.inputs(case, dtype, case.small)
  local line = ("%-14s %8.0f"):format(case.op, cost(function() case.call(table.unpack(x)) end))
  local big = harness.inputs(case, dtype, case.large)
  local n, bytes = size(big)
  local forward = cost(function() case.call(table.unpack(big)) end)
  local rate = forward / n > 0.01 and ("%.1f"):format(bytes / forward) or "view"
  line = line .. (" %9d %9.3f %8s"):format(n, forward / n, rate)
  if case.grad ~= false then line = line .. (" %10.3f"):format(backward_cost(case, big) / n) end
  print(line)
end

print("--- ops from Lua: ns a small call; of a large one ns an element and GB/s of its inputs")
print(("%-14s %8s %9s %9s %8s %10s"):format("op", "call", "elements", "forward", "GB/s",
                                            "+backward"))
local a, b = ml.randn(16), ml.randn(16)
print(("%-14s %8.0f"):format("add of 16", cost(function() return a + b end)))
local seen = {}
for _, case in ipairs(harness.cases()) do
  if not seen[case.op] and case.op:find(pattern) then row(case) end
  seen[case.op] = true
end
