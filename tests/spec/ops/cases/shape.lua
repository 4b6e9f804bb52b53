--- Ops that move elements or look at them differently.
local core = require "moonlit.core"
local nd = require "ops.nd"

local cases = {}

local numbers = { "f32", "f64", "i64" }

-- moved(op, shape, call, the result's shape or a function of x's, where its element i comes from);
-- o.more: other shapes; small and large ones are for an op's first case
local function moved(op, shape, call, sizes, from, o)
  o = o or {}
  local more = {}
  for k, s in ipairs(o.more or {}) do more[k] = { s } end
  cases[#cases + 1] = {
    op = op, x = { shape }, dtypes = numbers, call = call, more = more,
    small = { o.small or { 4, 4 } }, large = { o.large or { 1000, 1000 } },
    ref = function(a)
      local size = type(sizes) == "function" and sizes(a.shape) or sizes
      return nd.new(size, function(i) return a:at(from(i, a.shape)) end)
    end,
  }
end

local function reversed(i) return { i[2], i[1] } end
local function same(s) return s end

-- element e (from 0) of an array of these sizes
local function unravel(e, shape)
  local i = {}
  for d = #shape, 1, -1 do i[d], e = e % shape[d] + 1, e // shape[d] end
  return i
end
local function ravel(i, shape)
  local e = 0
  for d, s in ipairs(shape) do e = e * s + i[d] - 1 end
  return e
end
local function recut(size) -- of the same elements in the same order
  return function(i, shape) return unravel(ravel(i, size(shape)), shape) end
end

moved("narrow", { 3, 8 }, function(x) return x:narrow(2, 2, 2) end,
      function(s) return { s[1], 2 } end, function(i) return { i[1], i[2] + 1 } end,
      { more = { { 1, 3 }, { 0, 4 } } })
moved("narrow", { 9, 2 }, function(x) return x:narrow(1, 2, 3, 3) end, { 3, 2 },
      function(i) return { 3 * i[1] - 1, i[2] } end)
moved("narrow", { 9 }, function(x) return x:narrow(1, -2, 2), x:narrow(-1, 9, 0) end, { 2 },
      function(i) return { i[1] + 7 } end)
