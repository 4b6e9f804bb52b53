-- lua5.4 tests/spec/run/compare_recipe.lua lr=0.02 word=moon flip=5
--
-- What compare_spec runs: a tiny training whose data can have one document changed, or whose weights
-- one bit flipped after a step.
local ml = require "moonlit"

local cfg = ml.knobs { steps = 10, lr = 1e-2, seed = 1 }
local flip, word = tonumber(os.getenv "MOONLIT_FLIP" or "0"), os.getenv "MOONLIT_WORD"
local text = ml.data.prose { bytes = 3000, seed = 2 }
if word then -- a document of it, in the middle
  text = text:sub(1, 1000) .. word:rep(100) .. text:sub(1001 + 100 * #word)
end
local tok = ml.text.chars { text = ml.data.prose { bytes = 3000, seed = 2 } }
local run = ml.run("runs/compare", { steps = cfg.steps, seed = cfg.seed, save_every = 5, keep = 0 })
local data = ml.data.windows(ml.tensor(tok:encode(text), { dtype = "i64" }),
                             { batch = 4, length = 16 })
local model = ml.model { arch = "llama", layers = 2, heads = 2, dim = 16, vocab = tok:size(),
                         context = 16 }
local opt = ml.optim.adamw(model:parameters(), { lr = cfg.lr })
run:track { model = model, opt = opt, data = data, tok = tok }

for step in run:steps() do
  local loss = model:loss(data:next())
  loss:backward()
  run:log { loss = loss, lr = cfg.lr, norm = opt:step { clip = 1 } }
  if step == flip then -- the highest bit of an exponent that is below 1
    ml.no_grad(function()
      model:parameter("model.layers.1.mlp.up_proj.weight"):narrow(1, 3, 1):narrow(2, 2, 1):mul_(2^64)
    end)
  end
end
run:finish("weights sha256 " .. ml.ckpt.hash(model:parameters()))
