-- lua5.4 recipes/pretrain.lua data=corpus.jsonl tokenizer=runs/tokenizer steps=2000
--
-- Pre-training: a small llama learns to predict documents. data is a .txt, .jsonl or .jsonl.gz
-- file, or a run of curate.lua; without it, the documents of the built-in world. tokenizer is a run
-- of tokenizer.lua or a tokenizer.json; without it, one is made of the documents. What it leaves
-- continues any text: moonlit chat runs/pretrain --plain.
local ml = require "moonlit"

local cfg = ml.knobs {
  data = "",
  tokenizer = "",
  vocab = 1024,      -- of the tokenizer made here
  documents = 8000,  -- of the world
  model = { layers = 4, heads = 4, dim = 128, hidden = 352, context = 256 },
  dtype = "f32",     -- or a bf16 tier: "bf16", "bf16-amx"
  steps = 1100,
  batch = 8,         -- rows of context tokens a step
  lr = 3e-3,         -- flat, then down to a third over the last fifth
  seed = 1,
  valid = 200,       -- documents to measure bits per byte on
  items = -1,        -- of the world's tasks to measure on; -1: 100, and none on your own data
  save_every = 250,
}

if cfg.items < 0 then cfg.items = cfg.data == "" and 100 or 0 end
local world = ml.data.world { seed = cfg.seed }
local function documents(part, n)
  if cfg.data ~= "" then return ml.must(ml.data.open(cfg.data, part)) end
  return world:documents(part, n)
end

local tok
if cfg.tokenizer ~= "" then tok = ml.must(ml.text.load(cfg.tokenizer))
else
  tok = ml.text.train(documents("train", cfg.documents), { vocab = cfg.vocab,
                                                           special = ml.data.chat.special })
end

local run = ml.run("runs/pretrain", { steps = cfg.steps, seed = cfg.seed,
                                      save_every = cfg.save_every })
local shard = run:path "data/train.shard"
local docs, file = documents("train", cfg.documents)
ml.must(ml.data.shard.write(shard, ml.data.sequences(docs, tok)))
ml.must(ml.data.lineage.note({ shard }, { file })) -- moonlit inspect RUN --token N
local data = ml.data.packed(ml.must(ml.data.shard.open(shard)),
                            { batch = cfg.batch, length = cfg.model.context })

local shape = { preset = "llama", vocab = tok:size(), dtype = cfg.dtype, seed = cfg.seed }
for name, value in pairs(cfg.model) do shape[name] = value end
local model = ml.model(shape)
local opt = ml.optim.hybrid(model, { lr = cfg.lr })
local rate = ml.optim.wsd { peak = 1, floor = 0.3, warmup = 20, steps = cfg.steps }
run:track { model = model, opt = opt, data = data, tok = tok }
run:say(model:summary())

local function sample()
  local stop = tok:id "<|endoftext|>"
  local out = model:generate({ { stop } }, { tokens = 60, temperature = 0.8, seed = cfg.seed,
                                             tokenizer = tok, stop = stop })
  run:sample(out[1].text)
end

for step in run:steps() do
  local loss = model:loss(data:next())
  loss:backward()
  local norm = opt:step { lr_scale = rate(step), clip = 1 }
  run:log { loss = loss, lr = cfg.lr * rate(step), norm = norm }
  if step == 100 or step % 250 == 0 then sample() end
end

local on_world = cfg.items > 0
local held = on_world and world:documents("test", cfg.valid) or documents("valid", cfg.valid)
local plain = ml.data.take(held, cfg.valid)
local card = ml.eval.card(model, tok, {
  texts = { { "plain", plain }, { "traces", on_world and world:traces("test", cfg.valid) } },
  tasks = on_world and { "sums" } or {}, world = world, n = cfg.items })
local blank = ml.eval.bits_per_byte(ml.model(shape), tok, plain).bits_per_byte
table.insert(card.metrics, { name = "untrained", title = "bits per byte, plain, untrained",
                             value = blank, unit = "bits/byte", better = "lower" })
run:results { title = "BASE", metrics = card.metrics, samples = card.samples }
run:finish(("bits per byte %.4f, %.4f before training"):format(card.metrics[1].value, blank),
           "weights sha256 " .. ml.ckpt.hash(model:parameters()))
