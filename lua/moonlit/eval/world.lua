--- The report card of a model that chats, on the built-in world: what each stage from fine-tuning on
--- shows of itself, so that a later one is seen to keep what an earlier one taught.
---
---   local card = ml.eval.world(model, tok, { world = world, items = 200 })
---   run:results { title = "DPO", metrics = card.metrics, samples = card.samples }
local card = require "moonlit.eval.card"
local chat = require "moonlit.data.chat"
local options = require "moonlit.options"
local tools = require "moonlit.data.tools"

local tasks = { "summary", "translate", "questions", "questions_back", "calculator", "sums",
                "sums_sampled", "style", "gold" }

--- @param model Model
--- @param tok Tokenizer
--- @param opt {world: World, items: integer?, documents: integer?}  items (100) of each task and
---   documents (200) of each kind; items = 0 measures nothing
--- @return { metrics: table[], samples: table[] }
return function(model, tok, opt)
  local o = options(opt, { world = options.required, items = 100, documents = 200 }, "eval.world")
  if o.items == 0 then return { metrics = {}, samples = {} } end
  return card(model, tok, {
    texts = { { "plain", o.world:documents("test", o.documents) },
              { "traces", o.world:traces("test", o.documents) } },
    tasks = tasks, chat = chat(tok), world = o.world, n = o.items,
    tools = { calculator = tools.calculator } })
end
