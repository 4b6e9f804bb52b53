-- lua5.4 recipes/quickstart.lua            (make quickstart runs this)
-- lua5.4 recipes/quickstart.lua seed=2 sft.steps=1500 --from sft
--
-- From a raw crawl to a model you can talk to: curate, tokenize, pre-train, mid-train, fine-tune,
-- learn from preferences and from rewards, measure. Every stage is a recipe of its own that also
-- runs alone, and a directory in runs/quickstart. Started again, it repeats only what a change
-- makes necessary; --from NAME does a stage and all after it once more, --only NAME that stage
-- alone. size=small takes a minute, for trying things out. It ends with each stage's figures,
-- before -> after, and fails if one of them did not get better.
local ml = require "moonlit"

local cfg = ml.knobs {
  seed = 1,
  size = "full",            -- or "small"
  documents = 14000,        -- pages of the crawl
  vocab = 768,
  pretrain = { steps = 1100 },
  midtrain = { steps = 900 },
  sft = { steps = 1000 },
  reward = { steps = 120 },
  dpo = { steps = 60 },
  ppo = { steps = 40 },
  grpo = { steps = 50 },
  items = 200,              -- of each task, to measure on
  save_every = 250,         -- steps between checkpoints; a tenth of it from the reward model on
}
if cfg.size == "small" then
  cfg.documents, cfg.items = 600, 4
  for _, stage in ipairs { "pretrain", "midtrain", "sft" } do cfg[stage].steps = 20 end
  for _, stage in ipairs { "reward", "dpo", "ppo", "grpo" } do cfg[stage].steps = 4 end
end
ml.must(cfg.size == "small" or cfg.size == "full",
        'quickstart: size must be "full" or "small", got ' .. cfg.size)

local p = ml.run.pipeline("runs/quickstart", { seed = cfg.seed, size = cfg.size })

-- 1. A crawl of the built-in world: junk, copies and boilerplate out, personal data masked.
local data = p:stage("curate", "recipes/curate.lua", { documents = cfg.documents })
-- 2. A tokenizer of what is left.
local tok = p:stage("tokenizer", "recipes/tokenizer.lua", { vocab = cfg.vocab }, { data = data })
-- 3. What models that only count and copy make of the tasks to come.
local rote = p:stage("baselines", "recipes/baselines.lua", { items = math.min(40, cfg.items) },
                     { tokenizer = tok })
-- 4. Pre-training on it.
local base = p:stage("pretrain", "recipes/pretrain.lua",
                     { steps = cfg.pretrain.steps, items = cfg.items,
                       save_every = cfg.save_every },
                     { data = data, tokenizer = tok })
-- 5. Mid-training on worked sums, questions and answers, with some of 4 mixed in.
local mid = p:stage("midtrain", "recipes/midtrain.lua",
                    { steps = cfg.midtrain.steps, items = cfg.items,
                      save_every = cfg.save_every },
                    { model = base, replay = data })
-- 6. Fine-tuning on conversations: summaries, translations, questions, a calculator.
local sft = p:stage("sft", "recipes/sft.lua",
                    { steps = cfg.sft.steps, items = cfg.items, save_every = cfg.save_every },
                    { model = mid })

local often = math.max(1, cfg.save_every // 10)
-- 7. A reward model: which of two replies is the more polite and to the point.
local rm = p:stage("reward", "recipes/reward.lua",
                   { steps = cfg.reward.steps, save_every = often }, { model = sft })
-- 8. The same preferences learned directly.
local dpo = p:stage("dpo", "recipes/dpo.lua",
                    { steps = cfg.dpo.steps, items = cfg.items, save_every = often },
                    { model = sft })
-- 9. Or by reinforcement: what 7 judges better becomes likelier.
local ppo = p:stage("ppo", "recipes/ppo.lua",
                    { steps = cfg.ppo.steps, items = cfg.items, save_every = often },
                    { model = sft, reward = rm })
-- 10. Reinforcement with a reward that can be computed: sums that are right.
local grpo = p:stage("grpo", "recipes/grpo.lua",
                    { steps = cfg.grpo.steps, items = cfg.items, save_every = often },
                    { model = ppo })

p:report()

-- ---- did every stage do what it is there for? ----

local function metric(stage, name)
  for _, m in ipairs(stage.results.metrics) do if m.name == name then return m.value end end
  error(("%s has no metric %s"):format(stage.name, name), 0)
end

local lines, failed = {}, {}
local function expect(title, before, after, fine)
  lines[#lines + 1] = ("%s %.3f -> %.3f%s"):format(title, before, after, fine and "" or " (!)")
  if not fine then failed[#failed + 1] = title end
end
local function risen(title, before, after) expect(title, before, after, after > before) end
local function fallen(title, before, after) expect(title, before, after, after < before) end

risen("junk found", 0, metric(data, "junk_recall"))
risen("bytes a token", 1, metric(tok, "bytes_per_token"))
fallen("bits per byte of text", metric(base, "untrained"), metric(base, "plain"))
fallen("of traces", metric(base, "traces"), metric(mid, "traces"))
risen("sums", metric(base, "sums"), metric(mid, "sums"))
for _, task in ipairs { "summary", "translate", "questions", "calculator" } do
  risen(task, metric(rote, task), metric(sft, task))
end
risen("pairs judged", 0.5, metric(rm, "judged"))
risen("preferred style", metric(sft, "style"), metric(dpo, "style"))
risen("gold score", metric(sft, "gold"), metric(ppo, "gold"))
risen("sums sampled", metric(ppo, "sums_sampled"), metric(grpo, "sums_sampled"))
p:finish(table.concat(lines, ", "))
if #failed > 0 and cfg.size ~= "small" then
  io.stderr:write("not better than before: ", table.concat(failed, ", "), "\n")
  os.exit(1, true)
end
p:offer_chat(grpo)
