--- What every op must be, checked on a case:
---   op         its name in ops.def
---   x          inputs: a shape with from, to (numbers between), ids = n (0..n-1), positions = n
---              (1..n), bool, apart (all different), or values (given one by one)
---   call       call(tensors...) -> results
---   ref        ref(nds...) -> results, in plain Lua (nd.lua)
---   more       further lists of inputs for the reference; small ones for gradients too
---   big        inputs of sizes that matter to a kernel: layouts, f32 gradients and ISAs use these
---   small      inputs of about 16 elements, large: of about a million: for tests/bench/ops.lua,
---              which has a row for the first case of an op
---   dtypes     { "f32", "f64" } unless given; "bool" where there are no numbers
---   gives      the results' dtypes; "same" (default) is that of the inputs
---   grad       false where there is no gradient; smooth functions are differentiated numerically
---   call_with  call_with(method, tensors...): x:op_(...) must be the same as call
---   ties_matter  equal elements make no difference in results, but in gradients
---   tol        for f32 against the reference (f64: 1e-6 of that)
--- Messages of wrong calls are in cases/wrong.lua.
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

local function sizes_of(spec) return table.move(spec, 1, #spec, 1, {}) end

local function make(spec, seed)
  local draw, e = numbers(seed), 0
  local lo, hi = spec.from or -2, spec.to or 2
  local n = nd.count(spec)
  return nd.new(sizes_of(spec), function()
    e = e + 1
    local u = draw()
    if spec.values then return spec.values[e] end
    if spec.bool then return u < 0.5 end
    if spec.ids then return math.floor(u * spec.ids) end
    if spec.positions then return 1 + math.floor(u * spec.positions) end
    if spec.apart then return ((e * 7919) % n - n / 2) * 4 / n + u * 0.1 / n end
    return lo + (hi - lo) * u
  end)
end

local function is_number(spec) return not (spec.bool or spec.ids or spec.positions) end

-- a plain array as a tensor: numbers of the dtype asked for (i64: scaled and floored), the rest
-- of their own
local function tensor(a, spec, dtype)
  local own = spec.bool and "bool" or not is_number(spec) and "i64" or dtype
  local list = {}
  for i = 1, #a do
    list[i] = own == "i64" and is_number(spec) and math.floor(a[i] * 4) or a[i]
  end
  if #list == 0 then return ml.zeros(a.shape, { dtype = own }) end
  return ml.tensor(list, { dtype = own }):reshape(a.shape)
end

local function flat(t) return t:flatten():table() end

-- back: what the tensor holds, rounding included
local function plain(t)
  local list, e = flat(t), 0
  return nd.new(t:shape(), function() e = e + 1 return list[e] end)
end

--- The inputs of a case (or other specs) as tensors, always the same numbers.
function harness.inputs(case, dtype, specs)
  local list = {}
  for i, spec in ipairs(specs or case.x) do
    list[i] = tensor(make(spec, i + #case.op), spec, dtype)
  end
  return list
end

function harness.dtypes(case) return case.dtypes or { "f32", "f64" } end

local function elements(specs)
  local n = 0
  for _, spec in ipairs(specs) do n = n + nd.count(spec) end
  return n
end

-- ---- elements that lie differently: base(t) makes room for them, view(base, t) is them ----

-- what lies beside them must not be read: NaN, or what no index may be
local function poison(t)
  local kind = t:dtype()
  if kind == "bool" then return ml.ones(t:shape(), { dtype = "bool" }) end
  return ml.full(t:shape(), (kind == "f32" or kind == "f64") and 0 / 0 or -99, { dtype = kind })
end

local function can_spread(t) return t:dim() > 0 and t:size(1) > 0 end

local layouts = {
  { name = "stepped", -- every second element
    base = function(t) return ml.stack({ t, poison(t) }, t:dim() + 1) end,
    view = function(b) return b:select(b:dim(), 1) end },
  { name = "turned", -- dimensions in memory from the last to the first
    base = function(t)
      return t:dim() > 1 and t:transpose(1, t:dim()):contiguous() or t:clone()
    end,
    view = function(b) return b:dim() > 1 and b:transpose(1, b:dim()) or b end },
  { name = "inside", -- in the middle of something larger
    base = function(t)
      return can_spread(t) and ml.cat({ poison(t), t, poison(t) }, 1) or t:clone()
    end,
    view = function(b, t)
      return can_spread(t) and b:narrow(1, t:size(1) + 1, t:size(1)) or b
    end },
  { name = "expanded", shared = true, -- the first row, again and again
    base = function(t) return can_spread(t) and t:narrow(1, 1, 1):contiguous() or t:clone() end,
    view = function(b, t) return b:expand(t:shape()) end },
}

local function lay(layout, t) return layout.view(layout.base(t), t) end

-- ---- results ----

local function same_bits(a, b, what)
  if #a ~= #b then error(what .. ": another number of results", 0) end
  for i = 1, #a do
    if a[i]:dtype() ~= b[i]:dtype() or a[i]:contiguous():bytes() ~= b[i]:contiguous():bytes() then
      error(("%s: result %d has other bits\n%s\n%s"):format(what, i, tostring(a[i]),
                                                             tostring(b[i])), 0)
    end
  end
end

local function same_shape(t, a, what)
  local got, want = table.concat(t:shape(), ","), table.concat(a.shape, ",")
  if got ~= want then error(("%s: shape (%s), expected (%s)"):format(what, got, want), 0) end
end

-- numbers as the dtype holds them: a reference past f32's range is infinite there
local function held(a, dtype)
  local list = table.move(a, 1, #a, 1, {})
  for i, v in ipairs(list) do
    if dtype == "f32" and math.type(v) == "float" then
      list[i] = string.unpack("<f", string.pack("<f", v))
    end
  end
  return list
end

function harness.matches_reference(case, dtype, specs)
  local x, plains = harness.inputs(case, dtype, specs), {}
  for i, t in ipairs(x) do plains[i] = plain(t) end
  local got, want = { case.call(table.unpack(x)) }, { case.ref(table.unpack(plains)) }
  if #got ~= #want or #got == 0 then error("another number of results", 0) end
  local tol = (case.tol or 2e-6) * (dtype == "f64" and 1e-6 or 1)
  for i = 1, #got do
    same_shape(got[i], want[i], case.op)
    local gives = case.gives and case.gives[i] or "same"
    if got[i]:dtype() ~= (gives == "same" and dtype or gives) then
      error(("result %d of %s is %s"):format(i, dtype, got[i]:dtype()), 0)
    end
    kit.near(flat(got[i]), held(want[i], got[i]:dtype()), tol)
  end
  for i, t in ipairs(x) do -- inputs are left alone
    kit.near(flat(t), held(plains[i]), 0)
  end
end

function harness.any_layout(case, dtype, specs)
  local x = harness.inputs(case, dtype, specs)
  for _, layout in ipairs(layouts) do
    local views, dense = {}, {}
    for i, t in ipairs(x) do
      views[i] = lay(layout, t)
      dense[i] = views[i]:clone()
    end
    same_bits({ case.call(table.unpack(views)) }, { case.call(table.unpack(dense)) },
              case.op .. ", " .. layout.name)
  end
end

-- 1..5 in each number, and a half for floats: the same in every dtype
local function small_numbers(case, dtype, half)
  local x = {}
  for i, spec in ipairs(case.x) do
    local a = make(spec, i + #case.op)
    if is_number(spec) then a = a:map(function(v) return math.floor(v * 7) % 5 + 1 + half end) end
    x[i] = tensor(a, spec, "f32")
    if is_number(spec) then x[i] = x[i]:to(dtype) end
  end
  return x
end

--- Another dtype is refused by name, or gives the numbers that f32 gives (u8: those it can hold).
function harness.other_dtype(case, dtype)
  local half = (dtype == "bf16" or dtype == "f16") and 0.5 or 0
  local want = { case.call(table.unpack(small_numbers(case, "f32", half))) }
  local got = { pcall(case.call, table.unpack(small_numbers(case, dtype, half))) }
  if not table.remove(got, 1) then
    local message = tostring(got[1])
    if not message:find("got " .. dtype, 1, true) then
      error(("%s of %s says %q"):format(case.op, dtype, message), 0)
    end
    return
  end
  for i, y in ipairs(got) do
    local w = want[i]:to("f64")
    if y:dtype() == "u8" then w = w:clamp(0, 255) end
    kit.near(flat(y:to("f64")), flat(w), 1e-6)
  end
end

-- ---- gradients ----

-- sum(results * weights), the weights fixed and uneven
local function score(case, x)
  local total
  for i, y in ipairs { case.call(table.unpack(x)) } do
    if y:dtype() == "f64" or y:dtype() == "f32" then
      local w = tensor(make({ nd.count(y:shape()) }, 100 + i), {}, y:dtype()):reshape(y:shape())
      local s = (y * w):sum()
      total = total and total + s or s
    end
  end
  return total
end

-- gradient of score for each input that can have one; wrap(t) lies differently
local function gradients(case, x, specs, wrap)
  local args, leaves, out = {}, {}, {}
  for i, t in ipairs(x) do
    local leaf = t:clone()
    if is_number(specs[i]) then leaves[i] = leaf:requires_grad(true) end
    args[i] = wrap and wrap(leaf) or leaf
  end
  score(case, args):backward()
  for i in ipairs(x) do
    if leaves[i] then
      out[i] = leaves[i]:grad() or error(("%s: no gradient of input %d"):format(case.op, i), 0)
    end
  end
  return out
end

-- central differences of score along input i
local function differences(case, x, i, h)
  local values, out = flat(x[i]), {}
  local function at(e, v)
    local was = values[e]
    values[e] = v
    local y = table.move(x, 1, #x, 1, {})
    y[i] = ml.tensor(values, { dtype = "f64" }):reshape(x[i]:shape())
    values[e] = was
    return ml.no_grad(function() return score(case, y):item() end)
  end
  for e, v in ipairs(values) do out[e] = (at(e, v + h) - at(e, v - h)) / (2 * h) end
  return out
end

local function through_layout(case, x, specs, layout)
  local dense = {}
  for i, t in ipairs(x) do dense[i] = lay(layout, t):clone() end
  local want = gradients(case, dense, specs)
  local got = gradients(case, x, specs, function(t) return lay(layout, t) end)
  for i, grad in pairs(got) do -- back through the layout alone
    local leaf = x[i]:clone():requires_grad(true)
    lay(layout, leaf):backward(want[i])
    kit.near(flat(grad), flat(leaf:grad()), 1e-13)
  end
end

local FEW = 40 -- elements whose gradient is differenced one by one

function harness.gradients_match_differences(case)
  local lists = { case.x }
  for _, specs in ipairs(case.more or {}) do
    local n = elements(specs)
    if n > 0 and n <= FEW and not specs[1].values then lists[#lists + 1] = specs end
  end
  for _, specs in ipairs(lists) do
    local x = harness.inputs(case, "f64", specs)
    local got = gradients(case, x, specs)
    for i, grad in pairs(got) do
      kit.near(flat(grad), differences(case, x, i, 1e-5), case.grad_tol or 1e-7)
    end
    for _, layout in ipairs(layouts) do
      if not case.ties_matter or not layout.shared then through_layout(case, x, specs, layout) end
    end
  end
end

--- f32 gradients are f64's, rounded.
function harness.gradients_match_f64(case)
  local specs = case.big or case.x
  local x, wide = harness.inputs(case, "f32", specs), {}
  for i, t in ipairs(x) do wide[i] = is_number(specs[i]) and t:to("f64") or t end
  local got, want = gradients(case, x, specs), gradients(case, wide, specs)
  for i, grad in pairs(got) do kit.near(flat(grad), flat(want[i]), case.grad32_tol or 2e-5) end
end

-- ---- in place ----

function harness.in_place(case, dtype)
  local x, method = harness.inputs(case, dtype), core.methods[case.op .. "_"]
  local want = case.call(table.unpack(x)):to(x[1]:dtype())
  for _, layout in ipairs(layouts) do
    if not layout.shared then
      local base = layout.base(x[1])
      local was, view = base:clone(), layout.view(base, x[1])
      local got = case.call_with(method, view, table.unpack(x, 2))
      assert(rawequal(got, view), case.op .. "_ does not return its tensor")
      same_bits({ view }, { want }, case.op .. "_, " .. layout.name)
      for _, b in ipairs { base, was } do layout.view(b, x[1]):fill_(0) end
      same_bits({ base }, { was }, case.op .. "_ wrote beside its tensor")
    end
  end
end

--- While gradients are recorded, in place has the same gradient or is refused.
function harness.in_place_gradient(case)
  local x, method = harness.inputs(case, "f64"), core.methods[case.op .. "_"]
  local ok, got = pcall(gradients, { op = case.op, call = function(y, ...)
    return case.call_with(method, y:clone(), ...)
  end }, x, case.x)
  if not ok then
    if not got:find("a view or a backward pass to come needs the elements", 1, true) then
      error(got, 0)
    end
    return
  end
  for i, grad in pairs(gradients(case, x, case.x)) do kit.near(flat(got[i]), flat(grad), 1e-13) end
end

-- ---- every ISA ----

-- NaN's sign and payload are no promise
local function bytes(parts, list)
  for _, t in ipairs(list) do
    t = t:detach()
    if t:dtype() == "f32" then t = t:masked_fill(t:isnan(), 777) end
    parts[#parts + 1] = t:contiguous():bytes()
  end
end

--- One hash of a case's results and gradients, small and big, for comparing ISAs.
function harness.hash(case)
  local parts = {}
  for _, specs in ipairs { case.x, case.big } do
    local x = harness.inputs(case, "f32", specs)
    bytes(parts, { case.call(table.unpack(x)) })
    local stepped = {}
    for i, t in ipairs(x) do stepped[i] = lay(layouts[1], t) end
    bytes(parts, { case.call(table.unpack(stepped)) })
    local grads = case.grad ~= false and gradients(case, x, specs) or {}
    for i = 1, #x do bytes(parts, { grads[i] }) end -- not every input has one
  end
  return core.sys.sha256(table.concat(parts))
end

-- ---- all cases ----

--- Cases, by file; each gets a name, its op and how many of it there were.
function harness.cases()
  local all, seen = {}, {}
  for _, file in ipairs { "elementwise", "reduce", "shape", "index", "blocks" } do
    for _, case in ipairs(require("ops.cases." .. file)) do
      seen[case.op] = (seen[case.op] or 0) + 1
      case.name = seen[case.op] == 1 and case.op or ("%s (%d)"):format(case.op, seen[case.op])
      all[#all + 1] = case
    end
  end
  return all
end

--- ops.def: signatures by name, and the names with an in-place form.
function harness.ops()
  local file = assert(io.open("csrc/ops/ops.def"))
  local text = file:read("a"):gsub("/%*.-%*/", ""):gsub("#[^\n]*", "")
  file:close()
  local signatures, in_place = {}, {}
  for name, signature in text:gmatch('OP%(([%w_]+), %d, "(.-)"%)') do
    signatures[name] = signature
  end
  for name in text:gmatch("INPLACE%(([%w_]+)%)") do in_place[name] = true end
  return signatures, in_place
end

return harness
