--- Ops that go through a dimension: sums and their kin, extremes, order, softmax.
local core = require "moonlit.core"
local nd = require "ops.nd"

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
    return s / math.max(#line - correction, 0)
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
    local function sized(...) return { { apart = x.apart, bool = x.bool, ... } } end
    cases[#cases + 1] = {
      op = op, x = { x }, more = more, big = sized(33, 300), gives = o.gives,
      small = sized(4, 4), large = sized(1000, 1000),
      dtypes = o.dtypes, grad = o.grad, tol = o.tol, ties_matter = o.apart,
      call = function(t) return core[op](t, d, opt) end,
      ref = function(a) return a:fold(d, f, keep) end,
    }
  end
  local function spec(...) return { apart = o.apart, bool = o.bool, ... } end
  local function lists(...)
    local list = {}
    for i, x in ipairs { ... } do list[i] = { x } end
    return list
  end
  local none = not o.something and spec(0) or nil -- does the op have a value for nothing?
  case(nil, false, spec(3, 5), lists(spec(1), spec(3), spec(16), spec(17), spec(300), none))
  case(1, false, spec(3, 5), lists(spec(300, 2), spec(1, 3), spec(3, 0), none and spec(0, 3)))
  case(2, false, spec(2, 3, 4), lists(spec(3, 16), none and spec(3, 0)))
  if o.opt then return end
  case(2, true, spec(3, 5), lists(spec(3, 17), spec(1, 300), spec(0, 3)))
  case(nil, true, spec(3, 5), lists(spec(2, 1, 3)))
end

fold("sum", sum, { dtypes = { "f32", "f64", "i64" }, tol = 4e-6 })
fold("mean", mean)
fold("var", var(1))
fold("var", var(0), { opt = { correction = 0 } })
cases[#cases + 1] = { -- more corrected for than there is
  op = "var", x = { { 3, 2 } }, grad = false,
  call = function(x) return core.var(x, 2, { correction = 5 }) end,
  ref = function(a) return a:fold(2, var(5)) end,
}
fold("norm", norm)
cases[#cases + 1] = { -- a norm of 0 has gradient 0, where differences have none
  op = "norm", x = { { 3 } }, grad = false,
  call = function(x)
    local zero = (x * 0):detach():requires_grad(true)
    local y = zero:norm()
    y:backward()
    return y:detach(), zero:grad()
  end,
  ref = function(a)
    return a:fold(nil, function() return 0 end), a:map(function() return 0 end)
  end,
}
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
for _, op in ipairs { "any", "all" } do -- of numbers: what is not 0 is true
  cases[#cases + 1] = {
    op = op, x = { { 5, 4, ids = 3 } }, dtypes = { "i64" }, grad = false, gives = { "bool" },
    call = function(x) return core[op](x, 2) end,
    ref = function(a)
      local test = op == "any" and any or all
      return a:map(function(v) return v ~= 0 end):fold(2, test)
    end,
  }
end

local function best(line, better)
  local at = 1
  for i = 2, #line do if better(line[i], line[at]) then at = i end end
  return at
end
local function more(a, b) return a > b end
local function less(a, b) return a < b end

local choice = { apart = true, something = true, grad = false, gives = { "i64" },
                 dtypes = { "f32", "f64", "i64" } }
fold("argmax", function(line) return best(line, more) end, choice)
fold("argmin", function(line) return best(line, less) end, choice)
fold("argmax_ids", function(line) return best(line, more) - 1 end, choice)

for _, way in ipairs { { "amax", more }, { "amin", less } } do
  local op, better = table.unpack(way)
  cases[#cases + 1] = {
    op = op, x = { { 3, 5, apart = true } }, dtypes = { "f32", "f64", "i64" }, ties_matter = true,
    more = { { { 1 } }, { { 3, apart = true } }, { { 17, apart = true } }, { { 300 } }, { {} } },
    big = { { 33, 300, apart = true } }, small = { { 16 } }, large = { { 1000, 1000 } },
    call = function(x) return core[op](x) end,
    ref = function(a) return a:fold(nil, function(line) return line[best(line, better)] end) end,
  }
end

for _, way in ipairs { { "max_along", more }, { "min_along", less } } do
  local op, better = table.unpack(way)
  for d = 1, 2 do
    for _, keep in ipairs { false, true } do
      cases[#cases + 1] = {
        op = op, x = { { 4, 5, apart = true } }, big = { { 33, 300, apart = true } },
        small = { { 4, 4 } }, large = { { 1000, 1000 } }, gives = { "same", "i64" },
        more = { { { 1, 1 } }, { { 3, 17, apart = true } }, { { 16, 3, apart = true } },
                 { d == 1 and { 3, 0 } or { 0, 3 } } },
        dtypes = { "f32", "f64", "i64" }, ties_matter = true,
        call = function(x) return core[op](x, d, { keepdim = keep }) end,
        ref = function(a)
          return a:fold(d, function(line) return line[best(line, better)] end, keep),
                 a:fold(d, function(line) return best(line, better) end, keep)
        end,
      }
    end
  end
end

-- NaN is the largest and the smallest: the first one is found
for _, op in ipairs { "max_along", "min_along" } do
  cases[#cases + 1] = {
    op = op, x = { { 2, 3, values = { 1.0, 0 / 0, 3.0, 0 / 0, 2.0, 0 / 0 } } }, grad = false,
    gives = { "same", "i64" }, call = function(x) return core[op](x, 2) end,
    ref = function(a)
      return a:fold(2, function() return 0 / 0 end),
             a:fold(2, function(line) return line[1] ~= line[1] and 1 or 2 end)
    end,
  }
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
  local top, total, out = -math.huge, 0, {}
  for _, v in ipairs(line) do top = math.max(top, v) end
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
      op = op, x = { { 3, 5 } }, big = { { 33, 300 } },
      more = { { { 2, 17 } }, { { 1, 1 } }, { { 16, 3 } }, { { 300, 2 } }, { { 0, 3 } },
               { { 3, 0 } }, { { 2, 3, 4 } } },
      small = { { 4, 4 } }, large = { { 1000, 1000 } }, dtypes = o and o.dtypes, tol = 4e-6,
      call = function(x) return core[op](x, d) end,
      ref = function(a) return a:along(d, f) end,
    }
  end
