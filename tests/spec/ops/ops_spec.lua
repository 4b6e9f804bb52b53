-- One case or more for every op: harness.lua says what is checked.
local core = require "moonlit.core"
local harness = require "ops.harness"
local kit = require "kit"

local cases, wrong = harness.cases(), require "ops.cases.wrong"

-- f() on another ISA; this one comes back whatever happens
local function on(isa, f, ...)
  local was = core.sys.isa()
  core.sys.isa(isa)
  local ok, result = pcall(f, ...)
  core.sys.isa(was)
  return ok and result or error(result, 0)
end

local function is_float(case)
  for _, dtype in ipairs(harness.dtypes(case)) do if dtype == "f32" then return true end end
  return false
end

describe("op", function()
  kit.leakcheck(before_each, after_each)

  for _, case in ipairs(cases) do
    it(case.name .. " is its reference", function()
      for _, dtype in ipairs(harness.dtypes(case)) do
        harness.matches_reference(case, dtype)
        for _, specs in ipairs(case.more or {}) do harness.matches_reference(case, dtype, specs) end
      end
    end)

    it(case.name .. " does not care how elements lie", function()
      for _, dtype in ipairs(harness.dtypes(case)) do
        harness.any_layout(case, dtype)
        if case.big then harness.any_layout(case, dtype, case.big) end
      end
    end)

    if case.grad ~= false then
      it(case.name .. " has the gradient of its differences", function()
        harness.gradients_match_differences(case)
      end)
      it(case.name .. " has f64's gradient in f32", function()
        harness.gradients_match_f64(case)
      end)
    end

    if case.call_with then
      it(case.name .. " is the same in place", function()
        for _, dtype in ipairs(harness.dtypes(case)) do harness.in_place(case, dtype) end
        if case.grad ~= false then harness.in_place_gradient(case) end
      end)
    end

    if is_float(case) and not case.x[1].values then
      it(case.name .. " refuses other dtypes or gives the same numbers", function()
        for _, dtype in ipairs { "i64", "i32", "u8", "bf16", "f16" } do
          harness.other_dtype(case, dtype)
        end
      end)
    end
  end

  -- ---- every ISA ----

  local isas = core.sys.cpu().isas
  for k = 2, #isas do
    it(("has %s's bits on %s"):format(isas[1], isas[k]), function()
      for _, case in ipairs(cases) do
        if on(isas[1], harness.hash, case) ~= on(isas[k], harness.hash, case) then
          error(case.name .. " has other bits", 0)
        end
      end
    end)
  end

  -- ---- wrong calls ----

  local function says(f, text)
    local message = kit.raises(f):gsub("^[^:]*:%d+: ", "")
    assert.are.equal(text, message)
  end

  local done = {}
  for _, w in ipairs(wrong) do
    local op = w[1]
    if not done[op] then
      it(op .. " says what is wrong", function()
        for _, v in ipairs(wrong) do if v[1] == op then says(v[2], v[3]) end end
      end)
    end
    done[op] = true
  end

  it("says which argument is missing", function()
    for name, signature in pairs((harness.ops())) do
      local want = ({ x = "a tensor", s = "a tensor or a number",
                      l = "an array of tensors" })[signature:sub(1, 1)]
      says(function() core[name]() end, ("%s: argument 1 must be %s, got nothing"):format(
        name:gsub("_along", ""), want))
    end
  end)

  -- ---- nothing is missing ----

  it("has a case, and each case an op", function()
    local ops, in_place = harness.ops()
    local has, has_in_place, has_wrong = {}, {}, {}
    for _, case in ipairs(cases) do
      assert(ops[case.op], "no op is called " .. case.op)
      has[case.op] = true
      if case.call_with then has_in_place[case.op] = true end
    end
    for _, w in ipairs(wrong) do has_wrong[w[1]] = true end
    for name in pairs(ops) do
      assert(has[name], "no case for " .. name)
      assert(has_wrong[name], "no wrong call of " .. name)
    end
    for name in pairs(in_place) do assert(has_in_place[name], "no in-place case for " .. name) end
  end)
end)
