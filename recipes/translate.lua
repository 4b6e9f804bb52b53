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

local right, overlap, samples, held = 0, 0, {}, ml.data.take(conversations("valid", cfg.valid),
                                                             cfg.valid)
local prompts = {}
for i, c in ipairs(held) do prompts[i] = { c.messages[1] } end
for i, out in ipairs(ml.converse(model, chat, prompts, { tokens = 128, temperature = 0 })) do
  local said, want = out.messages[1].content or "", held[i].messages[2].content
  right = right + (said == want and 1 or 0)
  overlap = overlap + ml.eval.chrf(said, want)
  if i <= 3 then samples[i] = { prompt = prompts[i][1].content, reply = said, answer = want } end
end
run:results { title = "VELU", samples = samples, metrics = {
  { name = "translate", title = "translations right", value = right / #held, n = #held,
    unit = "%" },
  { name = "chrf", title = "chrF", value = overlap / #held, n = #held } } }
run:finish(("translations right %.1f %%, chrF %.3f"):format(100 * right / #held, overlap / #held),
           "weights sha256 " .. ml.ckpt.hash(model:parameters()))
