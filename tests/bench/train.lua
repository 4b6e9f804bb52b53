-- train.lua CONFIG THREADS DTYPE -- training steps of a Llama-style model on random tokens, one for
-- every line on stdin: prints its milliseconds, and, at the end of stdin, "rss MiB".
-- CONFIG: s, m, g or gl (the table below; train.py has the same one). DTYPE bf16 is the tier that
-- this machine is made for.
local ml = require "moonlit"

local configs = { -- layers, dim, heads, vocabulary, rows, length
  s = { 4, 128, 4, 4096, 16, 256 }, m = { 6, 384, 6, 8192, 8, 256 },
  g = { 12, 768, 12, 50304, 4, 64 }, gl = { 12, 768, 12, 50304, 2, 512 },
}
local dtype = arg[3] == "bf16" and ml.native "bf16-amx" and "bf16-amx" or arg[3]
local L, D, H, V, B, T = table.unpack(configs[arg[1]])
ml.threads(tonumber(arg[2]))
local model = ml.model { preset = "llama", layers = L, dim = D, heads = H, vocab = V, context = T,
                         hidden = 8 * D // 3 // 32 * 32, tied = true, dtype = dtype }
local opt = ml.optim.adamw(model:parameters(), { lr = 1e-4, weight_decay = 0.01 })

local function step()
  local ids = ml.randint(0, V - 1, B, T + 1)
  local start = ml.clock()
  local loss = model:loss { ids = ids }
  loss:backward()
  opt:step { clip = 1.0 }
  return (ml.clock() - start) * 1e3
end

io.stdout:setvbuf "no"
print "ready"
for _ in io.lines() do print(("%.3f"):format(step())) end
for line in io.lines "/proc/self/status" do
  local kib = line:match "VmHWM:%s*(%d+)"
  if kib then print(("rss %.0f"):format(kib / 1024)) end
end
