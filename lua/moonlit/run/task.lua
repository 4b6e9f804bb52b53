--- A run without a training loop: curating, a tokenizer, an evaluation.
---
---   local task = ml.run.task("runs/curate", { seed = 1 })
---   task:say("reading")
---   ml.data.write(task:path "data/train.jsonl", documents)
---   task:results { metrics = { { name = "documents", value = 1000 } } }
---   task:finish("1000 documents")
---
--- There is nothing to resume half-way: --resume of one that did not finish does it again, of one
--- that did prints its last lines.
local core = require "moonlit.core"
local options = require "moonlit.options"
local record = require "moonlit.run.record"

local Task = setmetatable({}, { __index = record.methods })
Task.__index = Task
Task.__name = "moonlit.Task"

--- End it: the lines are printed, and kept for whoever asks for the finished run again.
function Task:finish(...)
  record.finish(self, { ... })
end

--- @param path string  the default directory; --out replaces it
--- @param opt? {seed: integer?}  of ml.rand* and math.random
return function(path, opt)
  if type(path) ~= "string" then error("task: path must be a string, got " .. type(path), 2) end
  local o = options(opt, { seed = 0 }, "task", 3)
  record.whole(o, "seed", 0, "task", 2)
  local self = setmetatable({ seed = o.seed }, Task)
  record.open(self, path, { kind = "task", seed = o.seed })
  core.sys.seed(o.seed)
  math.randomseed(o.seed, 0)
  record.note(self, "%s", self.resumed and "started again" or "started")
  return self
end
