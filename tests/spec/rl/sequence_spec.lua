local ml = require "moonlit"

local samples = { { ids = { 5, 6, 7 }, mask = { 0, 1, 1 } }, { ids = { 5, 6 }, mask = { 0, 1 } },
                  { ids = { 5, 9, 9, 9 }, mask = { 0, 1, 1, 0 } } }

describe("rl.sequence", function()
  local batch = ml.rl.batch(samples)
  local x = ml.tensor({ { 1, 2, 3, 4 }, { 5, 6, 7, 8 }, { 9, 10, 11, 12 } }, { dtype = "f32" })

  it("sums over what is learned, and takes the last of it", function()
    assert.same({ 5, 6, 21 }, ml.rl.sum(batch, x):table())
    assert.same({ 3, 6, 11 }, ml.rl.last(batch, x):table())
  end)

  it("lets the gradient through to that place only", function()
    local y = x:clone():requires_grad(true)
    ml.rl.last(batch, y):sum():backward()
    assert.same({ { 0, 0, 1, 0 }, { 0, 1, 0, 0 }, { 0, 0, 1, 0 } }, y:grad():table())
  end)

  it("puts a critic's values before their tokens", function()
    local model = ml.model { preset = "llama", layers = 1, heads = 2, dim = 16, context = 8,
                             vocab = 16, head = 1, seed = 1 }
    local scores, values = model:scores(batch):table(), ml.rl.values(model, batch):table()
    for b = 1, 3 do
      assert.equal(0, values[b][1])
      for t = 2, 4 do assert.equal(scores[b][t - 1], values[b][t]) end
    end
  end)

  it("lays pairs side by side", function()
    local pairs = { { chosen = samples[1], rejected = samples[2] },
                    { chosen = samples[3], rejected = samples[1] } }
    local rows = ml.rl.sides(pairs)
    assert.same({ samples[1], samples[3], samples[2], samples[1] }, rows)
    local chosen, rejected = ml.rl.halves(ml.rl.sum(ml.rl.batch(rows), ml.ones { 4, 4 }))
    assert.same({ 2, 2 }, chosen:table())
    assert.same({ 1, 2 }, rejected:table())
  end)

  it("gives what was computed of a batch back to its samples", function()
    local rows = { { ids = { 1, 2 }, mask = { 0, 1 } }, { ids = { 1, 2, 3 }, mask = { 0, 1, 1 } } }
    ml.rl.attach(rows, { values = ml.tensor({ { 1, 2, 3 }, { 4, 5, 6 } }, { dtype = "f32" }) })
    assert.same({ 1, 2 }, rows[1].values)
    assert.same({ 4, 5, 6 }, rows[2].values)
    assert.same({ { 4, 5, 6 } }, ml.rl.batch({ rows[2] }).values:table())
    assert.error_matches(function() ml.rl.attach(rows, { ref = ml.ones { 3, 2 } }) end,
                         "rl.attach: ref has 3 rows for 2 samples")
  end)

  it("says what it wants", function()
    assert.error_matches(function() ml.rl.sum(batch, ml.ones { 3, 3 }) end,
                         "rl.sum: expected a tensor %(3, 4%)")
    assert.error_matches(function() ml.rl.last({}, x) end, "expected a batch with a mask")
  end)
end)
