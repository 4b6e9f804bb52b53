-- smoke.lua -- an installed moonlit trains: a small model fits a short text.
local ml = require "moonlit"
ml.seed(1)
local tok = ml.text.chars { text = "hello moon, hello world. " }
local ids = tok:encode(("hello moon, hello world. "):rep(40))
local data = ml.data.windows(ml.tensor(ids, { dtype = "i64" }), { batch = 4, length = 16 })
local model = ml.model { arch = "llama", layers = 1, heads = 2, dim = 32, vocab = tok:size(),
                         context = 16 }
local opt = ml.optim.adamw(model:parameters(), { lr = 1e-2 })
local first, last
for _ = 1, 30 do
  local loss = model:loss(data:next())
  loss:backward()
  opt:step { clip = 1.0 }
  last = loss:item()
  first = first or last
end
assert(last < first / 2, ("smoke: loss went from %g to %g"):format(first, last))
print(("smoke: loss %.3f -> %.3f"):format(first, last))
