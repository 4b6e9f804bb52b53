-- The head goes by pieces of rows and of the vocabulary, kept or computed again: none of it shows.
-- The reference is whole: all logits, then cross_entropy, whose backward is two whole products.
local ml = require "moonlit"
local core = require "moonlit.core"

local V = 2 * 4096 + 5 -- three blocks of the vocabulary, the last one narrow

local function gradients(model, loss)
  loss:backward()
  local all = {}
  for i, p in ipairs(model:parameters()) do
    all[i] = p.tensor:grad():bytes()
    p.tensor:discard_grad()
  end
  return all
end

-- -sum of log p at a temperature, of positions 2..T
local function by_pieces(model, ids, temperature)
  if temperature == 1 then return (model:loss({ ids = ids }, { reduction = "sum" })) end
  return -model:logprobs({ ids = ids }, { temperature = temperature }):sum()
end

local function whole(model, ids, temperature)
  local B, T = ids:size(1), ids:size(2)
  local z = model:logits { ids = ids:narrow(2, 1, T - 1):contiguous() }:view(B * (T - 1), V)
  if temperature ~= 1 then z = z * (1 / temperature) end
  local to = ids:narrow(2, 2, T - 1):contiguous():view(B * (T - 1))
  return z:cross_entropy(to, { reduction = "sum" })
end

describe("the head", function()
  -- 24 rows: pieces are kept. 4200 rows: more than a piece holds, and none is
  for _, size in ipairs { { 3, 9 }, { 42, 101 } } do
    for _, softcap in ipairs { 0, 5 } do
      for _, temperature in ipairs { 1, 0.8 } do
        local what = ("%d rows, softcap %g, temperature %g"):format(size[1] * (size[2] - 1),
                                                                  softcap, temperature)
        it("has the gradients of whole products: " .. what, function()
          ml.seed(7)
          local model = ml.model { preset = "llama", layers = 1, heads = 2, dim = 8, vocab = V,
                                   context = 128, tied = false, softcap = softcap }
          local ids = ml.randint(0, V - 1, size)
          local loss, want = by_pieces(model, ids, temperature), whole(model, ids, temperature)
          assert.near(want:item(), loss:item(), 1e-5 * want:item())
          assert.is_true(want:item() > 0)
          local got = gradients(model, loss)
          for i, g in ipairs(gradients(model, want)) do
            assert.is_true(g == got[i], model:parameters()[i].name)
          end
        end)
      end
    end
  end

  it("takes what another head of the same forward has left for nobody's", function()
    local model = ml.model { preset = "llama", layers = 1, heads = 2, dim = 8, vocab = V,
                             context = 16 }
    local ids = ml.randint(0, V - 1, 2, 9)
    local alone = gradients(model, (model:loss { ids = ids }))
    local f <close> = core.nn.forward(model.core, ids, nil, nil, true, true)
    local x = f:blocks(1, 1, f:embed())
    local loss = f:loss(x, true)
    f:logprobs(x, 0.5)
    for i, g in ipairs(gradients(model, loss)) do assert.is_true(g == alone[i]) end
  end)
end)
