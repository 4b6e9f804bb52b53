--- Ops on each element: one input, two that broadcast, masks, comparisons.
local core = require "moonlit.core"
local nd = require "ops.nd"

local cases = {}

local shapes = { { 1 }, { 3 }, { 16 }, { 17 }, { 2, 0, 3 }, { 300 }, {} }
local million = { 1000, 1000 }
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

-- by exp(-|x|): right for any x
local function sigmoid(x)
  local e = math.exp(-math.abs(x))
  return x < 0 and e / (1 + e) or 1 / (1 + e)
end

-- Abramowitz and Stegun 7.1.5: the series, in enough terms for |x| < 5; beyond it is 1
local function erf(x)
  if math.abs(x) > 5 then return x > 0 and 1.0 or -1.0 end
  local sum, term = x, x
  for n = 1, 120 do
    term = -term * x * x / n
    sum = sum + term / (2 * n + 1)
  end
  return 2 / math.sqrt(math.pi) * sum
end

local function tanh(x) return x < 0 and 2 * sigmoid(2 * x) - 1 or 1 - 2 / (math.exp(2 * x) + 1) end

-- log(1 + exp(x)), of the larger part and what it lacks
local function softplus(x) return math.max(x, 0) - math.log(sigmoid(math.abs(x))) end

-- NaN, infinities, zeros of both signs, past where exp overflows or vanishes, a subnormal
local special = { 0 / 0, math.huge, -math.huge, 0.0, -0.0, 100.5, -100.5, 1e30, -1e30, 1e-40 }

local function unary(op, f, o)
  o = o or {}
  local spec = { from = o.from, to = o.to, apart = o.apart }
  local function call(x) return core[op](x, o.opt) end
  local function ref(a) return a:map(function(x) return x ~= x and x or f(x) end) end
  cases[#cases + 1] = {
    op = op, x = { with(spec, { 3, 5 }) }, more = sizes(spec), big = { with(spec, { 7, 300 }) },
    small = { with(spec, { 16 }) }, large = { with(spec, million) },
    dtypes = o.any and { "f32", "f64", "i64" } or nil, grad = o.grad, tol = o.tol,
    call = call, call_with = function(method, x) return method(x, o.opt) end, ref = ref,
  }
  local values = table.move(special, 1, #special, 1, {})
  for k, v in ipairs(o.but or {}) do values[k] = v end -- where this op has no one answer
  cases[#cases + 1] = {
    op = op, x = { { #values, values = values } }, call = call, ref = ref, grad = false,
    tol = o.tol,
  }
end

local nan, inf = 0 / 0, math.huge
unary("neg", function(x) return -x end, { any = true })
unary("abs", math.abs, { any = true, apart = true })
unary("exp", math.exp)
unary("log", function(x) return x < 0 and nan or math.log(x) end, { from = 0.1, to = 9 })
unary("sqrt", math.sqrt, { from = 0.1, to = 9 })
-- turns of 1e30 are not told apart in f32: sine and cosine are only bounded there
unary("sin", math.sin, { from = -9, to = 9, but = { nan, inf, -inf, 0.0, -0.0, 99.5, -7.5, 3, 1 } })
unary("cos", math.cos, { from = -9, to = 9, but = { nan, inf, -inf, 0.0, -0.0, 99.5, -7.5, 3, 1 } })
unary("erf", erf)
unary("tanh", tanh)
unary("sigmoid", sigmoid)
unary("silu", function(x) return x * sigmoid(x) end)
unary("gelu", function(x) return x * (1 + erf(x / math.sqrt(2))) / 2 end)
unary("gelu", function(x)
  return x * (1 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ^ 3))) / 2
end, { opt = { approximate = "tanh" }, but = { nan, inf, -5.0, 0.0, -0.0, 99.5, -7.5, 3, 1 } })
unary("relu", function(x) return math.max(x, 0) end, { apart = true })
unary("relu2", function(x) return math.max(x, 0) ^ 2 end)
unary("logsigmoid", function(x) return -softplus(-x) end)
unary("softplus", softplus)
unary("reciprocal", function(x) return 1 / x end, { from = 0.5, to = 3 })
unary("floor", function(x) return math.abs(x) < 1e15 and math.floor(x) or x end)
unary("sign", function(x) return x > 0 and 1 or x < 0 and -1 or 0 end, { apart = true })

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
    small = { with(a, { 16 }), with(b, { 16 }) }, large = { with(a, million), with(b, million) },
    dtypes = o.any and { "f32", "f64", "i64" } or nil, gives = o.gives,
    call = core[op],
    call_with = core.methods[op .. "_"] and function(method, x, y) return method(x, y) end,
    ref = function(x, y) return nd.zip(x, y, f) end,
  }
  cases[#cases + 1] = { -- a number on either side
    op = op, x = { with(a, { 3, 5 }) }, grad = o.grad, tol = o.tol,
    gives = o.gives and { o.gives[1], o.gives[1] },
    call = function(x) return core[op](x, 1.25), core[op](1.25, x) end,
    ref = function(x)
      return x:map(function(v) return f(v, 1.25) end), x:map(function(v) return f(1.25, v) end)
    end,
  }
  local odd = { nan, nan, 1.5, inf, inf, -inf, 0.0, 1e30 }
  local even = { 1.5, nan, nan, 1.5, -inf, -inf, 0.0, -1e30 }
  cases[#cases + 1] = { -- what is not a number stays so, what is infinite is compared
    op = op, x = { { 8, values = odd }, { 8, values = even } }, grad = false, call = core[op],
    gives = o.gives, ref = function(x, y) return nd.zip(x, y, o.special or f) end,
  }