end
along("cumsum", running, { dtypes = { "f32", "f64", "i64" } })
along("softmax", softmax)
along("log_softmax", log_softmax)
for _, way in ipairs { { "softmax", softmax }, { "log_softmax", log_softmax } } do
  cases[#cases + 1] = { -- what is masked out; a row far from 0
    op = way[1], x = { { 2, 3, values = { -math.huge, 1.0, 2.0, 1000.0, 999.0, -1e30 } } },
    grad = false, call = function(x) return core[way[1]](x, 2) end,
    ref = function(a)
      if way[1] == "softmax" then return a:along(2, softmax) end
      return nd.new({ 2, 3 }, function(i)
        local line = a:line(2, i)
        local top = math.max(table.unpack(line))
        local total = 0
        for _, v in ipairs(line) do total = total + math.exp(v - top) end
        return line[i[2]] - top - math.log(total)
      end)
    end,
  }
end

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

local lines = { { { 1, 1 } }, { { 3, 16, apart = true } }, { { 17, 3, apart = true } } }

for _, descending in ipairs { false, true } do
  for d = 1, 2 do
    cases[#cases + 1] = {
      op = "sort", x = { { 4, 6, apart = true } }, big = { { 33, 300, apart = true } },
      more = { lines[1], lines[2], lines[3], { { 0, 3 } }, { { 3, 0 } } },
      small = { { 4, 4 } }, large = { { 1000, 1000 } }, gives = { "same", "i64" },
      dtypes = { "f32", "f64", "i64" }, ties_matter = true,
      call = function(x) return core.sort(x, d, { descending = descending }) end,
      ref = function(a) return ordered(a, d, descending and more or less, nil, 0) end,
    }
  end
end
cases[#cases + 1] = { -- the last dimension, ascending, unless told
  op = "sort", x = { { 2, 2, 5, apart = true } }, gives = { "same", "i64" }, ties_matter = true,
  call = core.sort, ref = function(a) return ordered(a, 3, less, nil, 0) end,
}
cases[#cases + 1] = { -- NaN last, either way
  op = "sort", x = { { 4, values = { 2.0, 0 / 0, 3.0, -math.huge } } }, grad = false,
  gives = { "same", "i64", "same", "i64" },
  call = function(x)
    local up, up_at = core.sort(x)
    local down, down_at = core.sort(x, 1, { descending = true })
    return up, up_at, down, down_at
  end,
  ref = function(a)
    local function pick(list) return nd.new({ 4 }, function(i) return a[list[i[1]]] end) end
    local function list(l) return nd.new({ 4 }, function(i) return l[i[1]] end) end
    local up, down = { 4, 1, 3, 2 }, { 3, 1, 4, 2 }
    return pick(up), list(up), pick(down), list(down)
  end,
}

for _, way in ipairs { { "topk", 0 }, { "topk_ids", -1 } } do
  local op, shift = table.unpack(way)
  for d = 1, 2 do
    cases[#cases + 1] = {
      op = op, x = { { 5, 6, apart = true } }, big = { { 33, 300, apart = true } },
      more = { lines[2], lines[3], { d == 1 and { 3, 0 } or { 0, 3 } } },
      small = { { 4, 4 } }, large = { { 1000, 1000 } }, gives = { "same", "i64" },
      dtypes = { "f32", "f64", "i64" }, ties_matter = true,
      call = function(x) return core[op](x, 3, d) end,
      ref = function(a) return ordered(a, d, more, 3, shift) end,
    }
  end
end

cases[#cases + 1] = { -- ties: the first wins, the lowest position comes first
  op = "topk", x = { { 3, 40, ids = 3 } }, grad = false, dtypes = { "i64" },
  call = function(x) return core.topk(x, 20) end,
  ref = function(a) return ordered(a, 2, more, 20, 0) end,
}

return cases
