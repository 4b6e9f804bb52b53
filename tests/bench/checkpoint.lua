-- lua5.4 tests/bench/checkpoint.lua [--threads N] [steps=12]
--
-- What checkpoints cost a model of 13.8 M parameters with AdamW (166 MB a checkpoint): how long
-- training stands still, the processor's time of a save beside a step's, the memory it takes while
-- it is written, and how long a resume takes. The last lines are the figures.
local core = require "moonlit.core"
local ml = require "moonlit"

local cfg = ml.knobs { steps = 12, batch = 4, length = 256, save_every = 4 }
local run = ml.run("runs/bench-checkpoint", { steps = cfg.steps, save_every = cfg.save_every })
local model = ml.model { preset = "llama", layers = 6, heads = 6, dim = 384, vocab = 8192,
                         context = cfg.length }
local opt = ml.optim.adamw(model:parameters(), { lr = 1e-3 })
local data = ml.data.windows(ml.randint(0, 8191, 100000):to("i64"),
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

-- seconds of steps with no save under way, and with
local wall, n = { 0, 0 }, { 0, 0 }
local memory = { 0, 0 }
for step in run:steps() do
  local w = core.sys.clock()
  model:loss(data:next()):backward()
  opt:step { clip = 1 }
  local saving = run.pending and 2 or 1
  memory[saving] = math.max(memory[saving], megabytes())
  run:log { step = step }
  if step > 2 then
    wall[saving] = wall[saving] + core.sys.clock() - w
    n[saving] = n[saving] + 1
  end
end
run:finish(("parameters %.1f M"):format(parameters / 1e6),
           ("resume %.2f s"):format(resume))
print(("step %.2f s; peak %.0f MB, %.0f MB while a checkpoint is written"):format(
  wall[1] / math.max(1, n[1]), memory[1], memory[2]))
for line in io.lines(run.dir .. "/log.txt") do
  local stood = line:match "checkpoint at step.*"
  if stood then print(stood) end
end