end

-- NaN, should either be
local function or_nan(f)
  return function(x, y) return (x ~= x or y ~= y) and nan or f(x, y) end
end

binary("add", function(x, y) return x + y end, { any = true })
binary("sub", function(x, y) return x - y end, { any = true })
binary("mul", function(x, y) return x * y end, { any = true })
binary("div", function(x, y) return x / y end, { b = { from = 0.5, to = 2 } })
binary("pow", function(x, y) return x ^ y end, { a = { from = 0.5, to = 2 } })
binary("maximum", math.max, { any = true, special = or_nan(math.max) })
binary("minimum", math.min, { any = true, special = or_nan(math.min) })

for _, op in ipairs { "mul", "div" } do -- the wider dtype wins; each gradient keeps its own
  cases[#cases + 1] = {
    op = op, x = { { 3, 4 }, { 4, from = 0.5 } }, gives = { "f64" },
    call = function(x, y) return core[op](x, y:to("f64")) end,
    ref = function(x, y)
      return nd.zip(x, y, function(p, q) return op == "mul" and p * q or p / q end)
    end,
  }
end

local function compare(op, f)
  binary(op, f, { any = true, grad = false, gives = { "bool" } })
  cases[#cases + 1] = { -- equal elements
    op = op, x = { { 5, 5, ids = 2 }, { 5, 5, ids = 2 } }, dtypes = { "i64" }, grad = false,
    gives = { "bool" }, call = core[op], ref = function(x, y) return nd.zip(x, y, f) end,
  }
  cases[#cases + 1] = { -- a number that the tensor's dtype cannot hold
    op = op, x = { { 5, ids = 3 } }, dtypes = { "i64" }, grad = false, gives = { "bool", "bool" },
    call = function(x) return core[op](x:to("u8"), -1), core[op](x:to("i32"), 1 << 40) end,
    ref = function(x)
      return x:map(function(v) return f(v, -1) end), x:map(function(v) return f(v, 1 << 40) end)
    end,
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
  local function inputs(a, b)
    a.bool, b.bool = true, true
    return { a, two and b or nil }
  end
  cases[#cases + 1] = {
    op = op, x = inputs({ 3, 17 }, { 17 }), grad = false, dtypes = { "bool" }, call = core[op],
    more = { inputs({ 0 }, { 0 }), inputs({ 1 }, { 1 }), inputs({ 300 }, { 300 }) },
    small = inputs({ 16 }, { 16 }), large = inputs({ 1000, 1000 }, { 1000, 1000 }),
    ref = function(x, y) return two and nd.zip(x, y, f) or x:map(f) end,
  }
  cases[#cases + 1] = { -- of numbers: what is not 0 is true
    op = op, x = { { 9, ids = 3 }, two and { 9, ids = 2 } or nil }, grad = false,
    dtypes = { "i64" }, gives = { "bool" }, call = core[op],
    ref = function(x, y)
      if not two then return x:map(function(v) return f(v ~= 0) end) end
      return nd.zip(x, y, function(a, b) return f(a ~= 0, b ~= 0) end)
    end,
  }
end
logical("logical_and", function(x, y) return x and y end, true)
logical("logical_or", function(x, y) return x or y end, true)
logical("logical_not", function(x) return not x end)

cases[#cases + 1] = {
  op = "isnan", x = { { 3, 17 } }, more = sizes {}, grad = false, gives = { "bool" },
  small = { { 16 } }, large = { million }, call = core.isnan,
  ref = function(x) return x:map(function() return false end) end,
}
cases[#cases + 1] = {
  op = "isnan", x = { { 5, values = { nan, 1.5, inf, nan, -0.0 } } }, grad = false,
  gives = { "bool" }, call = core.isnan,
  ref = function(x) return x:map(function(v) return v ~= v end) end,
}

cases[#cases + 1] = {
  op = "clamp", x = { { 3, 5, apart = true } }, more = sizes { apart = true },
  big = { { 7, 300 } }, small = { { 16 } }, large = { million },
  call = function(x) return x:clamp(-0.75, 1.3) end,
  call_with = function(method, x) return method(x, -0.75, 1.3) end,
  ref = function(x)
    return x:map(function(v) return math.min(1.3000000000000000444, math.max(-0.75, v)) end)
  end,
}

cases[#cases + 1] = { -- whole bounds, or none, leave integers what they are
  op = "clamp", x = { { 3, 5 } }, dtypes = { "i64" }, grad = false,
  call = function(x) return x:clamp(-3, 5), x:clamp(2), x:clamp(nil, 2) end,
  ref = function(x)
    return x:map(function(v) return math.min(5, math.max(-3, v)) end),
           x:map(function(v) return math.max(2, v) end),
           x:map(function(v) return math.min(2, v) end)
  end,
}
cases[#cases + 1] = { -- a fraction does not
  op = "clamp", x = { { 3, 5 } }, dtypes = { "i64" }, grad = false, gives = { "f32" },
  call = function(x) return x:clamp(-0.5, 2.5) end,
  ref = function(x) return x:map(function(v) return math.min(2.5, math.max(-0.5, v)) end) end,
}
cases[#cases + 1] = {
  op = "clamp", x = { { 4, values = { nan, inf, -inf, 1.0 } } }, grad = false,
  call = function(x) return x:clamp(-2, 2) end,
  ref = function(x)
    return x:map(function(v) return v ~= v and v or math.min(2, math.max(-2, v)) end)
  end,
}

cases[#cases + 1] = {
  op = "where", x = { { 3, 4, bool = true }, { 4 }, { 3, 1 } },
  more = { { { bool = true }, { 3 }, { 2, 1 } }, { { 0, bool = true }, {}, { 1 } },
           { { 300, bool = true }, { 300 }, { 300 } } },
  big = { { 33, 65, bool = true }, { 33, 65 }, { 65 } }, dtypes = { "f32", "f64", "i64" },
  small = { { 16, bool = true }, { 16 }, { 16 } },
  large = { { 1000, 1000, bool = true }, million, million },
  call = core.where,
  ref = function(c, a, b)
    return nd.zip(c, nd.zip(a, b, function(x, y) return { x, y } end), function(m, p)
      return p[m and 1 or 2]
    end)
  end,
}
cases[#cases + 1] = { -- truth values stay truth values; a u8 condition is true where it is not 0
  op = "where", x = { { 9, ids = 3 }, { 9, bool = true }, { 9, bool = true } }, grad = false,
  dtypes = { "bool" }, call = function(c, a, b) return core.where(c:to("u8"), a, b) end,
  ref = function(c, a, b)
    return nd.new({ 9 }, function(i) return (c:at(i) ~= 0 and a or b):at(i) end)
  end,
}

cases[#cases + 1] = {
  op = "masked_fill", x = { { 3, 4 }, { 4, bool = true } },
  more = { { { 3, 1 }, { 3, 1, bool = true } }, { { 0, 4 }, { 4, bool = true } },
           { { 300 }, { 300, bool = true } }, { {}, { bool = true } } },
  big = { { 33, 65 }, { 65, bool = true } }, small = { { 16 }, { 16, bool = true } },
  large = { million, { 1000, 1000, bool = true } },
  call = function(x, m) return x:masked_fill(m, -2.5) end,
  call_with = function(method, x, m) return method(x, m, -2.5) end,
  ref = function(x, m) return nd.zip(x, m, function(v, b) return b and -2.5 or v end) end,
}

local function lower(r, c, k) return c <= r + k end
local function upper(r, c, k) return c >= r + k end
for _, k in ipairs { 0, -2, 1, 99 } do
  for _, way in ipairs { { "tril", lower }, { "triu", upper } } do
    local op, keeps = table.unpack(way)
    cases[#cases + 1] = {
      op = op, x = { { 2, 4, 5 } }, more = { { { 1, 1 } }, { { 0, 3 } }, { { 17, 3 } } },
      big = { { 33, 65 } }, small = { { 4, 4 } }, large = { million },
      dtypes = { "f32", "f64", "i64" },
      call = function(x) return core[op](x, k) end,
      call_with = function(method, x) return method(x, k) end,
      ref = function(x)
        return nd.new(x.shape, function(i)
          return keeps(i[#i - 1], i[#i], k) and x:at(i) or 0
        end)
      end,
    }
  end
end
cases[#cases + 1] = {
  op = "tril", x = { { 4, 5, bool = true } }, dtypes = { "bool" }, grad = false, call = core.tril,
  ref = function(x)
    return nd.new({ 4, 5 }, function(i) return i[2] <= i[1] and x:at(i) end)
  end,
}

-- ---- dropout ----

-- Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC 2011)
local function philox(x0, x1, x2, x3, k0, k1)
  for _ = 1, 10 do
    local a, b = 0xD2511F53 * x0, 0xCD9E8D57 * x2
    x0, x1, x2, x3 = b >> 32 ~ x1 ~ k0, b & 0xffffffff, a >> 32 ~ x3 ~ k1, a & 0xffffffff
    k0, k1 = k0 + 0x9E3779B9 & 0xffffffff, k1 + 0xBB67AE85 & 0xffffffff
  end
  return x0, x1, x2, x3
end

-- element e (from 0) takes word e % 4 of block e / 4; stream 1
local function uniform(e, seed, step, site)
  local word = { philox(e // 4, 0, step, site, seed & 0xffffffff, 1 ~ seed >> 32) }
  return (word[e % 4 + 1] >> 8) / 16777216
end

local seed = 7 << 33 | 11
cases[#cases + 1] = {
  op = "dropout", x = { { 3, 5 } }, more = { { { 1 } }, { { 2, 0 } }, { { 17 } }, { { 300 } } },
  big = { { 33, 65 } }, small = { { 16 } }, large = { million },
  call = function(x) return core.dropout(x, 0.25, { seed = seed, step = 3, site = 2 }) end,
  ref = function(x)
    local e = -1
    return x:map(function(v)
      e = e + 1
      return uniform(e, seed, 3, 2) >= 0.25 and v / 0.75 or 0.0
    end)
  end,
}
cases[#cases + 1] = {
  op = "dropout", x = { { 3, 5 } }, call = function(x) return core.dropout(x, 0) end,
  ref = function(x) return x end,
}

return cases
