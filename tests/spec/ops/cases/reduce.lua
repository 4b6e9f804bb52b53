--- Ops that go through a dimension: sums and their kin, extremes, order, softmax.
local core = require "moonlit.core"
local ml = require "moonlit"

local cases = {}

local function sum(line)
  local s = 0
  for _, v in ipairs(line) do s = s + v end
  return s
end
local function mean(line) return sum(line) / #line end
local function var(correction)
  return function(line)
    local m, s = mean(line), 0
    for _, v in ipairs(line) do s = s + (v - m) ^ 2 end
    return s / (#line - correction)
  end
end
local function norm(line)
  local s = 0
  for _, v in ipairs(line) do s = s + v * v end
  return math.sqrt(s)
end

-- op over nothing, each dimension, and with the dimension kept
local function fold(op, f, o)
  o = o or {}
  local function case(d, keep, x, more)
    local opt = o.opt or keep and { keepdim = true } or nil
    cases[#cases + 1] = {
      op = op, x = { x }, more = more, big = d and { { 33, 300, apart = x.apart, bool = x.bool } },
      dtypes = o.dtypes, grad = o.grad, tol = o.tol,
      call = function(t) return core[op](t, d, opt) end,
      ref = function(a) return a:fold(d, f, keep) end,
    }
  end
  local function spec(...) return { apart = o.apart, bool = o.bool, ... } end
  case(nil, false, spec(3, 5))
  case(1, false, spec(3, 5), { { spec(300, 2) } })
  case(2, false, spec(2, 3, 4))
  if not o.opt then case(2, true, spec(3, 5), { { spec(3, 17) }, { spec(1, 300) } }) end
end

fold("sum", sum, { dtypes = { "f32", "f64", "i64" }, tol = 4e-6 })
fold("mean", mean)
fold("var", var(1))
fold("var", var(0), { opt = { correction = 0 } })
fold("norm", norm)
local function any(line)
  for _, v in ipairs(line) do if v then return true end end
  return false
end
local function all(line)
  for _, v in ipairs(line) do if not v then return false end end
  return true
end
fold("any", any, { bool = true, dtypes = { "bool" }, grad = false })
fold("all", all, { bool = true, dtypes = { "bool" }, grad = false })

local function best(line, better)
  local at = 1
  for i = 2, #line do if better(line[i], line[at]) then at = i end end
  return at
end
local function more(a, b) return a > b end
local function less(a, b) return a < b end

for op, better in pairs { argmax = more, argmin = less } do
  fold(op, function(line) return best(line, better) end,
       { apart = true, grad = false, dtypes = { "f32", "f64", "i64" } })
end
fold("argmax_ids", function(line) return best(line, more) - 1 end, { apart = true, grad = false })

for op, better in pairs { amax = more, amin = less } do
  cases[#cases + 1] = {
    op = op, x = { { 3, 5, apart = true } }, more = { { { 1 } }, { { 300 } } },
    dtypes = { "f32", "f64", "i64" },
    call = function(x) return core[op](x) end,
    ref = function(a) return a:fold(nil, function(line) return line[best(line, better)] end) end,
    wrong = { { function() core[op](ml.zeros(0)) end, "no element to choose from in (0)" } },
  }
end

for op, better in pairs { max_along = more, min_along = less } do
  for d = 1, 2 do
    cases[#cases + 1] = {
      op = op, x = { { 4, 5, apart = true } }, big = { { 33, 300, apart = true } },
      dtypes = { "f32", "f64", "i64" },
      call = function(x) return core[op](x, d) end,
      ref = function(a)
        return a:fold(d, function(line) return line[best(line, better)] end),
               a:fold(d, function(line) return best(line, better) end)
      end,
    }
  end
end

-- ---- lines to lines ----

local function running(line)
  local out, s = {}, 0
  for i, v in ipairs(line) do
    s = s + v
    out[i] = s
  end
  return out
end

local function softmax(line)
  local top, total, out = math.max(table.unpack(line)), 0, {}
  for i, v in ipairs(line) do
    out[i] = math.exp(v - top)
    total = total + out[i]
  end
  for i in ipairs(out) do out[i] = out[i] / total end
  return out
end

local function log_softmax(line)
  local out = softmax(line)
  for i, p in ipairs(out) do out[i] = math.log(p) end
  return out
end

local function along(op, f, o)
  for d = 1, 2 do
    cases[#cases + 1] = {
      op = op, x = { { 3, 5 } }, more = { { { 2, 17 } }, { { 1, 1 } } }, big = { { 33, 300 } },
      dtypes = o and o.dtypes, tol = 4e-6,
      call = function(x) return core[op](x, d) end,
      ref = function(a) return a:along(d, f) end,
    }
  end
end
along("cumsum", running, { dtypes = { "f32", "f64", "i64" } })
along("softmax", softmax)
along("log_softmax", log_softmax)

-- positions of a line in order; equal values keep theirs
local function order(line, better)
  local at = {}
  for i = 1, #line do at[i] = i end
  table.sort(at, function(i, j)
    if line[i] == line[j] then return i < j end
    return better(line[i], line[j])
  end)
  return at
end

local function ordered(a, d, better, k, shift)
  local function values(line)
    local out = {}
    for i, at in ipairs(order(line, better)) do out[i] = line[at] end
    return out
  end
  local function places(line)
    local out = order(line, better)
    for i in ipairs(out) do out[i] = out[i] + shift end
    return out
  end
  return a:along(d, values, k), a:along(d, places, k)
end

for _, descending in ipairs { false, true } do
  for d = 1, 2 do
    cases[#cases + 1] = {
      op = "sort", x = { { 4, 6, apart = true } }, big = { { 33, 300, apart = true } },
      dtypes = { "f32", "f64", "i64" },
      call = function(x) return core.sort(x, d, { descending = descending }) end,
      ref = function(a) return ordered(a, d, descending and more or less, nil, 0) end,
    }
  end
end

for op, shift in pairs { topk = 0, topk_ids = -1 } do
  for d = 1, 2 do
    cases[#cases + 1] = {
      op = op, x = { { 5, 6, apart = true } }, big = { { 33, 300, apart = true } },
      call = function(x) return core[op](x, 3, d) end,
      ref = function(a) return ordered(a, d, more, 3, shift) end,
      wrong = { { function() core[op](ml.zeros(2), 3) end, op .. ":" } },
    }
  end
end

cases[#cases + 1] = { -- ties: the first wins, the lowest position comes first
  op = "topk", x = { { 3, 40, ids = 3 } }, grad = false, dtypes = { "i64" },
  call = function(x) return core.topk(x, 20, 2) end,
  ref = function(a) return ordered(a, 2, more, 20, 0) end,
}

return cases
