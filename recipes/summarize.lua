-- lua5.4 recipes/summarize.lua model=runs/midtrain data=articles.jsonl text=body short=abstract
--
-- A model learns to sum texts up. data is a .jsonl or .jsonl.gz file with a text and its summary in
-- two fields; without it, the stories of the built-in world. Measured on summaries held out: how
-- many are word for word right, and ROUGE-L.
local ml = require "moonlit"

local cfg = ml.knobs {
  model = "runs/midtrain",
  data = "",
  text = "text",       -- fields of a line
  short = "summary",
  ask = "Summarise: ", -- what a text is asked with
  stories = 4000,      -- of the world
  steps = 400,
  batch = 8,           -- rows of the model's context a step
  lr = 1.5e-3,         -- half a cosine, down to a twentieth
  seed = 1,
  valid = 100,         -- summaries to measure on
  save_every = 200,
}

local world = ml.data.world { seed = cfg.seed }
local function conversations(part, n)
  if cfg.data == "" then return world:chats(part, n, "summary") end
  local rows = ml.must(ml.data.conversations(cfg.data, part, { prompt = cfg.text,
                                                              reply = cfg.short }))
  return function()
    local c = rows()
    if c then c.messages[1].content = cfg.ask .. c.messages[1].content end
    return c
  end
end

local model, tok = ml.load(cfg.model)
ml.must(model, ("summarize: %s; make one with recipes/midtrain.lua"):format(tok))
local chat = ml.data.chat(tok)
local run = ml.run("runs/summarize", { steps = cfg.steps, seed = cfg.seed,
                                       save_every = cfg.save_every })
local data = ml.data.packed(chat:sequences(conversations("train", cfg.stories)),
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
local r = ml.eval.replies(model, chat, held, { rouge_l = ml.eval.rouge_l })
run:results { title = "SUMMARY", samples = r.samples, metrics = {
  { name = "summary", title = "summaries right", value = r.exact, n = r.n, unit = "%" },
  { name = "rouge_l", title = "ROUGE-L", value = r.rouge_l, n = r.n } } }
run:finish(("summaries right %.1f %%, ROUGE-L %.3f"):format(100 * r.exact, r.rouge_l),
           "weights sha256 " .. ml.ckpt.hash(model:parameters()))
