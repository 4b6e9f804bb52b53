-- Other conversations kept fresh beside a loss: theirs, or the way a model has moved on them.
local ml = require "moonlit"

local special = ml.data.chat.special
local tok = ml.text.train({ "hello there you two" }, { vocab = 270, special = special })
local chat = ml.data.chat(tok)

local function model(seed)
  return ml.model { preset = "llama", vocab = tok:size(), layers = 1, heads = 1, dim = 8,
                    hidden = 8, context = 32, seed = seed }
end

local function conversations()
  local list = {}
  for i = 1, 12 do
    list[i] = { messages = { { role = "user", content = "hello " .. i },
                             { role = "assistant", content = "you two " .. i } } }
  end
  return list
end

describe("rl.fresh", function()
  it("is the loss of a packed batch, a function of seed and step", function()
    local m = model(1)
    local fresh = ml.rl.fresh(m, chat, conversations(), { batch = 2, seed = 5 })
    local data = ml.data.packed(chat:sequences(conversations()),
                                { batch = 2, length = 32, whole = true, seed = 5 })
    for _, step in ipairs { 3, 1, 3 } do
      assert.equal(m:loss(data:at(step)):item(), fresh(step):item())
    end
    assert.are_not.equal(fresh(1):item(), fresh(2):item())
  end)

  it("is how far a model has moved from its reference, nats a learned token", function()
    local m, reference = model(1), model(1)
    local fresh = ml.rl.fresh(m, chat, conversations(), { batch = 2, reference = reference })
    assert.near(0, fresh(1):item(), 1e-6)
    m = model(2)
    fresh = ml.rl.fresh(m, chat, conversations(), { batch = 2, reference = reference })
    local batch = ml.data.packed(chat:sequences(conversations()),
                                 { batch = 2, length = 32, whole = true, seed = 0 }):at(1)
    local kl, learned = m:kl(batch, reference):table(), batch.mask:table()
    local sum, n = 0, 0
    for b, row in ipairs(kl) do
      for t, value in ipairs(row) do
        local counts = learned[b][t + #learned[b] - #row]
        sum, n = sum + value * counts, n + counts
      end
    end
    local loss = fresh(1)
    assert.near(sum / n, loss:item(), 1e-5)
    assert.is_true(loss:item() > 0.001)
    loss:backward()
    local moved = 0
    for _, p in ipairs(m:parameters()) do moved = moved + p.tensor:grad():abs():sum():item() end
    assert.is_true(moved > 0)
  end)

  it("refuses options it does not know", function()
    assert.error_matches(function() ml.rl.fresh(model(1), chat, {}, { ref = 1 }) end, "rl.fresh")
  end)
end)
