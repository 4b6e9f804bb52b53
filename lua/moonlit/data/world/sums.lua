--- Sums with their working, and questions for the calculator. A sum, or an expression, belongs to
--- one part: those of "test" are never trained on.
local draw = require "moonlit.data.world.draw"
local names = require "moonlit.data.world.names"
local words = require "moonlit.data.world.words"

local sums = {}

--- Two numbers of two or three digits each.
function sums.pair(d, part)
  local pair = draw.held(part, function()
    local range = d:pick { { 10, 99 }, { 100, 999 } }
    local a, b = d:range(range[1], range[2]), d:range(range[1], range[2])
    return a .. "+" .. b, { a, b }
  end)
  return pair[1], pair[2]
end

--- Addition worked out, units first: "7+5=12, 4+8+1=13, 3+2+1=6. So 632."
function sums.trace(a, b)
  local steps, carry, x, y = {}, 0, a, b
  while x > 0 or y > 0 do
    local digit = x % 10 + y % 10 + carry
    steps[#steps + 1] = ("%d+%d%s=%d"):format(x % 10, y % 10, carry > 0 and "+" .. carry or "",
                                              digit)
    carry, x, y = digit // 10, x // 10, y // 10
  end
  return ("%s. So %d."):format(table.concat(steps, ", "), a + b)
end

-- what is asked in words
local asked = {
  ["+"] = { "What is %d plus %d?", "%s has %d %s and gets %d more. How many %s is that?" },
  ["-"] = { "What is %d minus %d?", "%s has %d %s and sells %d. How many %s are left?" },
  ["*"] = { "What is %d times %d?", "%s packs %d boxes with %d %s each. How many %s is that?" },
}

local function in_words(d, part, op, a, b)
  local who, what = names.one(d, part), d:pick(words.counted)
  if d:chance(0.5) then return asked[op][1]:format(a, b) end
  if op == "*" then return asked[op][2]:format(who, a, b, what, what) end
  return asked[op][2]:format(who, a, what, b, what)
end

--- A question for the calculator.
--- @return { question: string, call: string, result: string, answer: string }
function sums.calculation(d, part)
  local x = draw.held(part, function()
    local op = d:pick { "+", "-", "*" }
    local a, b = d:range(2, d:pick { 99, 999 }), d:range(2, d:pick { 9, 99, 999 })
    if op == "-" and a < b then a, b = b, a end
    return a .. op .. b, { op = op, a = a, b = b }
  end)
  local result = x.op == "+" and x.a + x.b or x.op == "-" and x.a - x.b or x.a * x.b
  return { question = (d:chance(0.5) and "Use the calculator. " or "")
                      .. in_words(d, part, x.op, x.a, x.b),
           call = x.a .. x.op .. x.b, result = tostring(result),
           answer = ("The answer is %d."):format(result) }
end

return sums
