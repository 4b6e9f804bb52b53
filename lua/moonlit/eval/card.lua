--- The lines of a report card that a stage fills in: bits per byte of texts and scores of tasks, as
--- run:results takes them.
---
---   local card = ml.eval.card(model, tok, { texts = { plain = docs }, tasks = { "sums" },
---                                           chat = chat, world = world, n = 100 })
---   run:results { title = "SFT", metrics = card.metrics, samples = card.samples }
local bits_per_byte = require "moonlit.eval.bits_per_byte"
local options = require "moonlit.options"
local plain = require "moonlit.eval.plain"
local run_task = require "moonlit.eval.run"

local optional = options.optional

local function add_text(card, model, tok, name, docs)
  local r = bits_per_byte(model, tok, docs)
  card.metrics[#card.metrics + 1] = { name = name, title = "bits per byte, " .. name,
    value = r.bits_per_byte, n = r.documents, unit = "bits/byte", better = "lower" }
end

local function add_task(card, model, chat, name, o)
  local r = run_task(model, chat, name, { world = o.world, n = o.n, part = o.part,
                                          tools = o.tools, batch = o.batch, samples = 1 })
  local metric = {}
  for _, key in ipairs { "name", "title", "value", "low", "high", "n", "unit", "better" } do
    metric[key] = r[key]
  end
  card.metrics[#card.metrics + 1] = metric
  for _, s in ipairs(r.samples) do
    card.samples[#card.samples + 1] = { prompt = s.prompt, reply = s.reply }
  end
  card.stopped, card.asked = card.stopped + r.stopped * r.n, card.asked + r.n
end

--- @param model Model
--- @param tok Tokenizer
--- @param opt table  texts: { { name, documents or false }, ... } to measure bits per byte on;
---   tasks: names of tasks, answered through `chat`, or, without one, as plain documents; world,
---   part ("test"), n (100) items of each, tools, batch (64)
--- @return { metrics: table[], samples: table[] }  with a line for replies that ended by themselves
---   where there is a chat
return function(model, tok, opt)
  local o = options(opt, { texts = {}, tasks = {}, chat = optional, world = optional,
                           part = "test", n = 100, tools = optional, batch = 64 }, "eval.card")
  local card = { metrics = {}, samples = {}, stopped = 0, asked = 0 }
  for _, text in ipairs(o.texts) do
    if text[2] then add_text(card, model, tok, text[1], text[2]) end
  end
  local chat = o.chat or plain(tok)
  for _, name in ipairs(o.tasks) do add_task(card, model, chat, name, o) end
  if o.chat and card.asked > 0 then
    card.metrics[#card.metrics + 1] = { name = "stops", title = "replies that end by themselves",
      value = card.stopped / card.asked, n = card.asked, unit = "%", better = "higher" }
  end
  return card
end
