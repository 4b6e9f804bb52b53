--- Ops on each element: one input, two that broadcast, masks, comparisons.
local core = require "moonlit.core"
local ml = require "moonlit"
local nd = require "ops.nd"

local cases = {}

local shapes = { { 1 }, { 3 }, { 16 }, { 17 }, { 2, 0, 3 }, { 300 }, {} }
local function with(spec, shape)
  local copy = table.move(shape, 1, #shape, 1, {})
  for k, v in pairs(spec) do if type(k) == "string" then copy[k] = v end end
  return copy
end
local function sizes(spec)
  local list = {}
  for i, shape in ipairs(shapes) do list[i] = { with(spec, shape) } end
  return list
end

-- ---- one input ----

local function sigmoid(x) return 1 / (1 + math.exp(-x)) end

-- Abramowitz and Stegun 7.1.5: the series, in enough terms for |x| < 5
local function erf(x)
  local sum, term = x, x
  for n = 1, 120 do
    term = -term * x * x / n
    sum = sum + term / (2 * n + 1)
  end
  return 2 / math.sqrt(math.pi) * sum
end

local function tanh(x) return 1 - 2 / (math.exp(2 * x) + 1) end

local function unary(op, f, o)
  o = o or {}
  local spec = { from = o.from, to = o.to, apart = o.apart }
  cases[#cases + 1] = {
    op = op, x = { with(spec, { 3, 5 }) }, more = sizes(spec), big = { with(spec, { 7, 300 }) },
    dtypes = o.any and { "f32", "f64", "i64" } or nil, grad = o.grad, tol = o.tol,
    call = function(x) return core[op](x, o.opt) end,
    call_with = function(method, x) return method(x, o.opt) end,
    ref = function(a) return a:map(f) end,
  }
end

unary("neg", function(x) return -x end, { any = true })
unary("abs", math.abs, { any = true, apart = true })
unary("exp", math.exp)
unary("log", math.log, { from = 0.1, to = 9 })
unary("sqrt", math.sqrt, { from = 0.1, to = 9 })
unary("sin", math.sin, { from = -9, to = 9 })
unary("cos", math.cos, { from = -9, to = 9 })
unary("erf", erf)
unary("tanh", tanh)
unary("sigmoid", sigmoid)
unary("silu", function(x) return x * sigmoid(x) end)
unary("gelu", function(x) return x * (1 + erf(x / math.sqrt(2))) / 2 end)
unary("gelu", function(x)
  return x * (1 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ^ 3))) / 2
end, { opt = { approximate = "tanh" } })
unary("relu", function(x) return math.max(x, 0) end, { apart = true })
unary("relu2", function(x) return math.max(x, 0) ^ 2 end)
unary("logsigmoid", function(x) return -math.log(1 + math.exp(-x)) end)
unary("softplus", function(x) return math.log(1 + math.exp(x)) end)
unary("reciprocal", function(x) return 1 / x end, { from = 0.5, to = 3 })
unary("floor", math.floor, { grad = false })
unary("sign", function(x) return x > 0 and 1 or x < 0 and -1 or 0 end, { grad = false })

-- ---- two inputs ----

local broadcasts = { { { 4 }, { 4 } }, { { 3, 1 }, { 4 } }, { { 2, 1, 3 }, { 4, 1 } },
                     { { 17 }, { 1 } }, { {}, { 5 } }, { { 0, 3 }, { 3 } }, { { 300 }, { 300 } } }

local function pairs_of(a, b)
  local list = {}
  for i, s in ipairs(broadcasts) do list[i] = { with(a, s[1]), with(b, s[2]) } end
  return list
end

local function binary(op, f, o)
  o = o or {}
  local a, b = o.a or {}, o.b or {}
  cases[#cases + 1] = {
    op = op, x = { with(a, { 3, 4 }), with(b, { 4 }) }, more = pairs_of(a, b),
    big = { with(a, { 33, 65 }), with(b, { 33, 1 }) }, grad = o.grad, tol = o.tol,
    dtypes = o.any and { "f32", "f64", "i64" } or nil,
    call = core[op],
    call_with = core.methods[op .. "_"] and function(method, x, y) return method(x, y) end,
    ref = function(x, y) return nd.zip(x, y, f) end, wrong = o.wrong,
  }
end

binary("add", function(x, y) return x + y end, { any = true, wrong = {
  { function() return ml.zeros(3, 4) + ml.zeros(3) end, "add: sizes differ, (3, 4) and (3)" } } })
