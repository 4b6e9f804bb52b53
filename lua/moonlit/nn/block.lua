--- The transformer block as a page of Lua: the same parameters as the block in C and, in f32, the
--- same forward bits. Copy it, change it, and pass yours as ml.model { block = fn }.
---
---   y = block(x, p, c, at)
---
--- x: (B, T, dim), the residual stream; y replaces it. p: the layer's tensors by role (norm1 q k v
--- o norm2 gate up down, q_bias ...; absent ones are nil). c: the model's options. at: layer
--- (from 1), and for rows of several documents doc and positions, (B, T).
local tensor = require "moonlit.tensor"

local function linear(x, w, b)
  local y = x:matmul(w:t())
  return b and y + b or y
end

local function norm(x, w, b, c)
  if c.norm == "layer" then return x:layer_norm(w, b, { eps = c.eps }) end
  return x:rms_norm(w, { eps = c.eps })
end

-- (B, T, heads * head_dim) -> (B, heads, T, head_dim)
local function split(x, c)
  return x:reshape(x:size(1), x:size(2), x:size(3) // c.head_dim, c.head_dim):transpose(2, 3)
end

-- positions count from the start of each document
local function rotate(x, c, at)
  if c.positions ~= "rope" then return x end
  if not at.positions then return x:rope { theta = c.theta } end
  local rows = {}
  for b = 1, x:size(1) do
    rows[b] = x:narrow(1, b, 1):rope { theta = c.theta, positions = at.positions:select(1, b) }
  end
  return tensor.cat(rows, 1)
end

local function queries_keys_values(x, p, c)
  if p.k then
    return linear(x, p.q, p.q_bias), linear(x, p.k, p.k_bias), linear(x, p.v, p.v_bias)
  end
  local y = linear(x, p.q, p.q_bias) -- GPT-2's c_attn holds all three
  local a, ka = c.heads * c.head_dim, c.kv_heads * c.head_dim
  return y:narrow(3, 1, a), y:narrow(3, a + 1, ka), y:narrow(3, a + ka + 1, ka)
end

local function window_of(c, layer)
  if type(c.window) ~= "table" then return c.window end
  return #c.window > 0 and c.window[(layer - 1) % #c.window + 1] or 0
end

local function attention(x, p, c, at)
  local q, k, v = queries_keys_values(x, p, c)
  q, k, v = split(q, c), split(k, c), split(v, c)
  if c.qk_norm ~= "none" then
    q, k = q:rms_norm(p.q_norm, { eps = c.eps }), k:rms_norm(p.k_norm, { eps = c.eps })
  end
  local y = rotate(q, c, at):attention(rotate(k, c, at), v, {
    window = window_of(c, at.layer), doc = at.doc,
    -- q and k are both multiplied by qk_scale
    scale = c.qk_scale * c.qk_scale / math.sqrt(c.head_dim) })
  y = y:transpose(2, 3):reshape(x:size(1), x:size(2), c.heads * c.head_dim)
  return linear(y, p.o, p.o_bias)
end

local activations = {
  gelu = function(u) return u:gelu() end,
  gelu_tanh = function(u) return u:gelu { approximate = "tanh" } end,
  relu2 = function(u) return u:relu2() end,
}

local function mlp(x, p, c)
  local u = linear(x, p.up, p.up_bias)
  if c.activation == "swiglu" then u = linear(x, p.gate, p.gate_bias):silu() * u
  else u = activations[c.activation](u) end
  return linear(u, p.down, p.down_bias)
end

return function(x, p, c, at)
  x = x + attention(norm(x, p.norm1, p.norm1_bias, c), p, c, at)
  return x + mlp(norm(x, p.norm2, p.norm2_bias, c), p, c)
end
