-- lua5.4 tests/spec/run/task_recipe.lua bytes=2000
--
-- The first stage of pipeline_spec's: a run without a loop that writes a text.
local ml = require "moonlit"

local cfg = ml.knobs { bytes = 2000, seed = 1, words = { "a", "b" } }
local task = ml.run.task("runs/task", { seed = cfg.seed })
task:say("writing " .. cfg.bytes .. " bytes")
local file = assert(io.open(task:path "data/text.txt", "w"))
file:write(ml.data.prose { bytes = cfg.bytes, seed = cfg.seed }, " ", table.concat(cfg.words, " "))
file:close()
task:results { title = "text", metrics = { { name = "bytes", value = cfg.bytes } } }
task:finish("wrote it")
