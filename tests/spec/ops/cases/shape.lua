--- Ops that move elements or look at them differently.
local core = require "moonlit.core"
local ml = require "moonlit"
local nd = require "ops.nd"

local cases = {}

-- moved(op, shape, call, sizes of the result, where its element i comes from)
local function moved(op, shape, call, sizes, from, o)
  o = o or {}
  cases[#cases + 1] = {
    op = op, x = { shape }, dtypes = { "f32", "f64", "i64" }, call = call, wrong = o.wrong,
    ref = function(a) return nd.new(sizes, function(i) return a:at(from(i)) end) end,
  }
end

moved("narrow", { 3, 8 }, function(x) return x:narrow(2, 3, 4) end, { 3, 4 },
      function(i) return { i[1], i[2] + 2 } end,
      { wrong = { { function() ml.zeros(3):narrow(1, 2, 3) end, "narrow:" } } })
moved("narrow", { 9, 2 }, function(x) return x:narrow(1, 2, 3, 3) end, { 3, 2 },
      function(i) return { 3 * i[1] - 1, i[2] } end)
moved("select", { 3, 4, 2 }, function(x) return x:select(2, 3) end, { 3, 2 },
      function(i) return { i[1], 3, i[2] } end,
      { wrong = { { function() ml.zeros(3):select(1, 4) end, "select:" } } })
moved("select", { 3, 4 }, function(x) return x:select(1, -1) end, { 4 },
      function(i) return { 3, i[1] } end)
moved("transpose", { 2, 3, 4 }, function(x) return x:transpose(1, 3) end, { 4, 3, 2 },
      function(i) return { i[3], i[2], i[1] } end)
moved("t", { 3, 4 }, function(x) return x:t() end, { 4, 3 },
      function(i) return { i[2], i[1] } end)
moved("permute", { 2, 3, 4 }, function(x) return x:permute(2, 3, 1) end, { 3, 4, 2 },
      function(i) return { i[3], i[1], i[2] } end,
      { wrong = { { function() ml.zeros(3, 4):permute(1, 1) end, "permute:" } } })
moved("unsqueeze", { 3, 4 }, function(x) return x:unsqueeze(2) end, { 3, 1, 4 },
      function(i) return { i[1], i[3] } end)
moved("squeeze", { 3, 1, 4, 1 }, function(x) return x:squeeze(2) end, { 3, 4, 1 },
      function(i) return { i[1], 1, i[2], 1 } end,
      { wrong = { { function() ml.zeros(3):squeeze(1) end, "squeeze:" } } })
moved("squeeze", { 3, 1, 4, 1 }, function(x) return x:squeeze() end, { 3, 4 },
      function(i) return { i[1], 1, i[2], 1 } end)
moved("expand", { 3, 1 }, function(x) return x:expand(2, 3, 4) end, { 2, 3, 4 },
      function(i) return { i[2], 1 } end,
      { wrong = { { function() ml.zeros(3):expand(4) end, "expand:" } } })
moved("contiguous", { 3, 4 }, function(x) return x:t():contiguous() end, { 4, 3 },
      function(i) return { i[2], i[1] } end)
moved("clone", { 3, 4 }, function(x) return x:clone() end, { 3, 4 }, function(i) return i end)
moved("flatten", { 2, 3, 4 }, function(x) return x:flatten() end, { 24 }, function(i)
  local e = i[1] - 1
  return { e // 12 + 1, e // 4 % 3 + 1, e % 4 + 1 }
end)
moved("reshape", { 2, 3, 4 }, function(x) return x:reshape(4, -1) end, { 4, 6 }, function(i)
  local e = (i[1] - 1) * 6 + i[2] - 1
  return { e // 12 + 1, e // 4 % 3 + 1, e % 4 + 1 }
end, { wrong = { { function() ml.zeros(6):reshape(4, -1) end, "reshape:" } } })
moved("view", { 2, 6 }, function(x) return x:contiguous():view(3, 4) end, { 3, 4 }, function(i)
  local e = (i[1] - 1) * 4 + i[2] - 1
  return { e // 6 + 1, e % 6 + 1 }
end, { wrong = { { function() ml.zeros(2, 6):t():view(12) end, "view:" } } })
moved("strided", { 12 }, function(x) return x:contiguous():clone():strided({ 4, 3, 2, 1 }, 1) end,
      { 4, 3 }, function(i) return { 2 * (i[1] - 1) + i[2] - 1 + 2 } end)

cases[#cases + 1] = {
  op = "to", x = { { 3, 17 } }, big = { { 33, 65 } },
  call = function(x) return x:to(x:dtype() == "f64" and "f32" or "f64"):to("f64") end,
  ref = function(a)
    return a:map(function(v) return string.unpack("<f", string.pack("<f", v)) end)
  end, grad = false,
}
cases[#cases + 1] = {
  op = "to", x = { { 3, 17 } }, dtypes = { "f64" }, call = function(x) return x:to("f64") end,
  ref = function(a) return a end,
}
cases[#cases + 1] = {
  op = "to", x = { { 3, 17, from = -9, to = 9 } }, grad = false,
  call = function(x) return x:to("i64") end,
  ref = function(a)
    return a:map(function(v) return v < 0 and math.ceil(v) or math.floor(v) end)
  end,
}

cases[#cases + 1] = {
  op = "cat", x = { { 2, 3 }, { 2, 1 }, { 2, 0 }, { 2, 4 } }, dtypes = { "f32", "f64", "i64" },
  call = function(...) return core.cat({ ... }, 2) end,
  ref = function(...)
    local parts = { ... }
    return nd.new({ 2, 8 }, function(i)
      local c, p = i[2], 1
      while c > parts[p].shape[2] do c, p = c - parts[p].shape[2], p + 1 end
      return parts[p]:at { i[1], c }
    end)
  end,
  wrong = { { function() core.cat { ml.zeros(2, 3), ml.zeros(2, 4) } end, "cat:" } },
}
cases[#cases + 1] = {
  op = "stack", x = { { 2, 3 }, { 2, 3 } }, dtypes = { "f32", "f64", "i64" },
  call = function(a, b) return core.stack({ a, b }, 2) end,
  ref = function(a, b)
    return nd.new({ 2, 2, 3 }, function(i) return ({ a, b })[i[2]]:at { i[1], i[3] } end)
  end,
  wrong = { { function() core.stack { ml.zeros(2), ml.zeros(3) } end, "stack:" } },
}

return cases
