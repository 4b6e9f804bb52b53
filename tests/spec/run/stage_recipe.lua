-- lua5.4 tests/spec/run/stage_recipe.lua data=DIR
--
-- A stage of pipeline_spec's: trains a tiny model on the text that a curating stage left, or goes
-- on with another stage's. MOONLIT_CRASH=STAGE:STEP:SIGNAL ends that stage in that step, and
-- STAGE:0:SLOW makes all of its steps slow.
local ml = require "moonlit"

local cfg = ml.knobs { steps = 12, seed = 1, lr = 1e-2, data = "", model = "" }
local text = assert(io.open(cfg.data .. "/data/text.txt")):read("a")
local tok = ml.text.chars { text = text }
local run = ml.run("runs/spec", { steps = cfg.steps, seed = cfg.seed, save_every = 5 })
local model
if cfg.model ~= "" then model = assert(ml.load(cfg.model))
else
  model = ml.model { layers = 1, heads = 2, dim = 16, vocab = tok:size(), context = 16 }
end
local opt = ml.optim.adamw(model:parameters(), { lr = cfg.lr })
run:track { model = model, opt = opt, tok = tok, data = ml.data.windows(
  ml.tensor(tok:encode(text), { dtype = "i64" }), { batch = 2, length = 16 }) }

local name, at, how = (os.getenv("MOONLIT_CRASH") or ""):match("^(%w+):(%d+):(%w+)$")
local mine = name and run.dir:find("%-" .. name .. "$")
local last
for step in run:steps() do
  local loss = model:loss(run.tracked.data:next())
  loss:backward()
  run:log { loss = loss, norm = opt:step { clip = 1.0 } }
  last = loss:item()
  if mine and how == "SLOW" then os.execute("sleep 0.1") end
  if mine and step == tonumber(at) then os.execute(("kill -%s $PPID"):format(how)) end
end
run:results { metrics = { { name = "loss", value = last or 0, better = "lower" } },
              samples = { { prompt = "a", reply = "b" } } }
run:finish("weights sha256 " .. ml.ckpt.hash(model:parameters()))
