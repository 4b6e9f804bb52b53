-- lua5.4 recipes/tools.lua model=runs/midtrain data=calls.jsonl
--
-- A model learns to call a tool and to use what it gives back. data is a .jsonl or .jsonl.gz file
-- of conversations whose assistant has "tool_calls": [{ "name": "calculator", "arguments": {
-- "expression": "12+30" } }], each answered by a message of role "tool"; without it, the built-in
-- world's questions for a calculator. What tools say is never learned. Measured by letting the
-- model answer, with the tool at hand.
local ml = require "moonlit"

local cfg = ml.knobs {
  model = "runs/midtrain",
  data = "",
  chats = 4000,      -- of the world
  steps = 400,
  batch = 8,         -- rows of the model's context a step
  lr = 1.5e-3,       -- half a cosine, down to a twentieth
  seed = 1,
  valid = 100,       -- questions of the world to measure on
  save_every = 200,
}
local tools = { calculator = ml.data.tools.calculator } -- name -> function(arguments) -> text

local world = ml.data.world { seed = cfg.seed }
local conversations
if cfg.data == "" then conversations = world:chats("train", cfg.chats, "calculator")
else conversations = ml.must(ml.data.conversations(cfg.data, "train")) end

local model, tok = ml.load(cfg.model)
ml.must(model, ("tools: %s; make one with recipes/midtrain.lua"):format(tok))
local chat = ml.data.chat(tok)
local run = ml.run("runs/tools", { steps = cfg.steps, seed = cfg.seed,
                                   save_every = cfg.save_every })
local data = ml.data.packed(chat:sequences(conversations),
  { batch = cfg.batch, length = model.options.context, whole = true })
local opt = ml.optim.hybrid(model, { lr = cfg.lr })
local rate = ml.optim.cosine { peak = 1, floor = 0.05, warmup = 20, steps = cfg.steps }
run:track { model = model, opt = opt, data = data, tok = tok }

for step in run:steps() do
  local loss = model:loss(data:next())
  loss:backward()
  local norm = opt:step { lr_scale = rate(step), clip = 1 }
  run:log { loss = loss, lr = cfg.lr * rate(step), norm = norm }
end

local card = ml.eval.card(model, tok, { tasks = { "calculator" }, chat = chat, world = world,
                                        n = cfg.valid, tools = tools })
run:results { title = "TOOLS", metrics = card.metrics, samples = card.samples }
run:finish(("calculator used rightly %.1f %%"):format(100 * card.metrics[1].value),
           "weights sha256 " .. ml.ckpt.hash(model:parameters()))
