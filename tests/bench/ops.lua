-- ops.lua -- what each op costs from Lua: a call on its case's small input, where the way to the
-- kernel is all there is, and on its large one, forward and backward.
package.path = "tests/spec/?.lua;" .. package.path
local harness = require "ops.harness"
local ml = require "moonlit"

ml.threads(tonumber(arg and arg[1]) or 1)

-- best of 7 rounds of about 2 ms, in ns a call
local function cost(f)
  local clock, calls, best = ml.clock, 1, math.huge
  for _ = 1, 12 do
    local start = clock()
    for _ = 1, calls do f() end
    local spent = clock() - start
    if spent > 1e-3 then best = math.min(best, spent / calls) else calls = calls * 4 end
  end
  return best * 1e9
end

local function elements(x)
  local n = 0
  for _, t in ipairs(x) do n = n + t:numel() end
  return n
end

local function row(name, case)
  local x = harness.inputs(case, (case.dtypes or { "f32" })[1])
  local line = ("%-14s %9.0f"):format(name, cost(function() case.call(table.unpack(x)) end))
  if case.big then
    local big = harness.inputs(case, (case.dtypes or { "f32" })[1], case.big)
    local forward = cost(function() case.call(table.unpack(big)) end)
    line = line .. (" %10d %9.3f"):format(elements(big), forward / elements(big))
    if case.grad ~= false then
      for i, t in ipairs(big) do
        if t:dtype() == "f32" then big[i] = t:requires_grad(true) end
      end
      local y = case.call(table.unpack(big))
      local seed = ml.ones(y:shape())
      local both = cost(function() (case.call(table.unpack(big))):backward(seed) end)
      line = line .. (" %9.3f"):format(both / elements(big))
    end
  end
  print(line)
end

print("--- ops from Lua: ns a small call; ns an element of a large one, forward, with backward")
print(("%-14s %9s %10s %9s %9s"):format("op", "call", "elements", "forward", "+backward"))
local a, b = ml.randn(16), ml.randn(16)
print(("%-14s %9.0f"):format("add of 16", cost(function() return a + b end)))
local seen = {}
for _, case in ipairs(harness.cases()) do
  if not seen[case.op] then row(case.op, case) end
  seen[case.op] = true
end
