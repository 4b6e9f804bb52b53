-- decode.lua CONFIG THREADS DTYPE -- tokens a second of generate: prompts of 128, 256 new, a batch
-- of 1, 8 and 32. Prints "BATCH prefill_ms tokens_per_second" (of decoding alone). CONFIG: m or g of
-- train.lua; DTYPE bf16 is the tier that this machine is made for.
local ml = require "moonlit"

local configs = { m = { 6, 384, 6, 8192 }, g = { 12, 768, 12, 50304 } }
local L, D, H, V = table.unpack(configs[arg[1]])
local dtype = arg[3] == "bf16" and ml.native "bf16-amx" and "bf16-amx" or arg[3]
ml.threads(tonumber(arg[2]))
local model = ml.model { preset = "llama", layers = L, dim = D, heads = H, vocab = V, context = 384,
                         hidden = 8 * D // 3 // 32 * 32, tied = true, dtype = dtype }

local function seconds(prompts, tokens)
  local start = ml.clock()
  local out = model:generate(prompts, { tokens = tokens, temperature = 1 })
  assert(#out[#out].ids == tokens)
  return ml.clock() - start
end

for _, batch in ipairs { 1, 8, 32 } do
  local prompts = {}
  for i = 1, batch do prompts[i] = ml.randint(0, V - 1, { 128 }):table() end
  seconds(prompts, 2)
  local prefill, whole = math.huge, math.huge
  for _ = 1, 2 do
    prefill = math.min(prefill, seconds(prompts, 1))
    whole = math.min(whole, seconds(prompts, 256))
  end
  print(("%d %.1f %.1f"):format(batch, prefill * 1e3, batch * 255 / (whole - prefill)))
end
