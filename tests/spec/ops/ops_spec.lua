-- One case for every op: harness.lua says what is checked.
local core = require "moonlit.core"
local harness = require "ops.harness"
local kit = require "kit"

local cases = harness.cases()

describe("op", function()
  kit.leakcheck(before_each, after_each)

  for number, case in ipairs(cases) do
    local name = ("%s (case %d)"):format(case.op, number)

    it(name .. " is its reference", function()
      for _, dtype in ipairs(case.dtypes or { "f32", "f64" }) do
        harness.matches_reference(case, dtype)
        for _, specs in ipairs(case.more or {}) do harness.matches_reference(case, dtype, specs) end
      end
    end)

    it(name .. " does not care how elements lie", function()
      for _, dtype in ipairs(case.dtypes or { "f32", "f64" }) do
        harness.any_layout(case, dtype)
      end
    end)

    if case.grad ~= false then
      it(name .. " has the gradient of its differences", function()
        harness.gradients_match_differences(case)
      end)
    end

    if case.call_with then
      it(name .. " is the same in place", function()
        for _, dtype in ipairs { "f32", "f64" } do harness.in_place(case, dtype) end
      end)
    end

    for _, wrong in ipairs(case.wrong or {}) do
      it(name .. ' says "' .. wrong[2] .. '"', function() kit.raises(wrong[1], wrong[2]) end)
    end
  end

  it("has the same bits on every ISA of this machine", function()
    local was, hashes = core.sys.isa(), {}
    for _, isa in ipairs(core.sys.cpu().isas) do
      core.sys.isa(isa)
      for number, case in ipairs(cases) do
        local hash = harness.hash(case)
        hashes[number] = hashes[number] or hash
        if hashes[number] ~= hash then
          core.sys.isa(was)
          error(("%s (case %d) has other bits on %s"):format(case.op, number, isa), 0)
        end
      end
    end
    core.sys.isa(was)
  end)

  it("has a case, and each case an op", function()
    local ops, in_place = harness.names()
    local has, has_in_place = {}, {}
    for _, case in ipairs(cases) do
      assert.is_true(ops[case.op], "no op is called " .. case.op)
      has[case.op] = true
      if case.call_with then has_in_place[case.op] = true end
    end
    for name in pairs(ops) do assert.is_true(has[name], "no case for " .. name) end
    for name in pairs(in_place) do
      assert.is_true(has_in_place[name], "no in-place case for " .. name)
    end
  end)
end)
