-- The det-1 promise, quick form: tests/bits.lua gives the same hashes on every ISA present and on
-- 1, 2 and 3 threads. `make bits` is the long form (scalar, 7 threads, compilers, NEON).
local core = require "moonlit.core"

local function hashes(isa, threads, steps)
  local pipe = io.popen(("MOONLIT_ISA=%s MOONLIT_THREADS=%d lua5.4 tests/bits.lua %d 2>&1")
    :format(isa, threads, steps))
  local out = pipe:read("a")
  assert.is_true(pipe:close(), out)
  return out
end

local function present()
  local list = {}
  for _, isa in ipairs(core.sys.cpu().isas) do
    if isa ~= "scalar" then list[#list + 1] = isa end
  end
  return list
end

describe("bits", function()
  it("do not depend on threads or SIMD width", function()
    local isas = present()
    if #isas == 0 then return pending("only scalar here") end
    local first = hashes(isas[1], 1, 20)
    for _, isa in ipairs(isas) do
      for threads = 1, 3 do
        assert.are.equal(first, hashes(isa, threads, 20), isa .. " on " .. threads)
      end
    end
    -- and they are the README's: who changes a bit on purpose changes those lines
    local readme = assert(io.open("README.md")):read("a")
    for line in first:gmatch("[^\n]+") do
      assert.is_truthy(readme:find(line, 1, true), "README.md lacks: " .. line)
    end
  end)

  it("are the scalar ones", function()
    local isas = present()
    if #isas == 0 then return pending("only scalar here") end
    assert.are.equal(hashes("scalar", 2, 2), hashes(isas[#isas], 2, 2))
  end)
end)
