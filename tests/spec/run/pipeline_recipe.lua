-- lua5.4 tests/spec/run/pipeline_recipe.lua --out DIR
--
-- pipeline_spec's pipeline: three stages. It tells which of them ran.
local ml = require "moonlit"

local here = "tests/spec/run/"
local cfg = ml.knobs { bytes = 2000, lr = 1e-2, sft_lr = 1e-3, seed = 1, last = true, word = "b c" }
local p = ml.run.pipeline("runs/spec-pipeline", { seed = cfg.seed, size = "tiny" })
local data = p:stage("curate", here .. "task_recipe.lua", { bytes = cfg.bytes,
                                                            words = { "$(false)", cfg.word } })
local base = p:stage("base", here .. "stage_recipe.lua", { lr = cfg.lr }, { data = data })
local sft = cfg.last and p:stage("sft", "stage_recipe.lua", { lr = cfg.sft_lr, steps = 6 },
                                 { data = data, model = base })
for _, s in ipairs(p.info.stages) do print("stage", s.name, s.status) end
p:finish(("loss %.6f"):format((sft or base).results.metrics[1].value))
