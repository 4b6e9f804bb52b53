-- lua5.4 recipes/sft.lua model=runs/midtrain data=chats.jsonl
-- lua5.4 recipes/sft.lua model=runs/pretrain data=gsm8k.jsonl prompt=question reply=answer
--
-- Supervised fine-tuning: a model learns to answer. data is a .jsonl or .jsonl.gz file of
-- conversations, { "messages": [{ "role": "user", "content": "..." }, ...] } a line, or of two
-- fields that prompt= and reply= name; without it, the built-in world's: summaries, translations,
-- questions over several turns, a calculator, sums, manners. Only what the assistant says is
-- learned. replay is text to keep fresh, a file or a run of curate.lua; without it, the world's
-- pages and traces.
-- Talk to the result: moonlit chat runs/sft.
local ml = require "moonlit"

local cfg = ml.knobs {
  model = "runs/midtrain",
  data = "",
  prompt = "",       -- fields of a line that holds no messages
  reply = "",
  replay = "",
  share = 0.25,      -- of replay
  chats = 14000,     -- of the world
  documents = 3000,  -- of the world, of each kind
  steps = 1000,
  batch = 8,         -- rows of the model's context a step
  lr = 2e-3,         -- half a cosine, down to a twentieth
  seed = 1,
  valid = 200,       -- documents and conversations to measure on
  items = -1,        -- of the world's tasks to measure on; -1: 100, and none on your own data
  save_every = 250,
}

if cfg.items < 0 then cfg.items = cfg.data == "" and 100 or 0 end
local world = ml.data.world { seed = cfg.seed }
local function conversations(part, n)
  if cfg.data == "" then return world:chats(part, n) end
  return ml.must(ml.data.conversations(cfg.data, part, { prompt = cfg.prompt, reply = cfg.reply }))
end
-- pages and traces of the world in turn, and then what one of them has left
local function documents(part, n)
  if cfg.replay ~= "" then return ml.must(ml.data.open(cfg.replay, part)) end
  local a, b = world:documents(part, n), world:traces(part, n)
  return function()
    a, b = b, a
    return a() or b()
  end
end

local model, tok = ml.load(cfg.model)
ml.must(model, ("sft: %s; make one with recipes/midtrain.lua"):format(tok))
local chat = ml.data.chat(tok)
local length = model.options.context

local run = ml.run("runs/sft", { steps = cfg.steps, seed = cfg.seed, save_every = cfg.save_every })
local function loader(sequences)
  return ml.data.packed(sequences, { batch = 1, length = length, whole = true })
end
local data = ml.data.mix({
  { data = loader(chat:sequences(conversations("train", cfg.chats))), weight = 1 - cfg.share },
  { data = loader(ml.data.sequences(documents("train", cfg.documents), tok)), weight = cfg.share },
}, { batch = cfg.batch })

local opt = ml.optim.hybrid(model, { lr = cfg.lr })
local rate = ml.optim.cosine { peak = 1, floor = 0.05, warmup = 20, steps = cfg.steps }
run:track { model = model, opt = opt, data = data, tok = tok }

-- the mean of -log p over what the assistant says in conversations held out
local valid = ml.data.take(conversations("valid", cfg.valid), cfg.valid)
local held = ml.data.packed(chat:sequences(valid), { batch = 1, length = length, whole = true,
                                                     seed = 0 })
local function held_out(of)
  local sum, count = 0, 0
  for i = 1, held:rows() do
    local loss, n = of:loss(held:at(i), { reduction = "sum" })
    sum, count = sum + loss:item(), count + n
  end
  return sum / count
end

for step in run:steps() do
  local loss = model:loss(data:next())
  loss:backward()
  local norm = opt:step { lr_scale = rate(step), clip = 1 }
  run:log { loss = loss, lr = cfg.lr * rate(step), norm = norm }
  if step % 250 == 0 then
    run:say(("step %d: held-out loss %.4f"):format(step, ml.no_grad(held_out, model)))
  end
end

local card = ml.eval.world(model, chat, { world = world, items = cfg.items,
                                          documents = cfg.valid })
local before, after = ml.no_grad(held_out, (ml.load(cfg.model))), ml.no_grad(held_out, model)
table.insert(card.metrics, { name = "held_out", title = "held-out loss of replies", value = after,
                             n = #valid, better = "lower" })
run:results { title = "SFT", metrics = card.metrics, samples = card.samples,
              notes = { ("held-out loss of replies before: %.4f"):format(before) } }
run:finish(("held-out loss %.4f, %.4f before"):format(after, before),
           "weights sha256 " .. ml.ckpt.hash(model:parameters()))
