--- Ops that take elements by position (from 1) or by id (from 0).
local core = require "moonlit.core"
local ml = require "moonlit"
local nd = require "ops.nd"

local cases = {}

for op, base in pairs { gather = 0, gather_ids = 1 } do
  for d = 1, 2 do
    local index = base == 0 and { positions = d == 1 and 4 or 5 } or { ids = d == 1 and 4 or 5 }
    index[1], index[2] = d == 1 and 3 or 4, d == 1 and 5 or 7
    cases[#cases + 1] = {
      op = op, x = { { 4, 5 }, index }, dtypes = { "f32", "f64", "i64" },
      call = function(x, at) return core[op](x, d, at) end,
      ref = function(x, at)
        return nd.new(at.shape, function(i) return x:at(nd.changed(i, d, at:at(i) + base)) end)
      end,
      wrong = { { function() core[op](ml.zeros(2), 1, ml.tensor { 3 }) end, op .. ":" } },
    }
  end
end

cases[#cases + 1] = { -- equal positions add up
  op = "scatter_add", x = { { 3, 5 }, { 3, 8, positions = 5 }, { 3, 8 } },
  big = { { 33, 50 }, { 33, 200, positions = 50 }, { 33, 200 } },
  call = function(x, at, src) return core.scatter_add(x, 2, at, src) end,
  ref = function(x, at, src)
    return nd.new(x.shape, function(i)
      local s = x:at(i)
      for k = 1, at.shape[2] do
        if at:at { i[1], k } == i[2] then s = s + src:at { i[1], k } end
      end
      return s
    end)
  end,
  wrong = { { function()
    core.scatter_add(ml.zeros(2), 1, ml.tensor { 3 }, ml.zeros(1))
  end, "scatter_add:" } },
}

for d = 1, 2 do
  cases[#cases + 1] = {
    op = "index_select", x = { { 4, 5 }, { 7, positions = 4 } }, dtypes = { "f32", "f64", "i64" },
    call = function(x, at) return core.index_select(x, d, at) end,
    ref = function(x, at)
      return nd.new(nd.changed(x.shape, d, 7), function(i)
        return x:at(nd.changed(i, d, at[i[d]]))
      end)
    end,
    wrong = { { function() core.index_select(ml.zeros(2), 1, ml.tensor { 0 }) end,
                "index_select:" } },
  }
end

cases[#cases + 1] = {
  op = "embedding", x = { { 6, 5 }, { 2, 4, ids = 6 } }, big = { { 50, 65 }, { 99, ids = 50 } },
  call = function(x, ids) return core.embedding(x, ids) end,
  ref = function(x, ids)
    return nd.new({ 2, 4, 5 }, function(i) return x:at { ids:at { i[1], i[2] } + 1, i[3] } end)
  end,
  wrong = { { function() core.embedding(ml.zeros(2, 3), ml.tensor { 2 }) end, "embedding:" } },
}

return cases
