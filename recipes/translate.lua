-- lua5.4 recipes/translate.lua model=runs/midtrain data=pairs.jsonl from=en to=de
--
-- A model learns to translate. data is a .jsonl or .jsonl.gz file with a sentence and its
-- translation in two fields; without it, the built-in world's sentences and their Velu, which has a
-- word order, agreement and number of its own. Measured on sentences held out: exactly right, and
-- chrF.
local ml = require "moonlit"

local cfg = ml.knobs {
  model = "runs/midtrain",
  data = "",
  from = "from",                      -- fields of a line
  to = "to",
  ask = "Translate into Velu: ",      -- what a sentence is asked with
  sentences = 6000,                   -- of the world
  steps = 400,
  batch = 8,                          -- rows of the model's context a step
  lr = 1.5e-3,                        -- half a cosine, down to a twentieth
  seed = 1,
  valid = 100,                        -- sentences to measure on
  save_every = 200,
}

local world = ml.data.world { seed = cfg.seed }
local function conversations(part, n)
  if cfg.data == "" then return world:chats(part, n, "translate") end
  local rows = ml.must(ml.data.conversations(cfg.data, part, { prompt = cfg.from, reply = cfg.to }))
  return function()
    local c = rows()
    if c then c.messages[1].content = cfg.ask .. c.messages[1].content end
    return c
  end
end

local model, tok = ml.load(cfg.model)
ml.must(model, ("translate: %s; make one with recipes/midtrain.lua"):format(tok))
local chat = ml.data.chat(tok)
local run = ml.run("runs/translate", { steps = cfg.steps, seed = cfg.seed,
                                       save_every = cfg.save_every })
local data = ml.data.packed(chat:sequences(conversations("train", cfg.sentences)),
  { batch = cfg.batch, length = model.options.context, whole = true })
local opt = ml.optim.hybrid(model, { lr = cfg.lr })
local rate = ml.optim.cosine { peak = 1, floor = 0.05, warmup = 20, steps = cfg.steps }
run:track { model = model, opt = opt, data = data, tok = tok }

for step in run:steps() do
  local loss = model:loss(data:next())
  loss:backward()
  local norm = opt:step { lr_scale = rate(step), clip = 1 }
  run:log { loss = loss, lr = cfg.lr * rate(step), norm = norm }
end

local held = ml.data.take(conversations("valid", cfg.valid), cfg.valid)
local r = ml.eval.replies(model, chat, held, { chrf = ml.eval.chrf })
run:results { title = "VELU", samples = r.samples, metrics = {
  { name = "translate", title = "translations right", value = r.exact, n = r.n, unit = "%" },
  { name = "chrf", title = "chrF", value = r.chrf, n = r.n } } }
run:finish(("translations right %.1f %%, chrF %.3f"):format(100 * r.exact, r.chrf),
           "weights sha256 " .. ml.ckpt.hash(model:parameters()))
