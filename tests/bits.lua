-- bits.lua [steps] -- one SHA-256 a line for everything the det-1 promise covers: products,
-- reductions, softmax, norms, attention, math functions, and the weights after `steps` training
-- steps (default 20) of both presets on generated text. Run it under any MOONLIT_THREADS,
-- MOONLIT_ISA, compiler or optimisation level: the lines must not change.
local ml = require "moonlit"
local core = require "moonlit.core"

local steps = tonumber(arg[1] or 20)

local function hash(name, tensors)
  local parts = {}
  for i, t in ipairs(tensors) do parts[i] = t:contiguous():bytes() end
  print(("%-12s %s"):format(name, core.sys.sha256(table.concat(parts))))
end

-- ragged sizes up to 300, among them every edge of a tile or a block of k
local function sizes(i) return (i * 37) % 300 + 1, (i * 53) % 300 + 1, (i * 71) % 300 + 1 end

local function products()
  local out = {}
  for i = 1, 40 do
    local m, n, k = sizes(i)
    local a, b = ml.randn(m, k), ml.randn(k, n)
    out[#out + 1] = a:matmul(b)                                          -- NN
    out[#out + 1] = a:matmul(ml.randn(n, k):t())                         -- NT
    out[#out + 1] = ml.randn(k, m):t():matmul(b)                         -- TN
  end
  out[#out + 1] = ml.randn(33, 1400):matmul(ml.randn(1400, 65))          -- three blocks of k
  out[#out + 1] = ml.randn(5, 2, 31, 17):matmul(ml.randn(2, 17, 23))     -- batched
  hash("gemm", out)
end

local function reductions()
  local out = {}
  for i = 1, 30 do
    local m, n = sizes(i)
    local x = ml.randn(m, n)
    for _, y in ipairs { x:sum(), x:sum(1), x:sum(2), x:mean(1), x:var(2), x:norm(), x:cumsum(2),
                         (x:max(2)), (x:min(1)), x:argmax(2):to("f32") } do
      out[#out + 1] = y
    end
  end
  hash("reductions", out)
end

local function rows()
  local soft, norm = {}, {}
  for i = 1, 30 do
    local m, n = sizes(i)
    local x = ml.randn(m, n) * 4
    soft[#soft + 1] = x:softmax(2)
    soft[#soft + 1] = x:log_softmax(2)
    norm[#norm + 1] = x:rms_norm(ml.randn(n))
    norm[#norm + 1] = x:layer_norm(ml.randn(n), ml.randn(n))
  end
  hash("softmax", soft)
  hash("norms", norm)
end

local function attention()
  local out = {}
  for _, c in ipairs { { 1, 1, 1, 1, 8 }, { 2, 4, 2, 33, 32 }, { 1, 2, 1, 270, 16 },
                       { 1, 3, 3, 65, 40 } } do
    local B, H, KH, T, D = table.unpack(c)
    for _, window in ipairs { 0, 20 } do
      local q = ml.randn({ B, H, T, D }, { grad = true })
      local k = ml.randn({ B, KH, T, D }, { grad = true })
      local v = ml.randn({ B, KH, T, D }, { grad = true })
      local y = q:attention(k, v, window > 0 and { window = window } or nil)
      y:backward(ml.randn(B, H, T, D))
      for _, t in ipairs { y:detach(), q:grad(), k:grad(), v:grad() } do out[#out + 1] = t end
    end
  end
  hash("attention", out)
end

local function functions()
  local x, out = ml.randn(100003) * 20, {}
  for _, name in ipairs { "exp", "tanh", "sigmoid", "silu", "gelu", "erf", "sin", "cos", "softplus",
                          "logsigmoid", "relu" } do
    out[#out + 1] = x[name](x)
  end
  out[#out + 1] = x:abs():log()
  out[#out + 1] = x:abs():sqrt()
  hash("functions", out)
end

local function training(preset, dtype)
  ml.seed(1)
  local text = ml.data.prose { bytes = 20000, seed = 1 }
  local tok = ml.text.chars { text = text }
  local ids = ml.tensor(tok:encode(text), { dtype = "i64" })
  local data = ml.data.windows(ids, { batch = 6, length = 64, seed = 1 })
  local model = ml.model { preset = preset, layers = 2, heads = 4, dim = 64, vocab = tok:size(),
                           context = 64, seed = 1, dtype = dtype }
  local params = model:parameters()
  local opt
  if preset == "speedrun" then
    local hidden, rest = {}, {}
    for _, p in ipairs(params) do
      local inner = p.name:find("layers", 1, true) and p.tensor:dim() == 2
      table.insert(inner and hidden or rest, p)
    end
    opt = ml.optim.new { groups = { { kind = "muon", params = hidden, lr = 0.02 },
                                    { kind = "adamw", params = rest, lr = 3e-3 } } }
  else
    opt = ml.optim.adamw(params, { lr = 1e-3, betas = { 0.9, 0.99 }, weight_decay = 0.1 })
  end
  for _ = 1, steps do
    model:loss(data:next()):backward()
    opt:step { clip = 1.0 }
  end
  local weights = {}
  for i, p in ipairs(params) do weights[i] = p.tensor end
  hash(dtype == "f32" and preset or dtype, weights)
end

ml.seed(42)
products()
reductions()
rows()
attention()
functions()
training("gpt2", "f32")
training("speedrun", "f32")
training("speedrun", "bf16")
training("speedrun", "bf16-amx")