binary("sub", function(x, y) return x - y end, { any = true })
binary("mul", function(x, y) return x * y end, { any = true })
binary("div", function(x, y) return x / y end, { b = { from = 0.5, to = 2 } })
binary("pow", function(x, y) return x ^ y end, { a = { from = 0.5, to = 2 } })
binary("maximum", math.max, { any = true })
binary("minimum", math.min, { any = true })

local function compare(op, f)
  binary(op, f, { any = true, grad = false })
  cases[#cases + 1] = { -- equal elements
    op = op, x = { { 5, 5, ids = 2 }, { 5, 5, ids = 2 } }, dtypes = { "f32" }, grad = false,
    call = core[op], ref = function(x, y) return nd.zip(x, y, f) end,
  }
end
compare("eq", function(x, y) return x == y end)
compare("ne", function(x, y) return x ~= y end)
compare("lt", function(x, y) return x < y end)
compare("le", function(x, y) return x <= y end)
compare("gt", function(x, y) return x > y end)
compare("ge", function(x, y) return x >= y end)

-- ---- masks ----

local function logical(op, f, two)
  cases[#cases + 1] = {
    op = op, x = { { 3, 17, bool = true }, two and { 17, bool = true } or nil }, grad = false,
    dtypes = { "bool" }, call = core[op],
    ref = function(x, y) return two and nd.zip(x, y, f) or x:map(f) end,
  }
end
logical("logical_and", function(x, y) return x and y end, true)
logical("logical_or", function(x, y) return x or y end, true)
logical("logical_not", function(x) return not x end)

cases[#cases + 1] = {
  op = "isnan", x = { { 3, 17 } }, grad = false,
  call = function(x) return core.isnan((x - 1):sqrt()) end,
  ref = function(x) return x:map(function(v) return v < 1 end) end,
}

cases[#cases + 1] = {
  op = "clamp", x = { { 3, 5, apart = true } }, more = sizes { apart = true },
  big = { { 7, 300 } },
  call = function(x) return x:clamp(-0.75, 1.3) end,
  call_with = function(method, x) return method(x, -0.75, 1.3) end,
  ref = function(x)
    return x:map(function(v) return math.min(1.3000000000000000444, math.max(-0.75, v)) end)
  end,
}

cases[#cases + 1] = {
  op = "where", x = { { 3, 4, bool = true }, { 4 }, { 3, 1 } },
  big = { { 33, 65, bool = true }, { 33, 65 }, { 65 } },
  call = core.where,
  ref = function(c, a, b)
    local both = nd.zip(c, nd.zip(a, b, function(x, y) return { x, y } end), function(m, p)
      return p[m and 1 or 2]
    end)
    return both
  end,
}

cases[#cases + 1] = {
  op = "masked_fill", x = { { 3, 4 }, { 4, bool = true } },
  big = { { 33, 65 }, { 65, bool = true } },
  call = function(x, m) return x:masked_fill(m, -2.5) end,
  call_with = function(method, x, m) return method(x, m, -2.5) end,
  ref = function(x, m) return nd.zip(x, m, function(v, b) return b and -2.5 or v end) end,
}

for _, k in ipairs { -2, 0, 1, 99 } do
  for op, keeps in pairs { tril = function(r, c) return c <= r + k end,
                           triu = function(r, c) return c >= r + k end } do
    cases[#cases + 1] = {
      op = op, x = { { 2, 4, 5 } }, big = { { 33, 65 } },
      call = function(x) return core[op](x, k) end,
      call_with = function(method, x) return method(x, k) end,
      ref = function(x)
        return nd.new(x.shape, function(i) return keeps(i[2], i[3]) and x:at(i) or 0 end)
      end,
    }
  end
end

-- the mask itself is philox's business (test_kernels); here: kept elements are scaled, the share
-- kept is right, and the same key drops the same elements
cases[#cases + 1] = {
  op = "dropout", x = { { 40, 50, from = 1, to = 2 } }, big = { { 33, 65 } }, grad = false,
  call = function(x)
    local y = core.dropout(x, 0.25, { seed = 7, step = 3, site = 1 })
    local kept = y:ne(0)
    return y:sub(kept:to(x:dtype()) * x / 0.75):abs():amax():lt(1e-6),
           kept:to("f32"):mean():sub(0.75):abs():lt(0.04)
  end,
  ref = function()
    return nd.new({}, function() return true end), nd.new({}, function() return true end)
  end,
}

return cases
