-- lua5.4 recipes/baselines.lua tokenizer=runs/tokenizer
--
-- What can be had without understanding anything: a model that counts n-grams of the conversations
-- that SFT learns from, and one that gives the answer of the most similar of them. The built-in
-- world's tasks, through the same scorers: whoever trains a model wants to be far above.
local ml = require "moonlit"

local cfg = ml.knobs {
  tokenizer = "runs/tokenizer",
  chats = 9000,   -- of the world, as recipes/sft.lua has them
  order = 8,      -- of the n-grams
  items = 100,    -- of each task
  seed = 1,
}

local world = ml.data.world { seed = cfg.seed }
local tok = ml.must(ml.text.load(cfg.tokenizer))
local chat = ml.data.chat(tok)
local task = ml.run.task("runs/baselines", { seed = cfg.seed })

local models = {
  { "n-grams", ml.eval.baseline.ngram(chat:sequences(world:chats("train", cfg.chats)),
                                      { vocab = tok:size(), order = cfg.order }) },
  { "nearest", ml.eval.baseline.nearest(world:chats("train", cfg.chats)) },
}

-- of the two the better, task by task
local metrics, notes = {}, {}
for _, name in ipairs { "summary", "translate", "questions", "questions_back", "calculator",
                        "sums" } do
  local best, said = nil, {}
  for _, m in ipairs(models) do
    local r = ml.eval.run(m[2], chat, name, { world = world, n = cfg.items,
      tools = { calculator = ml.data.tools.calculator } })
    said[#said + 1] = ("%s %.1f %%"):format(m[1], 100 * r.value)
    if not best or r.value > best.value then best = r end
  end
  metrics[#metrics + 1] = { name = name, title = best.title, value = best.value, low = best.low,
                            high = best.high, n = best.n, unit = "%", better = "higher" }
  notes[#notes + 1] = name .. ": " .. table.concat(said, ", ")
end
task:results { title = "ROTE", metrics = metrics, notes = notes }
task:finish(table.concat(notes, "\n"))
