--- Tools that a model may call while it answers: functions from the arguments of a call to text.
--- They are safe with anything a model may send, and tell errors as text that the model can read.
---
---   ml.data.tools.calculator { expression = "12+30" } == "42"
local tools = {}

local LENGTH, DEPTH = 256, 32
local LARGEST = 2 ^ 53 -- integers up to here are exact, as are the checks

-- raised by the parser; read by calculator alone
local function fail(...) error({ text = string.format(...) }, 0) end

local function bounded(exact, rounded)
  if math.abs(rounded) > LARGEST then fail("number too large") end
  return exact
end

local operations = {
  ["+"] = function(a, b) return bounded(a + b, a + 0.0 + b) end,
  ["-"] = function(a, b) return bounded(a - b, a - 0.0 - b) end,
  ["*"] = function(a, b) return bounded(a * b, a * 1.0 * b) end,
  -- an integer where it comes out even
  ["/"] = function(a, b)
    if b == 0 then fail("division by zero") end
    if math.type(a) == "integer" and math.type(b) == "integer" and a % b == 0 then
      return a // b
    end
    return bounded(a / b, a / b)
  end,
}

local expression -- of: { text =, at = }, a place in a text

local function skip(of) of.at = of.text:find("%S", of.at) or #of.text + 1 end

-- the character of `set` that stands here, and past it
local function accept(of, set)
  skip(of)
  local c = of.text:match("^[" .. set .. "]", of.at)
  if c then of.at = of.at + 1 end
  return c
end

local function unexpected(of)
  skip(of)
  local c = of.text:match("^" .. utf8.charpattern, of.at)
  if c and c ~= "" then fail("unexpected %q at %d", c, of.at) end
  fail(of.at > #of.text and "the expression ends too early" or "unexpected byte at %d", of.at)
end

-- factor: number | "-" factor | "(" expression ")"
local function factor(of, depth)
  if depth > DEPTH then fail("nested deeper than %d", DEPTH) end
  if accept(of, "%-") then return -factor(of, depth + 1) end
  if accept(of, "(") then
    local value = expression(of, depth + 1)
    if not accept(of, ")") then unexpected(of) end
    return value
  end
  local digits = of.text:match("^%d+", of.at)
  if not digits then unexpected(of) end
  of.at = of.at + #digits
  local value = tonumber(digits)
  return bounded(value, value)
end

-- left to right: operand { sign operand }
local function chain(set, operand)
  return function(of, depth)
    local value = operand(of, depth)
    while true do
      local sign = accept(of, set)
      if not sign then return value end
      value = operations[sign](value, operand(of, depth))
    end
  end
end

expression = chain("+%-", chain("*/", factor))

local function evaluate(text)
  local of = { text = text, at = 1 }
  local value = expression(of, 0)
  skip(of)
  if of.at <= #text then unexpected(of) end
  return value
end

local function show(value)
  local whole = math.tointeger(value)
  return whole and ("%d"):format(whole) or ("%.10g"):format(value)
end

--- Sums of integers with + - * / and parentheses, left to right, * and / first; decimals only as
--- a result. At most 256 characters, 32 levels, 2^53.
--- @param arguments {expression: string}
--- @return string  the value, or "error: ..."
function tools.calculator(arguments)
  local text = type(arguments) == "table" and arguments.expression
  if type(text) ~= "string" then return 'error: expected {"expression": "12+30"}' end
  if #text > LENGTH then return ("error: longer than %d characters"):format(LENGTH) end
  local ok, value = pcall(evaluate, text)
  if ok then return show(value) end
  if type(value) ~= "table" then error(value, 0) end -- not ours
  return "error: " .. value.text
end

return tools
