-- lua5.4 tests/spec/run/recipe.lua steps=20
--
-- What run_spec runs: a tiny model on generated text. MOONLIT_CRASH=STEP:HOW ends the process in
-- a step: term (SIGTERM), term2 (twice), kill (SIGKILL), exit (os.exit(3)), nan (a bad loss).
local ml = require "moonlit"

local cfg = ml.knobs { steps = 20, seed = 1, save_every = 5, lr = 1e-2 }
local text = ml.data.prose { bytes = 5000, seed = 2 }
local tok = ml.text.chars { text = text }
local run = ml.run(os.getenv("MOONLIT_RUN") or "runs/spec",
                   { steps = cfg.steps, seed = cfg.seed, save_every = cfg.save_every })
local data = ml.data.windows(ml.tensor(tok:encode(text), { dtype = "i64" }),
                             { batch = 4, length = 16 })
local model = ml.model { arch = "llama", layers = 1, heads = 2, dim = 16, vocab = tok:size(),
                         context = 16, dropout = 0.1 }
local opt = ml.optim.adamw(model:parameters(), { lr = cfg.lr })
run:track { model = model, opt = opt, data = data, tok = tok }

local function signal(name) os.execute(("kill -%s $PPID"):format(name)) end

local crash_at, how = (os.getenv("MOONLIT_CRASH") or "0:"):match("^(%d+):(%w*)$")
local function crash(step)
  if step ~= tonumber(crash_at) then return end
  if how == "term" then signal "TERM" end
  if how == "term2" then
    signal "TERM"
    signal "TERM"
  end
  if how == "kill" then signal "KILL" end
  if how == "exit" then os.exit(3) end
end

for step in run:steps() do
  local loss = model:loss(data:next())
  loss:backward()
  local norm = opt:step { clip = 1.0 }
  -- all three kinds of random numbers must come back after a resume
  run:log { loss = how == "nan" and step == tonumber(crash_at) and 0 / 0 or loss, norm = norm,
            noise = ml.rand(1), dice = math.random(1000) }
  if step % 10 == 0 then run:sample("step " .. step) end
  crash(step)
end
run:finish("weights sha256 " .. ml.ckpt.hash(model:parameters()))
