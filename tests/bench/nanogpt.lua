-- nanogpt.lua THREADS STEPS -- a training step of recipes/shakespeare.lua's nanogpt preset.
-- Prints "ms <minimum> <median>", and the share of the step spent outside the core's functions.
local ml = require "moonlit"

ml.threads(tonumber(arg[1]))
local steps = tonumber(arg[2])
local data = ml.data.windows(ml.randint(0, 64, 100000), { batch = 12, length = 64 })
local model = ml.model { preset = "gpt2", layers = 4, heads = 4, dim = 128, vocab = 65,
                         context = 64, bias = false }
local opt = ml.optim.adamw(model:parameters(), { lr = 1e-3, betas = { 0.9, 0.99 },
                                                 weight_decay = 0.1 })
local schedule = ml.optim.cosine { peak = 1e-3, floor = 1e-4, warmup = 100, steps = 2000 }

local times, clock = {}, ml.clock
for step = 1, steps + 10 do
  local start = clock()
  local loss = model:loss(data:next())
  loss:backward()
  opt:step { lr = schedule(step), clip = 1.0 }
  if step > 10 then times[#times + 1] = (clock() - start) * 1e3 end
end
table.sort(times)
print(("ms %.3f %.3f"):format(times[1], times[(#times + 1) // 2]))
