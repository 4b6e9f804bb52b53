--- What each architecture's name stands for; every entry can be overridden in ml.model's options.
--- Functions compute a default from the options around it.
local presets = {}

local function wide(o) return 4 * o.dim end
-- two thirds of 4 dim, as a gated MLP has a third matrix; a multiple of 32
local function gated(o) return (8 * o.dim + 95) // 96 * 32 end

presets.llama = {
  names = "llama", norm = "rms", norm_gain = true, norm_bias = false, eps = 1e-5,
  positions = "rope", theta = 10000, qk_norm = "none", qk_scale = 1, activation = "swiglu",
  hidden = gated, attn_bias = false, out_bias = false, mlp_bias = false, tied = false,
  embed_norm = false, softcap = 0, init = "normal",
}

presets.qwen3 = {
  names = "llama", norm = "rms", norm_gain = true, norm_bias = false, eps = 1e-6,
  positions = "rope", theta = 10000, qk_norm = "gain", qk_scale = 1, activation = "swiglu",
  hidden = gated, attn_bias = false, out_bias = false, mlp_bias = false, tied = true,
  embed_norm = false, softcap = 0, init = "normal",
}

presets.gpt2 = {
  names = "gpt2", norm = "layer", norm_gain = true, norm_bias = true, eps = 1e-5,
  positions = "learned", theta = 10000, qk_norm = "none", qk_scale = 1,
  activation = "gelu_tanh", hidden = wide, attn_bias = true, out_bias = true, mlp_bias = true,
  tied = true, embed_norm = false, softcap = 0, init = "gpt2",
}

--- Norms without gains, ReLU^2, QK-norm, soft-capped logits, projections that start at zero:
--- what trains fastest on few tokens.
presets.speedrun = {
  names = "llama", norm = "rms", norm_gain = false, norm_bias = false, eps = 1e-6,
  positions = "rope", theta = 10000, qk_norm = "plain", qk_scale = 1.2, activation = "relu2",
  hidden = wide, attn_bias = false, out_bias = false, mlp_bias = false, tied = false,
  embed_norm = true, softcap = 15, init = "speedrun",
}

return presets
