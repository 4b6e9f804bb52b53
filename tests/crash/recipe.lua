-- lua5.4 tests/crash/recipe.lua --out DIR
--
-- What the crash tests kill: a model so small that a whole run takes a fraction of a second, with
-- everything a resume must bring back: two optimisers' moments, dropout, both kinds of random
-- numbers, a data position, samples. Its last line is the hash of the weights. stop=N: SIGTERM in
-- step N, once. leave=N: in the first step a file beside the run takes all of its file system but
-- N KiB.
local ml = require "moonlit"

local cfg = ml.knobs { steps = 12, seed = 1, save_every = 3, keep = 2, dim = 16, slow = 0.0,
                       stop = 0, leave = -1 }
local text = ml.data.prose { bytes = 3000, seed = 2 }
local tok = ml.text.chars { text = text }
local run = ml.run("runs/crash", { steps = cfg.steps, seed = cfg.seed,
                                   save_every = cfg.save_every, keep = cfg.keep })
local data = ml.data.windows(ml.tensor(tok:encode(text), { dtype = "i64" }),
                             { batch = 2, length = 16 })
local model = ml.model { arch = "llama", layers = 1, heads = 2, dim = cfg.dim, vocab = tok:size(),
                         context = 16, dropout = 0.1 }
local opt = ml.optim.hybrid(model, { lr = 1e-2 })
run:track { model = model, opt = opt, data = data, tok = tok }

for step in run:steps() do
  local loss = model:loss(data:next())
  loss:backward()
  local norm = opt:step { clip = 1.0 }
  run:log { loss = loss, norm = norm, noise = ml.rand(1), dice = math.random(1000) }
  if step % 4 == 0 then run:sample("step " .. step) end
  if step == cfg.stop and not run.resumed then os.execute "kill -TERM $PPID" end
  if step == 1 and cfg.leave >= 0 then
    local free = [[$(df -Pk %s | awk 'END { print $4 }')]]
    os.execute(("head -c $((" .. free .. " - %d))K /dev/zero >%s/../filler"):format(
      run.dir, cfg.leave, run.dir))
  end
  local till = os.clock() + cfg.slow -- a step that takes its time
  while os.clock() < till do end
end
run:finish("weights sha256 " .. ml.ckpt.hash(model:parameters()))
