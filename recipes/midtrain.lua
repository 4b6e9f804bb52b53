-- lua5.4 recipes/midtrain.lua model=runs/pretrain data=traces.jsonl replay=corpus.jsonl
--
-- Mid-training: a pre-trained model goes on with high-quality documents, some of its old ones mixed
-- in, while the learning rate falls. data is a .txt, .jsonl or .jsonl.gz file; without it, the
-- built-in world's traces: worked sums, questions with answers, stories in short. replay is what it
-- was pre-trained on: a file or a run of curate.lua; without it, the world's documents.
local ml = require "moonlit"

local cfg = ml.knobs {
  model = "runs/pretrain",
  data = "",
  replay = "",
  share = 0.25,      -- of replay
  documents = 9000,  -- of the world, of each kind
  steps = 900,
  batch = 8,         -- rows of the model's context a step
  lr = 2e-3,         -- half a cosine, down to a tenth
  seed = 1,
  valid = 200,       -- documents to measure bits per byte on
  items = -1,        -- of the world's tasks to measure on; -1: 100, and none on your own data
  save_every = 250,
}

if cfg.items < 0 then cfg.items = cfg.data == "" and 100 or 0 end
local world = ml.data.world { seed = cfg.seed }
local function traces(part, n)
  if cfg.data ~= "" then return ml.must(ml.data.open(cfg.data, part)) end
  return world:traces(part, n)
end
local function documents(part, n)
  if cfg.replay ~= "" then return ml.must(ml.data.open(cfg.replay, part)) end
  return world:documents(part, n)
end

local model, tok = ml.load(cfg.model)
ml.must(model, ("midtrain: %s; make one with recipes/pretrain.lua"):format(tok))
local length = model.options.context

local run = ml.run("runs/midtrain", { steps = cfg.steps, seed = cfg.seed,
                                      save_every = cfg.save_every })
local function loader(docs)
  return ml.data.packed(ml.data.sequences(docs, tok), { batch = 1, length = length, whole = true })
end
local data = ml.data.mix({
  { data = loader(traces("train", cfg.documents)), weight = 1 - cfg.share },
  { data = loader(documents("train", cfg.documents)), weight = cfg.share },
}, { batch = cfg.batch })

local opt = ml.optim.hybrid(model, { lr = cfg.lr })
local rate = ml.optim.cosine { peak = 1, floor = 0.1, warmup = 20, steps = cfg.steps }
run:track { model = model, opt = opt, data = data, tok = tok }

local on_world = cfg.items > 0
local valid = {
  traces = ml.data.take(on_world and world:traces("test", cfg.valid) or traces("valid", cfg.valid),
                        cfg.valid),
  plain = ml.data.take(on_world and world:documents("test", cfg.valid)
                       or documents("valid", cfg.valid), cfg.valid) }
local function bits(name) return ml.eval.bits_per_byte(model, tok, valid[name]).bits_per_byte end

for step in run:steps() do
  local loss = model:loss(data:next())
  loss:backward()
  local norm = opt:step { lr_scale = rate(step), clip = 1 }
  run:log { loss = loss, lr = cfg.lr * rate(step), norm = norm }
  if step % 250 == 0 then run:say(("step %d: bits per byte of traces %.3f"):format(step,
                                                                          bits "traces")) end
end

local card = ml.eval.card(model, tok, {
  texts = { { "plain", valid.plain }, { "traces", valid.traces } },
  tasks = on_world and { "sums" } or {}, world = world, n = cfg.items })
run:results { title = "MID", metrics = card.metrics, samples = card.samples }
run:finish(("bits per byte of traces %.4f, of plain text %.4f"):format(
             card.metrics[2].value, card.metrics[1].value),
           "weights sha256 " .. ml.ckpt.hash(model:parameters()))
