-- lua5.4 recipes/reward.lua model=runs/sft data=pairs.jsonl
--
-- A reward model: of two replies to one prompt it learns which is preferred (Bradley-Terry). data
-- is a .jsonl or .jsonl.gz file of pairs, { "prompt": ..., "chosen": ..., "rejected": ... } a line,
-- each text or messages, or two whole conversations, as messages or as transcripts
-- ("\n\nHuman: ...\n\nAssistant: ..."). Without it, the built-in world's: polite and short is
-- preferred, and three quarters of the pairs differ in nothing but that. PPO learns from what this
-- leaves in runs/reward.
local ml = require "moonlit"

local cfg = ml.knobs {
  model = "runs/sft",
  data = "",
  held = 50,         -- of a file: one pair of so many is held out
  pairs = 4000,      -- of the world
  steps = 120,
  batch = 32,        -- pairs a step
  lr = 5e-4,         -- down to a tenth in a straight line
  center = 0.01,     -- keeps scores around 0
  seed = 1,
  valid = 400,       -- of the world's pairs to measure on; of a file, all that are held out
  save_every = 100,
}

local sft, tok = ml.load(cfg.model)
ml.must(sft, ("reward: %s; make one with recipes/sft.lua"):format(tok))
local chat, world = ml.data.chat(tok), ml.data.world { seed = cfg.seed }
local model = sft:with_head(1, { seed = cfg.seed })

local function pairs_of(part, n)
  local records = cfg.data == "" and world:pairs(part, n)
    or ml.must(ml.data.open(cfg.data, part == "test" and "valid" or part,
                            { field = "chosen", held = cfg.held }))
  local list = ml.data.take(records, cfg.data == "" and n or math.maxinteger)
  local rows, counts = ml.must(ml.rl.pairs(list, chat, { length = model.options.context }))
  return rows, counts, list
end
local rows, counts = pairs_of("train", cfg.pairs)
local held, left = pairs_of("test", cfg.valid)
ml.must(#held > 0, "reward: no pair is held out; held= is one of so many")

local run = ml.run("runs/reward", { steps = cfg.steps, seed = cfg.seed,
                                    save_every = cfg.save_every })
local data = ml.data.deal(rows, { batch = cfg.batch })
local opt = ml.optim.adamw(model:parameters(), { lr = cfg.lr, betas = { 0.9, 0.95 } })
local rate = ml.optim.linear { peak = 1, floor = 0.1, warmup = 10, steps = cfg.steps }
run:track { model = model, opt = opt, data = data, tok = tok }
for _, c in ipairs { counts, left } do
  run:say(("%s: %d pairs of %d; refused: %d equal, %d empty, %d too long"):format(
    c == left and "held out" or "to learn", c.kept, c.pairs, c.identical, c.empty, c.long))
end

for step in run:steps() do
  local batch = ml.rl.batch(ml.rl.sides(data:next()))
  local chosen, rejected = ml.rl.halves(ml.rl.last(batch, model:scores(batch)))
  local loss, stats = ml.loss.reward(chosen, rejected, { center = cfg.center })
  loss:backward()
  local norm = opt:step { lr_scale = rate(step), clip = 1 }
  run:log { loss = loss, norm = norm, lr = cfg.lr * rate(step), accuracy = stats.accuracy,
            margin = stats.margin, mean_reward = stats.mean_reward,
            min_reward = stats.min_reward, max_reward = stats.max_reward }
end

-- how often the preferred reply scores higher, of pairs held out
local judge = ml.reward.model(model)
local scores = judge:scores(ml.rl.sides(held))
local metrics = {}
local function measure(name, title, kind)
  local right, n = 0, 0
  for i, row in ipairs(held) do
    if not kind or row.kind == kind then
      n, right = n + 1, right + (scores[i] > scores[#held + i] and 1 or 0)
    end
  end
  local low, high = ml.eval.wilson(right / n, n)
  metrics[#metrics + 1] = { name = name, title = title, value = right / n, low = low, high = high,
                            n = n, unit = "%", better = "higher" }
end
measure("judged", "pairs judged right")
if cfg.data == "" then
  measure("judged_style", "style pairs judged right", "style")
  measure("judged_content", "content pairs judged right", "content")
end
run:results { title = "RM", metrics = metrics }
run:finish(("pairs held out judged right: %.1f %%"):format(100 * metrics[1].value),
           "weights sha256 " .. ml.ckpt.hash(model:parameters()))
