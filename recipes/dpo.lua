-- lua5.4 recipes/dpo.lua model=runs/sft data=pairs.jsonl
--
-- Direct preference optimisation: preferred replies become likelier than rejected ones, as far as
-- the model stays near the one it began as. data is as in reward.lua; without it, the built-in
-- world's pairs. What the reference says of the pairs is computed once and kept on disk, so that
-- training holds one model. replay is a file of conversations to keep fresh; with the world's
-- pairs, the world's. loss: sigmoid, cdpo, ipo, ipo_sequence, hinge, robust (ml.loss.dpo).
local ml = require "moonlit"

local cfg = ml.knobs {
  model = "runs/sft",
  data = "",
  held = 50,         -- of a file: one pair of so many is held out
  pairs = 4000,      -- of the world
  steps = 60,
  batch = 32,        -- pairs a step
  lr = 1e-4,         -- down to a tenth in a straight line
  loss = "sigmoid",
  beta = 0.3,
  label_smoothing = 0.0, -- of cdpo and robust
  sft = 1.0,         -- weight of the chosen replies' likelihood: without it they fade too
  replay = "",
  keep = 1.0,        -- weight of the loss on conversations kept fresh
  seed = 1,
  valid = 200,       -- documents, and pairs of the world, to measure on
  items = -1,        -- of the world's tasks to measure on; -1: 100, and none on your own data
  save_every = 100,
}

if cfg.items < 0 then cfg.items = cfg.data == "" and 100 or 0 end
local model, tok = ml.load(cfg.model)
ml.must(model, ("dpo: %s; make one with recipes/sft.lua"):format(tok))
local chat, world = ml.data.chat(tok), ml.data.world { seed = cfg.seed }
local length = model.options.context

local function pairs_of(part, n)
  local records = cfg.data == "" and world:pairs(part, n)
    or ml.must(ml.data.open(cfg.data, part, { field = "chosen", held = cfg.held }))
  return ml.must(ml.rl.pairs(records, chat, { length = length }))
end
local rows, counts = pairs_of("train", cfg.pairs)
local held, left = pairs_of("valid", cfg.valid)
ml.must(#held > 0, "dpo: no pair is held out; held= is one of so many")

local run = ml.run("runs/dpo", { steps = cfg.steps, seed = cfg.seed, save_every = cfg.save_every })
for _, list in ipairs { rows, held } do
  ml.must(ml.rl.reference(model, ml.rl.sides(list), { dir = run.dir .. "/reference" }))
end

local data = ml.data.deal(rows, { batch = cfg.batch })
local opt = ml.optim.adamw(model:parameters(), { lr = cfg.lr, betas = { 0.9, 0.95 } })
local rate = ml.optim.linear { peak = 1, floor = 0.1, warmup = 10, steps = cfg.steps }
run:track { model = model, opt = opt, data = data, tok = tok }
for _, c in ipairs { counts, left } do
  run:say(("%s: %d pairs of %d; refused: %d equal, %d empty, %d too long"):format(
    c == left and "held out" or "to learn", c.kept, c.pairs, c.identical, c.empty, c.long))
end

local function loss_of(part)
  local batch = ml.rl.batch(ml.rl.sides(part))
  local chosen, rejected = ml.rl.halves(ml.rl.sum(batch, model:logprobs(batch)))
  local ref_chosen, ref_rejected = ml.rl.halves(ml.rl.sum(batch, batch.ref))
  local chosen_lengths, rejected_lengths = ml.rl.halves(batch.mask:sum(2))
  return ml.loss.dpo(chosen, rejected, ref_chosen, ref_rejected, {
    kind = cfg.loss, beta = cfg.beta, sft = cfg.sft, chosen_lengths = chosen_lengths,
    label_smoothing = cfg.label_smoothing > 0 and cfg.label_smoothing or nil,
    rejected_lengths = rejected_lengths })
end

-- the other tasks, so that nothing is forgotten
local chats = cfg.replay ~= "" and ml.must(ml.data.conversations(cfg.replay, "train"))
  or cfg.data == "" and cfg.keep > 0 and world:chats("train", 2000,
    { "summary", "translate", "questions", "calculator", "sums" })
local fresh = chats and ml.rl.fresh(model, chat, chats, { seed = cfg.seed })

for step in run:steps() do
  local loss, stats = loss_of(data:next())
  loss:backward()
  if fresh then (fresh(step) * cfg.keep):backward() end
  local norm = opt:step { lr_scale = rate(step), clip = 1 }
  stats.count = nil
  stats.loss, stats.norm, stats.lr = loss, norm, cfg.lr * rate(step)
  run:log(stats)
end

-- means over the pairs held out, some of them at a time
local function held_out()
  local accuracy, margin = 0, 0
  for first = 1, #held, cfg.batch do
    local part = table.move(held, first, math.min(first + cfg.batch - 1, #held), 1, {})
    local _, stats = loss_of(part)
    accuracy = accuracy + stats["rewards/accuracies"] * #part / #held
    margin = margin + stats["rewards/margins"] * #part / #held
  end
  return accuracy, margin
end

local accuracy, margin = ml.no_grad(held_out)
local card = ml.eval.world(model, chat, { world = world, items = cfg.items,
                                          documents = cfg.valid })
local low, high = ml.eval.wilson(accuracy, #held)
table.insert(card.metrics, { name = "preferred", title = "held-out pairs preferred", unit = "%",
  value = accuracy, low = low, high = high, n = #held, better = "higher" })
run:results { title = "DPO", metrics = card.metrics, samples = card.samples,
              notes = { ("held-out margin %.3f"):format(margin) } }
run:finish(("held-out pairs preferred %.1f %%, margin %.3f"):format(100 * accuracy, margin),
           "weights sha256 " .. ml.ckpt.hash(model:parameters()))
