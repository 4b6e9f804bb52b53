--- Products and the blocks of a model.
local core = require "moonlit.core"
local ml = require "moonlit"
local nd = require "ops.nd"

local cases = {}

-- ---- products ----

local function product(a, b)
  local m, k, n = a.shape[#a.shape - 1], a.shape[#a.shape], b.shape[#b.shape]
  local function front(s) return table.move(s, 1, #s - 2, 1, {}) end
  local shape = nd.broadcast(front(a.shape), front(b.shape))
  shape[#shape + 1], shape[#shape + 2] = m, n
  return nd.new(shape, function(i)
    local s, last = 0, #i
    local r, c = nd.changed(i, last, 0), nd.changed(i, last - 1, 0)
    for p = 1, k do
      r[last], c[last - 1] = p, p
      s = s + a:at(r) * b:at(c)
    end
    return s
  end)
end

local function row(a) return setmetatable(table.move(a, 1, #a, 1, { shape = { 1, #a } }), nd) end
local function column(a) return setmetatable(table.move(a, 1, #a, 1, { shape = { #a, 1 } }), nd) end
local function reshaped(a, shape)
  return setmetatable(table.move(a, 1, #a, 1, { shape = shape }), nd)
end

cases[#cases + 1] = {
  op = "matmul", x = { { 3, 4 }, { 4, 5 } }, big = { { 65, 300 }, { 300, 33 } },
  more = { { { 1, 1 }, { 1, 1 } }, { { 17, 33 }, { 33, 16 } }, { { 2, 0 }, { 0, 3 } },
           { { 0, 2 }, { 2, 3 } }, { { 2, 3, 0 }, { 0, 4 } }, { { 2, 1, 3, 4 }, { 5, 4, 2 } },
           { { 2, 2, 3 }, { 3, 2 } }, { { 2, 3 }, { 2, 3, 2 } }, { { 1, 300 }, { 300, 1 } } },
  small = { { 4, 4 }, { 4, 4 } }, large = { { 1000, 1000 }, { 1000, 1000 } },
  call = core.matmul, ref = product, tol = 1e-5,
}
cases[#cases + 1] = {
  op = "matmul", x = { { 4 }, { 4, 5 } }, call = core.matmul, tol = 1e-5,
  ref = function(a, b) return reshaped(product(row(a), b), { 5 }) end,
}
cases[#cases + 1] = {
  op = "matmul", x = { { 3, 4 }, { 4 } }, call = core.matmul, tol = 1e-5,
  ref = function(a, b) return reshaped(product(a, column(b)), { 3 }) end,
}
cases[#cases + 1] = {
  op = "matmul", x = { { 4 }, { 4 } }, call = core.matmul, tol = 1e-5,
  ref = function(a, b) return reshaped(product(row(a), column(b)), {}) end,
}
cases[#cases + 1] = {
  op = "bmm", x = { { 2, 3, 4 }, { 2, 4, 5 } }, big = { { 3, 33, 40 }, { 3, 40, 17 } },
  more = { { { 1, 1, 1 }, { 1, 1, 1 } }, { { 0, 2, 3 }, { 0, 3, 2 } },
           { { 2, 2, 0 }, { 2, 0, 3 } }, { { 3, 16, 17 }, { 3, 17, 3 } } },
  small = { { 1, 4, 4 }, { 1, 4, 4 } }, large = { { 100, 100, 100 }, { 100, 100, 100 } },
  call = core.bmm, ref = product, tol = 1e-5,
}

-- ---- norms ----

local function normal(line, centred, eps)
  local m, s, out = 0, 0, {}
  if centred then
    for _, v in ipairs(line) do m = m + v / #line end
  end
  for _, v in ipairs(line) do s = s + (v - m) ^ 2 / #line end
  for i, v in ipairs(line) do out[i] = (v - m) / math.sqrt(s + eps) end
  return out
end

local function scaled(x, w, b)
  if w then x = nd.zip(x, w, function(p, q) return p * q end) end
  return b and nd.zip(x, b, function(p, q) return p + q end) or x
end

cases[#cases + 1] = {
  op = "rms_norm", x = { { 2, 3, 6 }, { 6 } }, big = { { 33, 300 }, { 300 } },
  more = { { { 4, 1 }, { 1 } }, { { 3, 33 }, { 33 } }, { { 0, 3 }, { 3 } }, { { 3, 0 }, { 0 } },
           { { 17, 16 }, { 16 } }, { { 300 }, { 300 } }, { { 2, 3 } } }, tol = 4e-6,
  small = { { 4, 4 }, { 4 } }, large = { { 1000, 1000 }, { 1000 } },
  call = function(x, w) return core.rms_norm(x, w, { eps = 1e-3 }) end,
  ref = function(x, w)
    return scaled(x:along(#x.shape, function(l) return normal(l, false, 1e-3) end), w)
  end,
}
cases[#cases + 1] = { -- eps is 1e-6 unless given
  op = "rms_norm", x = { { 2, 3, from = -1e-3, to = 1e-3 } }, call = core.rms_norm, grad = false,
  ref = function(x) return x:along(2, function(l) return normal(l, false, 1e-6) end) end,
}
cases[#cases + 1] = {
  op = "layer_norm", x = { { 2, 3, 6 }, { 6 }, { 6 } }, big = { { 33, 300 }, { 300 }, { 300 } },
  more = { { { 3, 33 }, { 33 }, { 33 } }, { { 4, 1 }, { 1 }, { 1 } }, { { 0, 3 }, { 3 }, { 3 } },
           { { 17, 16 }, { 16 }, { 16 } }, { { 300 }, { 300 }, { 300 } } }, tol = 4e-6,
  small = { { 4, 4 }, { 4 }, { 4 } }, large = { { 1000, 1000 }, { 1000 }, { 1000 } },
  call = function(x, w, b) return core.layer_norm(x, w, b, { eps = 1e-3 }) end,
  ref = function(x, w, b)
    return scaled(x:along(#x.shape, function(l) return normal(l, true, 1e-3) end), w, b)
  end,
}
cases[#cases + 1] = {
  op = "layer_norm", x = { { 4, 7 } }, tol = 4e-6, call = function(x) return core.layer_norm(x) end,
  ref = function(x) return x:along(2, function(l) return normal(l, true, 1e-5) end) end,
}

cases[#cases + 1] = {
  op = "layer_norm", x = { { 4, 7 }, { 7 } }, tol = 4e-6,
  call = function(x, b) return core.layer_norm(x, nil, b) end,
  ref = function(x, b)
    return scaled(x:along(2, function(l) return normal(l, true, 1e-5) end), nil, b)
  end,
}

-- ---- attention ----

local function turned(x, theta, position)
  local D = x.shape[#x.shape]
  return nd.new(x.shape, function(i)
    local last = #i
    local half = (i[last] - 1) % (D // 2)
    local angle = position(i[last - 1]) * theta ^ (-2 * half / D)
    local a = x:at(nd.changed(i, last, half + 1))
    local b = x:at(nd.changed(i, last, half + 1 + D // 2))
    if i[last] <= D // 2 then return a * math.cos(angle) - b * math.sin(angle) end
    return b * math.cos(angle) + a * math.sin(angle)
  end)
end

cases[#cases + 1] = {
  op = "rope", x = { { 2, 3, 5, 6 } }, big = { { 2, 3, 65, 32 } }, tol = 4e-6,
  more = { { { 1, 2 } }, { { 3, 16 } }, { { 17, 4 } }, { { 300, 2 } }, { { 0, 3, 4 } },
           { { 2, 0, 4 } }, { { 2, 0 } } },
  small = { { 2, 8 } }, large = { { 10, 1000, 100 } },
  call = function(x) return core.rope(x, { theta = 100 }) end,
  ref = function(x) return turned(x, 100, function(t) return t - 1 end) end,
}
cases[#cases + 1] = {
  op = "rope", x = { { 3, 4 } }, tol = 4e-6,
  call = function(x) return core.rope(x, { positions = ml.tensor { 7, 0, 2 } }) end,
  ref = function(x) return turned(x, 10000, function(t) return ({ 7, 0, 2 })[t] end) end,
}

-- q, k, v; sees(b, t, s): may query t look at key s
local function attended(q, k, v, sees, scale)
  local B, H, T, D = table.unpack(q.shape)
  local KH = k.shape[2]
  scale = scale or 1 / math.sqrt(D)
  local rows = {}
  local function weights(b, h, t)
    local key, kh = ("%d,%d,%d"):format(b, h, t), (h - 1) // (H // KH) + 1
    if rows[key] then return rows[key] end
    local w, total, top = {}, 0, -math.huge
    for s = 1, t do
      if sees(b, t, s) then
        local dot = 0
        for d = 1, D do dot = dot + q:at { b, h, t, d } * k:at { b, kh, s, d } end
        w[s] = dot * scale
        top = math.max(top, w[s])
      end
    end
    for s = 1, t do
      w[s] = w[s] and math.exp(w[s] - top)
      total = total + (w[s] or 0)
    end
    for s = 1, t do w[s] = w[s] and w[s] / total end
    rows[key] = w
    return w
  end
  return nd.new({ B, H, T, D }, function(i)
    local sum, kh, w = 0, (i[2] - 1) // (H // KH) + 1, weights(i[1], i[2], i[3])
    for s = 1, i[3] do
      if w[s] then sum = sum + w[s] * v:at { i[1], kh, s, i[4] } end
    end
    return sum
  end)
end

local function inputs(B, H, KH, T, D)
  return { { B, H, T, D }, { B, KH, T, D }, { B, KH, T, D } }
end
local function all() return true end

cases[#cases + 1] = {
  op = "attention", x = inputs(2, 4, 2, 5, 6), big = inputs(2, 4, 2, 70, 16), tol = 4e-6,
  more = { inputs(1, 1, 1, 1, 1), inputs(1, 3, 1, 3, 2), inputs(1, 2, 2, 17, 16),
           inputs(0, 2, 1, 3, 4), inputs(1, 2, 1, 0, 4) },
  small = inputs(1, 1, 1, 4, 4), large = inputs(4, 8, 8, 1024, 32), call = core.attention,
  ref = function(q, k, v) return attended(q, k, v, all) end,
}
cases[#cases + 1] = { -- more keys than a block of them
  op = "attention", x = inputs(1, 1, 1, 270, 2), tol = 4e-6, grad = false, call = core.attention,
  ref = function(q, k, v) return attended(q, k, v, all) end,
}
for _, window in ipairs { 1, 2, 99 } do
  cases[#cases + 1] = {
    op = "attention", x = inputs(1, 4, 2, 5, 6), big = inputs(2, 4, 2, 70, 16), tol = 4e-6,
    call = function(q, k, v) return core.attention(q, k, v, { window = window }) end,
    ref = function(q, k, v)
      return attended(q, k, v, function(_, t, s) return t - s < window end)
    end,
  }
end
local docs = { { 1, 1, 2, 2, 2 }, { 3, 4, 4, 4, 3 } }
cases[#cases + 1] = {
  op = "attention", x = inputs(2, 4, 2, 5, 6), tol = 4e-6,
  call = function(q, k, v)
    return core.attention(q, k, v, { doc = ml.tensor(docs), window = 2, scale = 0.7 })
  end,
  ref = function(q, k, v) -- a document is a run of equal numbers
    return attended(q, k, v, function(b, t, s)
      for r = s + 1, t do if docs[b][r] ~= docs[b][s] then return false end end
      return t - s < 2
    end, 0.7)
  end,
}

-- ---- loss ----

local function losses(x, ids, ignore)
  local out = {}
  for r = 1, x.shape[1] do
    local top, total = -math.huge, 0
    for c = 1, x.shape[2] do top = math.max(top, x:at { r, c }) end
    for c = 1, x.shape[2] do total = total + math.exp(x:at { r, c } - top) end
    out[r] = ids[r] ~= ignore and top + math.log(total) - x:at { r, ids[r] + 1 } or 0.0
  end
  return out
end

local function number(v) return nd.new({}, function() return v end) end
local function total(l)
  local s = 0.0
  for _, v in ipairs(l) do s = s + v end
  return s
end
local function mean(l, ids, ignore)
  local n = 0
  for r = 1, #l do n = n + (ids[r] ~= ignore and 1 or 0) end
  return total(l) / n
end

local function tokens(n, v) return { { n, v }, { n, ids = v } } end
local reductions = {
  { "mean", function(l, ids) return number(mean(l, ids, 2)) end },
  { "sum", function(l) return number(total(l)) end },
  { "none", function(l) return nd.new({ #l }, function(i) return l[i[1]] end) end },
}
for _, way in ipairs(reductions) do
  local reduction, f = table.unpack(way)
  cases[#cases + 1] = {
    op = "cross_entropy", x = tokens(7, 5), tol = 4e-6, big = tokens(33, 300),
    more = { tokens(1, 1), tokens(3, 16), tokens(17, 2), tokens(2, 300), tokens(0, 3) },
    small = tokens(4, 4), large = tokens(1000, 1000),
    call = function(x, ids)
      return core.cross_entropy(x, ids, { ignore = 2, reduction = reduction })
    end,
    ref = function(x, ids) return f(losses(x, ids, 2), ids) end,
  }
end
cases[#cases + 1] = { -- -100 is ignored, the mean is taken, unless told
  op = "cross_entropy", x = tokens(7, 3), tol = 4e-6,
  call = function(x, ids) return core.cross_entropy(x, core.where(ids:eq(1), -100, ids)) end,
  ref = function(x, ids) return number(mean(losses(x, ids, 1), ids, 1)) end,
}
local inf = math.huge
cases[#cases + 1] = { -- infinite logits, of a row that counts and of rows that do not
  op = "cross_entropy", grad = false,
  x = { { 3, 2, values = { -inf, 1.0, -inf, 2.0, inf, 0 / 0 } } },
  call = function(x)
    local leaf = x:clone():requires_grad(true)
    local y = leaf:cross_entropy(ml.tensor { 1, -100, -100 }, { reduction = "sum" })
    y:backward()
    return y:detach(), leaf:grad()
  end,
  ref = function(x) return number(0), x:map(function() return 0 end) end,
}

return cases
