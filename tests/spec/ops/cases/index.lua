--- Ops that take elements by position (from 1) or by id (from 0).
local core = require "moonlit.core"
local nd = require "ops.nd"

local cases = {}

local numbers = { "f32", "f64", "i64" }

-- an index of these sizes into n
local function index_of(base, n, ...)
  return { positions = base == 0 and n or nil, ids = base == 1 and n or nil, ... }
end

for _, way in ipairs { { "gather", 0 }, { "gather_ids", 1 } } do
  local op, base = table.unpack(way)
  for d = 1, 2 do
    local function inputs(rows, columns, k) -- k indices a line
      return { { rows, columns },
               index_of(base, d == 1 and rows or columns, d == 1 and k or rows,
                        d == 1 and columns or k) }
    end
    cases[#cases + 1] = {
      op = op, x = inputs(4, 5, 3), dtypes = numbers, big = inputs(33, 65, 99),
      more = { inputs(1, 1, 1), inputs(2, 3, 17), inputs(16, 3, 1), inputs(3, 4, 0) },
      small = inputs(4, 4, 4), large = inputs(1000, 1000, 1000),
      call = function(x, at) return core[op](x, d, at) end,
      ref = function(x, at)
        return nd.new(at.shape, function(i) return x:at(nd.changed(i, d, at:at(i) + base)) end)
      end,
    }
  end
end

cases[#cases + 1] = { -- negative positions count from the end
  op = "gather", x = { { 5 }, { 3, positions = 5 } }, dtypes = numbers,
  call = function(x, at) return core.gather(x, 1, at - 6) end,
  ref = function(x, at) return nd.new({ 3 }, function(i) return x[at[i[1]]] end) end,
}

for d = 1, 2 do
  local function inputs(rows, columns, k)
    local size = d == 2 and { rows, k } or { k, columns }
    return { { rows, columns }, { size[1], size[2], positions = d == 2 and columns or rows }, size }
  end
  cases[#cases + 1] = { -- equal positions add up
    op = "scatter_add", x = inputs(3, 5, 8), big = inputs(33, 50, 200),
    more = { inputs(1, 1, 1), inputs(2, 3, 17), inputs(3, 2, 0) },
    small = inputs(4, 4, 4), large = inputs(1000, 1000, 1000),
    call = function(x, at, src) return core.scatter_add(x, d, at, src) end,
    ref = function(x, at, src)
      return nd.new(x.shape, function(i)
        local s = x:at(i)
        for k = 1, at.shape[d] do
          local j = nd.changed(i, d, k)
          if at:at(j) == i[d] then s = s + src:at(j) end
        end
        return s
      end)
    end,
  }

  cases[#cases + 1] = {
    op = "index_select", x = { { 4, 5 }, { 7, positions = 4 } }, dtypes = numbers,
    more = { { { 4, 4 }, { 0, positions = 4 } }, { { 1, 1 }, { 3, positions = 1 } },
             { { 16, 17 }, { 17, positions = 16 } } },
    big = { { 50, 65 }, { 99, positions = 50 } }, small = { { 4, 4 }, { 4, positions = 4 } },
    large = { { 1000, 1000 }, { 1000, positions = 1000 } },
    call = function(x, at) return core.index_select(x, d, at) end,
    ref = function(x, at)
      return nd.new(nd.changed(x.shape, d, #at), function(i)
        return x:at(nd.changed(i, d, at[i[d]]))
      end)
    end,
  }
end

cases[#cases + 1] = {
  op = "embedding", x = { { 6, 5 }, { 2, 4, ids = 6 } }, big = { { 50, 65 }, { 99, ids = 50 } },
  more = { { { 1, 1 }, { ids = 1 } }, { { 3, 2 }, { 0, ids = 3 } }, { { 0, 3 }, { 0, ids = 1 } },
           { { 3, 17 }, { 3, ids = 3 } }, { { 16, 2 }, { 2, 1, 3, ids = 16 } } },
  small = { { 4, 4 }, { 4, ids = 4 } }, large = { { 1000, 1000 }, { 1000, ids = 1000 } },
  call = core.embedding,
  ref = function(x, ids)
    local shape = nd.inserted(ids.shape, #ids.shape + 1, x.shape[2])
    return nd.new(shape, function(i)
      return x:at { ids:at(nd.without(i, #i)) + 1, i[#i] }
    end)
  end,
}

return cases
