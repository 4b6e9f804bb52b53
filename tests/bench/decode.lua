-- decode.lua CONFIG THREADS DTYPE -- prompts of 128 random ids continued by 256, as many at once as
-- a line on stdin says: prints milliseconds of the prompts (one token each) and of the whole.
-- CONFIG: m or g (the table below; decode.py has the same one). DTYPE bf16 is the tier that this
-- machine is made for.
local ml = require "moonlit"

local configs = { m = { 6, 384, 6, 8192 }, g = { 12, 768, 12, 50304 } } -- layers, dim, heads, vocab
local dtype = arg[3] == "bf16" and ml.native "bf16-amx" and "bf16-amx" or arg[3]
local L, D, H, V = table.unpack(configs[arg[1]])
ml.threads(tonumber(arg[2]))
local model = ml.model { preset = "llama", layers = L, dim = D, heads = H, vocab = V, context = 512,
                         hidden = 8 * D // 3 // 32 * 32, tied = true, dtype = dtype }

local function time(batch, tokens)
  local prompts = ml.randint(0, V - 1, batch, 128):table()
  local start = ml.clock()
  model:generate(prompts, { tokens = tokens, batch = batch })
  return (ml.clock() - start) * 1e3
end

time(1, 2) -- packs the weights
io.stdout:setvbuf "no"
print "ready"
for line in io.lines() do
  local batch = math.tointeger(line)
  print(("%.3f %.3f"):format(time(batch, 1), time(batch, 257)))
end
