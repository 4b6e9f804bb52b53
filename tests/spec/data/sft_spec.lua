-- Twenty steps of supervised fine-tuning beside TRL's SFTTrainer (tests/golden/sft/make.py, which
-- says how it was set): the same rows and masks out of the same conversations, the same losses,
-- the same change of the weights.
local bytetok = require "bytetok"
local kit = require "kit"
local ml = require "moonlit"
local trl = require "trl"

local PATH = "tests/golden/sft/"
local golden = assert(ml.json.load(PATH .. "data.json"))
local chat = ml.data.chat(bytetok())

-- rows filled up at the right with what nothing learns
local function padded(rows)
  local longest, ids, mask = 0, {}, {}
  for _, row in ipairs(rows) do longest = math.max(longest, #row.ids) end
  for i, row in ipairs(rows) do
    ids[i], mask[i] = {}, {}
    for t = 1, longest do ids[i][t], mask[i][t] = row.ids[t] or 0, row.mask[t] or 0 end
  end
  return { ids = ml.tensor(ids, { dtype = "i64" }), mask = ml.tensor(mask) }
end

describe("SFT beside TRL", function()
  it("makes the same rows and masks", function()
    assert.are.equal(80, #golden.rows)
    for i, row in ipairs(golden.rows) do
      local ours = chat:render(row.messages)
      assert.are.same(row.ids, ours.ids, "row " .. i)
      assert.are.same(row.mask, ours.mask, "row " .. i)
    end
  end)

  -- micro = 4: a batch at once; 2: two halves whose sums add up
  for _, micro in ipairs { 4, 2 } do
    it("takes the same twenty steps, rows at once: " .. micro, function()
      local weights = assert(ml.ckpt.load(PATH .. "weights.safetensors"))
      local model = trl.model(weights, "start.")
      local opt, start = trl.optimizer(model), trl.snapshot(model)
      for step = 1, 20 do
        local sum, tokens = 0, 0
        for first = 4 * step - 3, 4 * step, micro do
          local loss, count = model:loss(padded(table.move(golden.rows, first, first + micro - 1,
                                                           1, {})), { reduction = "sum" })
          loss:backward()
          sum, tokens = sum + loss:item(), tokens + count
        end
        local norm = opt:step { clip = 1.0, scale = 1 / tokens }
        kit.near(sum / tokens, golden.losses[step], 1e-5)
        kit.near(norm, golden.norms[step], 1e-4)
      end
      local d = trl.difference(model, start, weights, "end.")
      assert.is_true(d <= 1e-3, "relative difference of the change: " .. d)
    end)
  end
end)