cases[#cases].ref = function(a)
  return nd.new({ 2 }, function(i) return a[i[1] + 7] end), nd.new({ 0 })
end
moved("select", { 3, 4, 2 }, function(x) return x:select(2, 3) end,
      function(s) return { s[1], s[3] } end, function(i) return { i[1], 3, i[2] } end,
      { more = { { 1, 3, 1 }, { 0, 4, 2 } }, small = { 4, 4, 1 }, large = { 1000, 10, 100 } })
moved("select", { 3, 4 }, function(x) return x:select(1, -1) end, { 4 },
      function(i) return { 3, i[1] } end)
moved("transpose", { 2, 3, 4 }, function(x) return x:transpose(1, -1) end,
      function(s) return { s[3], s[2], s[1] } end, function(i) return { i[3], i[2], i[1] } end,
      { more = { { 1, 1, 1 }, { 0, 2, 3 } }, small = { 4, 2, 2 }, large = { 100, 100, 100 } })
moved("t", { 3, 4 }, function(x) return x:t() end, function(s) return { s[2], s[1] } end, reversed,
      { more = { { 1, 1 }, { 0, 3 }, { 17, 16 } } })
moved("permute", { 2, 3, 4 }, function(x) return x:permute(2, -1, 1) end,
      function(s) return { s[2], s[3], s[1] } end, function(i) return { i[3], i[1], i[2] } end,
      { more = { { 1, 1, 1 }, { 3, 0, 2 } }, small = { 4, 2, 2 }, large = { 100, 100, 100 } })
moved("permute", {}, function(x) return x:permute {} end, {}, same)
moved("unsqueeze", { 3, 4 }, function(x) return x:unsqueeze(2) end,
      function(s) return { s[1], 1, s[2] } end, function(i) return { i[1], i[3] } end,
      { more = { { 0, 3 } } })
moved("unsqueeze", { 3, 4 }, function(x) return x:unsqueeze(-1) end, { 3, 4, 1 },
      function(i) return { i[1], i[2] } end)
moved("squeeze", { 3, 1, 4, 1 }, function(x) return x:squeeze(2) end,
      function(s) return { s[1], s[3], s[4] } end, function(i) return { i[1], 1, i[2], i[3] } end,
      { more = { { 0, 1, 2, 3 } }, small = { 4, 1, 4, 1 }, large = { 1000, 1, 1000, 1 } })
moved("squeeze", { 3, 1, 4, 1 }, function(x) return x:squeeze() end, { 3, 4 },
      function(i) return { i[1], 1, i[2], 1 } end)
moved("squeeze", { 1, 1 }, function(x) return x:squeeze() end, {},
      function() return { 1, 1 } end)
moved("expand", { 3, 1 }, function(x) return x:expand(2, x:size(1), 4) end,
      function(s) return { 2, s[1], 4 } end, function(i) return { i[2], 1 } end,
      { more = { { 1, 1 }, { 0, 1 } }, small = { 16, 1 }, large = { 1000000, 1 } })
moved("expand", { 3, 1 }, function(x) return x:expand(2, -1, 0) end, { 2, 3, 0 }, same)
moved("contiguous", { 3, 4 }, function(x) return x:t():contiguous() end,
      function(s) return { s[2], s[1] } end, reversed, { more = { { 17, 16 }, { 0, 3 } } })
moved("clone", { 3, 4 }, function(x) return x:clone() end, same, same,
      { more = { { 300 }, { 17 }, { 0 }, {} } })
moved("flatten", { 2, 3, 4 }, function(x) return x:flatten() end,
      function(s) return { nd.count(s) } end, recut(function(s) return { nd.count(s) } end),
      { more = { {}, { 0, 3 }, { 300 } } })
local function rows_of_two(s) return { 2, nd.count(s) // 2 } end
moved("reshape", { 2, 3, 4 }, function(x) return x:reshape(2, -1) end, rows_of_two,
      recut(rows_of_two), { more = { { 4 }, { 2, 17 } } })
moved("reshape", { 0, 3 }, function(x) return x:reshape(3, 0, 2) end, { 3, 0, 2 }, same)
moved("reshape", { 1, 1 }, function(x) return x:reshape {} end, {},
      function() return { 1, 1 } end)
moved("view", { 2, 6 }, function(x) return x:contiguous():view(2, -1, 1) end,
      function(s) return { 2, nd.count(s) // 2, 1 } end,
      recut(function(s) return { 2, nd.count(s) // 2, 1 } end), { more = { { 4 }, { 2, 17 } } })
moved("view", { 3, 4, 2 }, function(x) -- dimensions that are one in memory, of a view that is not
  return x:contiguous():narrow(3, 1, 1):view(12)
end, { 12 }, function(i) return { (i[1] - 1) // 4 + 1, (i[1] - 1) % 4 + 1, 1 } end)
moved("strided", { 12 }, function(x) return x:contiguous():clone():strided({ 4, 3, 2, 1 }, 1) end,
      { 4, 3 }, function(i) return { 2 * (i[1] - 1) + i[2] - 1 + 2 } end,
      { more = { { 300 } }, small = { 16 }, large = { 1000000 } })

cases[#cases + 1] = {
  op = "to", x = { { 3, 17 } }, dtypes = { "f32" }, gives = { "f64" }, grad = false,
  more = { { { 0 } }, { {} }, { { 300 } } }, small = { { 16 } }, large = { { 1000, 1000 } },
  call = function(x) return x:to("f64") end, ref = function(a) return a end,
}
cases[#cases + 1] = {
  op = "to", x = { { 3, 17 } }, dtypes = { "f64" }, gives = { "f32" }, grad = false,
  call = function(x) return x:to("f32") end,
  ref = function(a)
    return a:map(function(v) return string.unpack("<f", string.pack("<f", v)) end)
  end,
}
cases[#cases + 1] = { -- the gradient comes back in the dtype it left
  op = "to", x = { { 3, 5 } }, grad = false, dtypes = { "f64" }, gives = { "f64" },
  call = function(x)
    local leaf = x:clone():requires_grad(true)
    leaf:to("f32"):backward(x:to("f32"))
    return leaf:grad()
  end,
  ref = function(a)
    return a:map(function(v) return string.unpack("<f", string.pack("<f", v)) end)
  end,
}
cases[#cases + 1] = {
  op = "to", x = { { 3, 17 } }, dtypes = { "f64" }, call = function(x) return x:to("f64") end,
  ref = function(a) return a end,
}
cases[#cases + 1] = {
  op = "to", x = { { 3, 17, from = -9, to = 9 } }, grad = false, gives = { "i64" },
  call = function(x) return x:to("i64") end,
  ref = function(a)
    return a:map(function(v) return v < 0 and math.ceil(v) or math.floor(v) end)
  end,
}

cases[#cases + 1] = { -- what does not fit is the nearest that does; NaN is 0, and true
  op = "to", x = { { 5, values = { 0 / 0, -1e30, 1e30, 2.7, -0.0 } } }, grad = false,
  gives = { "u8", "i32", "bool" },
  call = function(x) return x:to("u8"), x:to("i32"), x:to("bool") end,
  ref = function()
    local function list(l) return nd.new({ 5 }, function(i) return l[i[1]] end) end
    return list { 0, 0, 255, 2, 0 }, list { 0, -2147483648, 2147483647, 2, 0 },
           list { true, true, true, true, false }
  end,
}

for d = 1, 2 do
  cases[#cases + 1] = {
    op = "cat", dtypes = numbers,
    x = d == 2 and { { 2, 3 }, { 2, 1 }, { 2, 0 }, { 2, 4 } } or { { 3, 2 }, { 1, 2 }, { 0, 2 } },
    more = { { { 1, 1 } }, { { 0, 0 }, { 0, 0 } }, { { 17, 17 }, { 17, 17 } } },
    small = { { 4, 2 }, { 4, 2 } }, large = { { 1000, 500 }, { 1000, 500 } },
    call = function(...) return core.cat({ ... }, d) end,
    ref = function(...)
      local parts, size = { ... }, 0
      for _, p in ipairs(parts) do size = size + p.shape[d] end
      return nd.new(nd.changed(parts[1].shape, d, size), function(i)
        local c, p = i[d], 1
        while c > parts[p].shape[d] do c, p = c - parts[p].shape[d], p + 1 end
        return parts[p]:at(nd.changed(i, d, c))
      end)
    end,
  }
end
local many, each = {}, {}
for k = 1, 20 do many[k], each[k] = { 1, 2 }, {} end
cases[#cases + 1] = { -- more inputs than a node has room for at once; the first dimension
  op = "cat", x = many, dtypes = numbers, call = function(...) return core.cat { ... } end,
  ref = function(...)
    local parts = { ... }
    return nd.new({ #parts, 2 }, function(i) return parts[i[1]]:at { 1, i[2] } end)
  end,
}
for d = 1, 3 do
  cases[#cases + 1] = {
    op = "stack", x = { { 2, 3 }, { 2, 3 } }, dtypes = numbers,
    more = { { { 0, 3 }, { 0, 3 } }, { { 1, 1 } }, { { 16, 17 }, { 16, 17 } } },
    small = { { 4, 2 }, { 4, 2 } }, large = { { 1000, 500 }, { 1000, 500 } },
    call = function(...) return core.stack({ ... }, d) end,
    ref = function(...)
      local parts = { ... }
      local shape = nd.inserted(parts[1].shape, d, #parts)
      return nd.new(shape, function(i) return parts[i[d]]:at(nd.without(i, d)) end)
    end,
  }
end
cases[#cases + 1] = { -- single numbers become a list
  op = "stack", x = each, dtypes = numbers, call = function(...) return core.stack { ... } end,
  ref = function(...)
    local parts = { ... }
    return nd.new({ #parts }, function(i) return parts[i[1]][1] end)
  end,
}

return cases
