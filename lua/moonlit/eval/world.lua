--- The report card of a model that chats, on the built-in world: what each stage from fine-tuning
--- on shows of itself, so that a later one is seen to keep what an earlier one taught.
---
---   local card = ml.eval.world(model, chat, { world = world, items = 200 })
---   run:results { title = "DPO", metrics = card.metrics, samples = card.samples }
local card = require "moonlit.eval.card"
local options = require "moonlit.options"

local tasks = { "summary", "translate", "questions", "questions_back", "calculator", "sums",
                "sums_sampled", "style", "gold" }

--- @param model Model
--- @param chat Chat
--- @param opt {world: World, items: integer?, documents: integer?}  items (100) of each task and
---   documents (200) of each kind; items = 0 measures nothing
--- @return { metrics: table[], samples: table[] }
return function(model, chat, opt)
  local o = options(opt, { world = options.required, items = 100, documents = 200 }, "eval.world")
  if o.items == 0 then return { metrics = {}, samples = {} } end
  return card(model, chat.tok, {
    texts = { { "plain", o.world:documents("test", o.documents) },
              { "traces", o.world:traces("test", o.documents) } },
    tasks = tasks, chat = chat, world = o.world, n = o.items, tools = o.world.tools })
end
