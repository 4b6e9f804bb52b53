--- What every op must be, checked on a case:
---   op         its name in ops.def
---   x          inputs: a shape with from, to (numbers between), ids = n (0..n-1), positions = n
---              (1..n), bool, or apart (all different); dtype fixes a dtype
---   call       call(tensors...) -> results
---   ref        ref(nds...) -> results, in plain Lua (nd.lua)
---   big        inputs of sizes that matter to a kernel: ISAs and the benchmark use these
---   only       "float" (default), "any" also on i64, "bool" for results that have no gradient
---   grad       false where there is no gradient; smooth functions are differentiated numerically
---   in_place   x:op_(...) must be the same
---   tol        for f32 against the reference (f64: 1e-6 of that)
---   wrong      { { function, "part of the message" }, ... }
local core = require "moonlit.core"
local kit = require "kit"
local ml = require "moonlit"
local nd = require "ops.nd"

local harness = {}

-- ---- inputs ----

local function numbers(seed)
  local state = seed * 2654435761 % 4294967296
  return function()
    state = (state * 1664525 + 1013904223) % 4294967296
    return (state >> 8) / 16777216
  end
end

local function make(spec, seed)
  local draw, e = numbers(seed), 0
  local lo, hi = spec.from or -2, spec.to or 2
  local n = nd.count(spec)
  local shape = table.move(spec, 1, #spec, 1, {})
  return nd.new(shape, function()
    e = e + 1
    local u = draw()
    if spec.bool then return u < 0.5 end
    if spec.ids then return math.floor(u * spec.ids) end
    if spec.positions then return 1 + math.floor(u * spec.positions) end
    if spec.apart then return ((e * 7919) % n - n / 2) * 4 / n + u * 0.1 / n end
    return lo + (hi - lo) * u
  end)
end

local function is_number(spec) return not (spec.bool or spec.ids or spec.positions) end

local function dtype_of(spec, dtype)
  if spec.bool then return "bool" end
  return is_number(spec) and dtype or "i64"
end

-- plain -> tensor, and back (what the tensor holds, rounding included)
local function tensor(a, spec, dtype)
  local list = {}
  for i = 1, #a do list[i] = dtype == "i64" and is_number(spec) and math.floor(a[i] * 4) or a[i] end
  if #list == 0 then return ml.zeros(a.shape, { dtype = dtype_of(spec, dtype) }) end
  return ml.tensor(list, { dtype = dtype_of(spec, dtype) }):reshape(a.shape)
end

local function plain(t)
  local flat, e = t:flatten():table(), 0
  return nd.new(t:shape(), function() e = e + 1 return flat[e] end)
end

local function inputs(case, dtype, specs)
  local list = {}
  for i, spec in ipairs(specs or case.x) do
    list[i] = tensor(make(spec, i + #case.op), spec, dtype)
  end
  return list
end

-- ---- the same elements, lying differently ----

local layouts = {}
-- every second element along the last dimension, the rest garbage
function layouts.stepped(t)
  if t:dim() == 0 then return t end
  return ml.stack({ t, t:to("f64"):add(77):to(t:dtype()) }, t:dim() + 1):select(t:dim() + 1, 1)
end
-- first and last dimension have changed places in memory
function layouts.turned(t)
  if t:dim() < 2 then return t end
  return t:transpose(1, t:dim()):contiguous():transpose(1, t:dim())
end
-- in the middle of something larger
function layouts.inside(t)
  if t:dim() == 0 then return t end
  return ml.cat({ t, t, t }, 1):narrow(1, t:size(1) + 1, t:size(1))
end

-- ---- checks ----

local function flat(t) return t:flatten():table() end

local function same_bits(a, b, what)
  if #a ~= #b then error(what .. ": another number of results", 0) end
  for i = 1, #a do
    if a[i]:contiguous():bytes() ~= b[i]:contiguous():bytes() then
      error(("%s: result %d has other bits\n%s\n%s"):format(what, i, tostring(a[i]),
                                                             tostring(b[i])), 0)
    end
  end
end

local function same_shape(t, a, what)
  local got, want = table.concat(t:shape(), ","), table.concat(a.shape, ",")
  if got ~= want then error(("%s: shape (%s), expected (%s)"):format(what, got, want), 0) end
end

function harness.matches_reference(case, dtype, specs)
  local x = inputs(case, dtype, specs)
  local plains = {}
  for i, t in ipairs(x) do plains[i] = plain(t) end
  local got, want = { case.call(table.unpack(x)) }, { case.ref(table.unpack(plains)) }
  assert(#got == #want and #got > 0, case.op .. ": another number of results")
  local tol = (case.tol or 2e-6) * (dtype == "f64" and 1e-6 or 1)
  for i = 1, #got do
    same_shape(got[i], want[i], case.op)
    kit.near(flat(got[i]), table.move(want[i], 1, #want[i], 1, {}), tol)
  end
  for i, t in ipairs(x) do -- inputs are left alone
    kit.near(flat(t), table.move(plains[i], 1, #plains[i], 1, {}), 0)
  end
end

function harness.any_layout(case, dtype)
  local x = inputs(case, dtype)
  local want = { case.call(table.unpack(x)) }
  for name, layout in pairs(layouts) do
    local y = {}
    for i, t in ipairs(x) do y[i] = case.x[i].whole and t or layout(t) end
    same_bits({ case.call(table.unpack(y)) }, want, case.op .. ", " .. name)
  end
end

function harness.in_place(case, dtype)
  local x, y = inputs(case, dtype), inputs(case, dtype)
  local want = case.call(table.unpack(x))
  local method = core.methods[case.op .. "_"]
  local got = case.call_with(method, table.unpack(y))
  assert(rawequal(got, y[1]), case.op .. "_ does not return its tensor")
  same_bits({ y[1] }, { want:to(y[1]:dtype()) }, case.op .. "_")
end

-- sum(result * weights), the weights fixed
local function score(case, x)
  local total
  for i, y in ipairs { case.call(table.unpack(x)) } do
    if y:dtype() == "f64" then
      local w = tensor(make({ nd.count(y:shape()) }, 100 + i), {}, "f64"):reshape(y:shape())
      local s = (y * w):sum()
      total = total and total + s or s
    end
  end
  return total
end

local function differentiable(spec) return is_number(spec) and not spec.constant end

-- gradients by backward, through a layout
local function gradients(case, layout)
  local x, leaves = {}, {}
  for i, t in ipairs(inputs(case, "f64")) do
    x[i] = t
    if differentiable(case.x[i]) then
      leaves[i] = t:requires_grad(true)
      x[i] = layout and not case.x[i].whole and layout(t) or t
    end
  end
  score(case, x):backward()
  local out = {}
  for i, leaf in pairs(leaves) do out[i] = leaf:grad() end
  return out
end

function harness.gradients_match_differences(case)
  local got, x, h = gradients(case), inputs(case, "f64"), 1e-5
  local function at(i, values)
    local y = table.move(x, 1, #x, 1, {})
    y[i] = ml.tensor(values, { dtype = "f64" }):reshape(x[i]:shape())
    return ml.no_grad(function() return score(case, y):item() end)
  end
  for i, grad in pairs(got) do
    local values, want = flat(x[i]), {}
    for e, v in ipairs(values) do
      values[e] = v + h
      local up = at(i, values)
      values[e] = v - h
      want[e] = (up - at(i, values)) / (2 * h)
      values[e] = v
    end
    kit.near(flat(grad), want, case.grad_tol or 1e-7)
  end
  for _, layout in pairs(layouts) do
    for i, grad in pairs(gradients(case, layout)) do kit.near(flat(grad), flat(got[i]), 1e-13) end
  end
end

--- One hash of the results and gradients of a case's big inputs, for comparing ISAs.
function harness.hash(case)
  local x, parts = inputs(case, "f32", case.big or case.x), {}
  local specs = case.big or case.x
  for i, t in ipairs(x) do
    if case.grad ~= false and differentiable(specs[i]) then t:requires_grad(true) end
  end
  for _, y in ipairs { case.call(table.unpack(x)) } do
    parts[#parts + 1] = y:detach():contiguous():bytes()
    if case.grad ~= false and y:dtype() == "f32" then y:backward(ml.ones(y:shape())) end
  end
  for _, t in ipairs(x) do
    if t:grad() then parts[#parts + 1] = t:grad():contiguous():bytes() end
  end
  return core.sys.sha256(table.concat(parts))
end

harness.inputs = inputs

--- All cases, by file.
function harness.cases()
  local all = {}
  for _, name in ipairs { "elementwise", "reduce", "shape", "index", "blocks" } do
    for _, case in ipairs(require("ops.cases." .. name)) do all[#all + 1] = case end
  end
  return all
end

--- Names in ops.def: ops, and those with an in-place form.
function harness.names()
  local text = assert(io.open("csrc/ops/ops.def")):read("a")
  local ops, in_place = {}, {}
  for name in text:gmatch("OP%((%l[%w_]*), %d") do ops[name] = true end
  for name in text:gmatch("[ \n]INPLACE%((%l[%w_]*)%)") do in_place[name] = true end
  in_place.name = nil -- the header's own words
  return ops, in_place
end

return harness
