-- lua5.4 tests/bench/checkpoint.lua [--threads N] [steps=12]
--
-- What checkpoints cost a model of 13.8 M parameters with AdamW (165 MB a checkpoint): how long
-- training stands still, how much longer steps take meanwhile, memory (beside save_every=0), and,
-- with --resume, how long it takes to go on.
local core = require "moonlit.core"
local ml = require "moonlit"

local cfg = ml.knobs { steps = 12, batch = 4, length = 256, save_every = 4 }
local run = ml.run("runs/bench-checkpoint", { steps = cfg.steps, save_every = cfg.save_every })
local model = ml.model { preset = "llama", layers = 6, heads = 6, dim = 384, vocab = 4096,
                         context = cfg.length }
local opt = ml.optim.adamw(model:parameters(), { lr = 1e-3 })
local data = ml.data.windows(ml.randint(0, 4095, 100000):to("i64"),
                             { batch = cfg.batch, length = cfg.length })

local function megabytes()
  for line in io.lines "/proc/self/status" do
    local kb = line:match "^RssAnon:%s+(%d+)"
    if kb then return tonumber(kb) * 1024 / 1e6 end
  end
end

local started = core.sys.clock()
run:track { model = model, opt = opt, data = data }
local resume = core.sys.clock() - started

local parameters = 0
for _, p in ipairs(model:parameters()) do parameters = parameters + p.tensor:numel() end

-- seconds of steps with no save under way, and with; the first ones settle
local seconds, n, peak = { 0, 0 }, { 0, 0 }, 0
for step in run:steps() do
  local from = core.sys.clock()
  model:loss(data:next()):backward()
  opt:step { clip = 1 }
  run:log { step = step }
  peak = math.max(peak, megabytes())
  if step > 2 then
    local saving = run.pending and 2 or 1
    seconds[saving] = seconds[saving] + core.sys.clock() - from
    n[saving] = n[saving] + 1
  end
end
run:finish(("%.1f M parameters, ready to go on after %.2f s"):format(parameters / 1e6, resume))
print(("a step %.2f s (%d), %.2f s (%d) while a checkpoint is written; peak %.0f MB"):format(
  seconds[1] / math.max(1, n[1]), n[1], seconds[2] / math.max(1, n[2]), n[2], peak))
for line in io.lines(run.dir .. "/log.txt") do
  print(line:match "checkpoint at step.*" or "")
end
