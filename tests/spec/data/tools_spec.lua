-- The calculator against Lua's own arithmetic, and what it refuses.
local core = require "moonlit.core"
local kit = require "kit"
local ml = require "moonlit"

local function calc(text) return ml.data.tools.calculator { expression = text } end

-- a random expression as text and as Lua computes it, from a keyed stream
local function expression(rng, depth)
  if depth == 0 or rng(3) == 0 then
    local n = rng(100)
    return tostring(n), n
  end
  local sign = ({ "+", "-", "*" })[rng(3) + 1]
  local a, x = expression(rng, depth - 1)
  local b, y = expression(rng, depth - 1)
  local value = sign == "+" and x + y or sign == "-" and x - y or x * y
  return ("(%s %s %s)"):format(a, sign, b), value
end

describe("calculator", function()
  kit.leakcheck(before_each, after_each)

  it("computes", function()
    for text, want in pairs {
      ["12+30"] = "42", ["2+3*4"] = "14", ["(2+3)*4"] = "20", ["10-3-4"] = "3", ["7/2"] = "3.5",
      ["100/5/2"] = "10", [" 1 + 1 "] = "2", ["-3*-(2+1)"] = "9", ["2--2"] = "4", ["0"] = "0",
      ["1/3"] = "0.3333333333", ["6/3"] = "2", ["7/2*2"] = "7", ["007"] = "7", ["0-7/7"] = "-1",
      ["9007199254740991"] = "9007199254740991",
    } do
      assert.are.equal(want, calc(text), text)
    end
  end)

  it("agrees with Lua", function()
    local site = 0
    local function rng(n)
      site = site + 1
      return core.sys.random(1, 63, 0, 0, site) % n
    end
    for _ = 1, 300 do
      local text, value = expression(rng, 4)
      if #text <= 256 then assert.are.equal(tostring(value), calc(text), text) end
    end
  end)

  it("tells what is wrong as text", function()
    for text, want in pairs {
      ["1/0"] = "error: division by zero", ["1/(2-2)"] = "error: division by zero",
      ["1+"] = "error: the expression ends too early",
      [""] = "error: the expression ends too early",
      ["(1"] = "error: the expression ends too early", ["1)"] = 'error: unexpected ")" at 2',
      ["2x"] = 'error: unexpected "x" at 2', ["1.5"] = 'error: unexpected "." at 2',
      ["2^3"] = 'error: unexpected "^" at 2', ["1 2"] = 'error: unexpected "2" at 3',
      ["os.exit()"] = 'error: unexpected "o" at 1', ["2×3"] = 'error: unexpected "×" at 2',
      ["1\xff"] = "error: unexpected byte at 2",
      ["9999999999*9999999999"] = "error: number too large",
      ["99999999999999999999999"] = "error: number too large",
      ["1/(1/9007199254740992)*2"] = "error: number too large",
    } do
      assert.are.equal(want, calc(text), text)
    end
    assert.are.equal("error: nested deeper than 32", calc(("("):rep(100)))
    assert.are.equal("error: nested deeper than 32", calc(("-"):rep(100) .. "1"))
    assert.are.equal("error: longer than 256 characters", calc(("1+"):rep(200) .. "1"))
    assert.are.equal("1", calc(("("):rep(31) .. "1" .. (")"):rep(31)))
  end)

  it("takes any arguments", function()
    for _, arguments in ipairs { {}, { expression = 12 }, "1+1", { expression = {} } } do
      assert.matches("^error: expected", ml.data.tools.calculator(arguments))
    end
    assert.matches("^error: expected", ml.data.tools.calculator(nil))
  end)
end)
