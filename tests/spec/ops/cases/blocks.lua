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
           { { 2, 1, 3, 4 }, { 5, 4, 2 } } },
  call = core.matmul, ref = product, tol = 1e-5,
  wrong = { { function() ml.zeros(3, 4):matmul(ml.zeros(3, 4)) end,
              "matmul: inner sizes differ, (3, 4) x (3, 4)" } },
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
  call = core.bmm, ref = product, tol = 1e-5,
  wrong = { { function() ml.zeros(2, 3, 4):bmm(ml.zeros(3, 4, 5)) end, "bmm:" } },
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
  more = { { { 4, 1 }, { 1 } }, { { 3, 33 }, { 33 } } }, tol = 4e-6,
  call = function(x, w) return core.rms_norm(x, w, { eps = 1e-3 }) end,
  ref = function(x, w)
    return scaled(x:along(#x.shape, function(l) return normal(l, false, 1e-3) end), w)
  end,
  wrong = { { function() ml.zeros(2, 3):rms_norm(ml.zeros(4)) end, "rms_norm:" } },
}
cases[#cases + 1] = {
  op = "layer_norm", x = { { 2, 3, 6 }, { 6 }, { 6 } }, big = { { 33, 300 }, { 300 }, { 300 } },
  more = { { { 3, 33 }, { 33 }, { 33 } } }, tol = 4e-6,
  call = function(x, w, b) return core.layer_norm(x, w, b, { eps = 1e-3 }) end,
  ref = function(x, w, b)
    return scaled(x:along(#x.shape, function(l) return normal(l, true, 1e-3) end), w, b)
  end,
  wrong = { { function() ml.zeros(2, 3):layer_norm(ml.zeros(4)) end, "layer_norm:" } },
}
cases[#cases + 1] = {
  op = "layer_norm", x = { { 4, 7 } }, tol = 4e-6, call = function(x) return core.layer_norm(x) end,
  ref = function(x) return x:along(2, function(l) return normal(l, true, 1e-5) end) end,
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
  call = function(x) return core.rope(x, { theta = 100 }) end,
  ref = function(x) return turned(x, 100, function(t) return t - 1 end) end,
  wrong = { { function() ml.zeros(2, 3):rope() end, "rope:" } },
}
cases[#cases + 1] = {
  op = "rope", x = { { 3, 4 } }, tol = 4e-6,
  call = function(x) return core.rope(x, { positions = ml.tensor { 7, 0, 2 } }) end,
  ref = function(x) return turned(x, 10000, function(t) return ({ 7, 0, 2 })[t] end) end,
}

-- q, k, v; sees(b, t, s): may query t look at key s
local function attended(q, k, v, sees)
  local B, H, T, D = table.unpack(q.shape)
  local KH = k.shape[2]
  local rows = {}
  local function weights(b, h, t)
    local key, kh = ("%d,%d,%d"):format(b, h, t), (h - 1) // (H // KH) + 1
    if rows[key] then return rows[key] end
    local w, total = {}, 0
    for s = 1, t do
      if sees(b, t, s) then
        local dot = 0
        for d = 1, D do dot = dot + q:at { b, h, t, d } * k:at { b, kh, s, d } end
        w[s] = math.exp(dot / math.sqrt(D))
        total = total + w[s]
      end
    end
    for s, p in pairs(w) do w[s] = p / total end
    rows[key] = w
    return w
  end
  return nd.new({ B, H, T, D }, function(i)
    local sum, kh = 0, (i[2] - 1) // (H // KH) + 1
    for s = 1, T do
      local p = weights(i[1], i[2], i[3])[s]
      if p then sum = sum + p * v:at { i[1], kh, s, i[4] } end
    end
    return sum
  end)
end

local qkv = { { 2, 4, 5, 6 }, { 2, 2, 5, 6 }, { 2, 2, 5, 6 } }
local big = { { 2, 4, 70, 16 }, { 2, 2, 70, 16 }, { 2, 2, 70, 16 } }
cases[#cases + 1] = {
  op = "attention", x = qkv, big = big, tol = 4e-6, call = core.attention,
  ref = function(q, k, v) return attended(q, k, v, function() return true end) end,
  wrong = { { function() ml.zeros(1, 3, 2, 4):attention(ml.zeros(1, 2, 2, 4), ml.zeros(1, 2, 2, 4))
              end, "attention:" } },
}
cases[#cases + 1] = {
  op = "attention", x = qkv, big = big, tol = 4e-6,
  call = function(q, k, v) return core.attention(q, k, v, { window = 2 }) end,
  ref = function(q, k, v) return attended(q, k, v, function(_, t, s) return t - s < 2 end) end,
}
local docs = { { 1, 1, 2, 2, 2 }, { 3, 4, 4, 4, 4 } }
cases[#cases + 1] = {
  op = "attention", x = qkv, tol = 4e-6,
  call = function(q, k, v) return core.attention(q, k, v, { doc = ml.tensor(docs) }) end,
  ref = function(q, k, v)
    return attended(q, k, v, function(b, t, s) return docs[b][t] == docs[b][s] end)
  end,
}

-- ---- loss ----

local function losses(x, ids, ignore)
  local out = {}
  for r = 1, x.shape[1] do
    local total = 0
    for c = 1, x.shape[2] do total = total + math.exp(x:at { r, c }) end
    out[r] = ids[r] ~= ignore and math.log(total) - x:at { r, ids[r] + 1 } or 0
  end
  return out
end

for reduction, f in pairs {
  none = function(x, l) return nd.new({ x.shape[1] }, function(i) return l[i[1]] end) end,
  sum = function(_, l)
    local s = 0
    for _, v in ipairs(l) do s = s + v end
    return nd.new({}, function() return s end)
  end,
  mean = function(_, l, ids)
    local s, n = 0, 0
    for r, v in ipairs(l) do
      s = s + v
      n = n + (ids[r] ~= 2 and 1 or 0)
    end
    return nd.new({}, function() return s / n end)
  end,
} do
  cases[#cases + 1] = {
    op = "cross_entropy", x = { { 7, 5 }, { 7, ids = 5 } }, tol = 4e-6,
    big = { { 33, 300 }, { 33, ids = 300 } },
    call = function(x, ids)
      return core.cross_entropy(x, ids, { ignore = 2, reduction = reduction })
    end,
    ref = function(x, ids) return f(x, losses(x, ids, 2), ids) end,
    wrong = { { function() ml.zeros(1, 3):cross_entropy(ml.tensor { 3 }) end, "cross_entropy:" } },
  }
end

return cases
