-- lua5.4 tests/spec/run/guard_recipe.lua policy=skip plant=output at=model.layers.1 batch=7
--
-- What guard_spec runs: a tiny model in which something stops being finite at a batch of the data.
local ml = require "moonlit"

local cfg = ml.knobs { steps = 14, policy = "", most = 3, plant = "", at = "", batch = 7, stop = 0,
                       arch = "llama", critic = false, teacher = false }
local text = ml.data.prose { bytes = 5000, seed = 2 }
local tok = ml.text.chars { text = text }
local run = ml.run("runs/guard", { steps = cfg.steps, seed = 1, save_every = 5 })
local data = ml.data.windows(ml.tensor(tok:encode(text), { dtype = "i64" }),
                             { batch = 2, length = 8 })
local model = ml.model { arch = cfg.arch, layers = 3, heads = 2, dim = 16, vocab = tok:size(),
                         context = 8, dropout = 0.1 }
local teacher = cfg.teacher and ml.model { layers = 1, heads = 2, dim = 16, vocab = tok:size(),
                                          context = 8 }
local opt = ml.optim.adamw(model:parameters())
local things = { model = model, opt = opt, data = data, tok = tok }
if cfg.critic then
  things.critic = ml.model { layers = 2, heads = 2, dim = 16, vocab = tok:size(), context = 9,
                             head = 1 }
  things.critic_opt = ml.optim.adamw(things.critic:parameters())
  things.kl = ml.rl.kl_controller { kind = "adaptive", coef = 0.1 }
end
run:track(things)
if cfg.policy ~= "" then run:guard { policy = cfg.policy, most = cfg.most } end

local times, here = 0, false
if cfg.plant == "output" or cfg.plant == "once" then
  model:tap(cfg.at, function(x)
    if here and (cfg.plant == "output" or times == 1) then return x * (0 / 0) end
  end)
end

-- a critic and a controller beside it, as PPO has them
local function judge(batch)
  local miss = things.critic:scores(batch):mean()
  if here and cfg.plant == "critic" then miss = miss * 1e38 * 1e38 end
  miss:backward()
  things.kl:update(9, 100)
  return things.critic_opt:step()
end

for step in run:steps() do
  local batch = data:next()
  here = data.step == cfg.batch
  if here then times = times + 1 end
  if here and cfg.plant == "weights" then
    ml.no_grad(function() model:parameter(cfg.at):fill_(0 / 0) end)
  end
  local loss = teacher and model:kl(batch, teacher):mean() or model:loss(batch)
  loss = here and cfg.plant == "gradient" and loss * 1e38 * 1e38 or loss
  loss:backward()
  local norm = opt:step { clip = 1 }
  local judged = cfg.critic and judge(batch) or nil
  run:log { loss = loss, norm = norm, judged = judged, coef = things.kl and things.kl.coef,
            noise = ml.rand(1), dice = math.random(1000) }
  if step == cfg.stop then os.exit(3) end
end
run:finish("weights sha256 " .. ml.ckpt.hash(model:parameters()))
