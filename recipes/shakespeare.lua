-- lua5.4 recipes/shakespeare.lua data=input.txt preset=speedrun
--
-- A small GPT on the characters of any text: 9 parts to learn from, 1 to validate on. Without
-- data= the text is made up. preset=nanogpt is the CPU configuration of nanoGPT's README;
-- preset=speedrun spends the same tokens and no more parameters on newer ideas. The last two lines
-- are the loss over the validation text (nats per character) and the hash of the weights.
local ml = require "moonlit"

local cfg = ml.knobs {
  preset = "nanogpt",
  data = "",         -- a text file
  dtype = "f32",     -- or a bf16 tier: "bf16", "bf16-amx"
  steps = 2000,
  seed = 1,
  save_every = 250,  -- steps between checkpoints
  val_tokens = 0,    -- characters to validate on, 0 = all
}

local text
if cfg.data == "" then
  text = ml.data.prose { bytes = 1000000, seed = 1 }
else
  text = ml.must(io.open(cfg.data, "rb")):read("a")
end
local tok = ml.must(ml.text.chars { text = text })
local train, val = ml.data.split(ml.tensor(tok:encode(text), { dtype = "i64" }), 0.9)

local run = ml.run("runs/shakespeare", { steps = cfg.steps, seed = cfg.seed,
                                         save_every = cfg.save_every })
local context = 64
local data = ml.data.windows(train, { batch = 12, length = context,
                                     epochs = cfg.preset == "speedrun" })
local shape = { layers = 4, heads = 4, dim = 128, context = context, vocab = tok:size(),
                dtype = cfg.dtype }

-- a preset is a model, an optimiser, and what its step is given
local presets = {}

function presets.nanogpt()
  shape.arch, shape.bias, shape.activation = "gpt2", false, "gelu"
  local model = ml.model(shape)
  local opt = ml.optim.adamw(model:parameters(), { betas = { 0.9, 0.99 }, weight_decay = 0.1 })
  local rate = ml.optim.cosine { peak = 1e-3, floor = 1e-4, steps = cfg.steps,
                                 warmup = math.min(100, cfg.steps // 10) }
  return model, opt, function(step) return { lr = rate(step), clip = 1.0 } end
end

function presets.speedrun()
  shape.arch = "speedrun"
  local model = ml.model(shape)
  local hidden, embedding, head = {}, {}, {}
  for _, p in ipairs(model:parameters()) do
    table.insert(p.layer and hidden or p.name == "lm_head.weight" and head or embedding, p)
  end
  local opt = ml.optim.new { groups = {
    { kind = "muon", params = hidden, lr = 0.012 },
    { kind = "adamw", params = embedding, lr = 0.3, betas = { 0.8, 0.95 }, eps = 1e-10 },
    { kind = "adamw", params = head, lr = 0.008, betas = { 0.8, 0.95 }, eps = 1e-10 } } }
  local scale = ml.optim.wsd { peak = 1, steps = cfg.steps, decay_from = 0.2,
                               warmup = math.min(40, cfg.steps // 10) }
  return model, opt, function(step)
    return { lr_scale = scale(step), momentum = 0.85 + 0.1 * math.min(1, step / 300) }
  end
end

local make = ml.must(presets[cfg.preset], "preset must be nanogpt or speedrun: " .. cfg.preset)
local model, opt, settings = make()
run:track { model = model, opt = opt, data = data, tok = tok }
run:say(model:summary())

local function sample()
  local start = train:narrow(1, 1, 1):table()
  local out = model:generate({ start }, { tokens = context - 1, temperature = 0.8,
                                          seed = cfg.seed })
  run:sample(tok:decode(out[1].ids))
end

for step in run:steps() do
  local loss = model:loss(data:next())
  loss:backward()
  local s = settings(step)
  local norm = opt:step(s)
  run:log { loss = loss, lr = s.lr or s.lr_scale, norm = norm }
  if step % 200 == 0 and step < cfg.steps then sample() end
end

-- every character of the validation text is predicted once, from up to 64 before it
local function validate()
  local sum, count = 0, 0
  for batch in ml.data.blocks(val, { batch = 128, length = context, tokens = cfg.val_tokens }) do
    local loss, n = model:loss(batch, { reduction = "sum" })
    sum, count = sum + loss:item(), count + n
  end
  return sum / count
end

sample()
local nats = ml.no_grad(validate)
run:say(("the model is in %s: ml.load(%q)"):format(run.dir, run.dir))
run:finish(("validation loss %.4f"):format(nats),
           "weights sha256 " .. ml.ckpt.hash(model:parameters()))
