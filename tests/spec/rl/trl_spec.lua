-- Twenty steps of a reward model and of DPO beside TRL's RewardTrainer and DPOTrainer
-- (tests/golden/alignment/make.py, which says how they were set): the same rows out of the same
-- pairs, the same losses and margins, the same change of the weights.
local bytetok = require "bytetok"
local kit = require "kit"
local lfs = require "lfs"
local ml = require "moonlit"
local trl = require "trl"

local golden = assert(ml.json.load "tests/golden/alignment/data.json")
local ends = assert(ml.ckpt.load "tests/golden/alignment/weights.safetensors")
local base = assert(ml.ckpt.load "tests/golden/sft/weights.safetensors")
local rows = assert(ml.rl.pairs(golden.rows, ml.data.chat(bytetok())))

-- the chosen sides of some pairs, then their rejected sides, as a trainer lays them out
local function sides(from, to)
  local list = {}
  for _, side in ipairs { "chosen", "rejected" } do
    for i = from, to do list[#list + 1] = rows[i][side] end
  end
  return list
end

local function halves(x)
  local n = x:size(1) // 2
  return x:narrow(1, 1, n), x:narrow(1, n + 1, n)
end

-- Twenty steps of four pairs, `micro` at once: loss(model, batch, over) -> loss, stats. Each step's
-- loss, norm and the metrics of that name are those of the golden run.
local function train(model, want, micro, metrics, loss)
  local opt = trl.optimizer(model)
  for step = 1, 20 do
    local sum, mean = 0, {}
    for first = 4 * step - 3, 4 * step, micro do
      local y, stats = loss(model, ml.rl.batch(sides(first, first + micro - 1)), 4)
      y:backward()
      sum = sum + y:item()
      for _, name in ipairs(metrics) do mean[name] = (mean[name] or 0) + stats[name] * micro / 4 end
    end
    local norm = opt:step { clip = 1.0 }
    kit.near(sum, want.loss[step], 1e-5)
    kit.near(norm, want.grad_norm[step], 1e-4)
    for _, name in ipairs(metrics) do kit.near(mean[name], want[name][step], 1e-5) end
  end
end

-- what a reward model's loss is of: the score of each row's last learned id
local function reward_loss(model, batch, over)
  local last = {}
  for r, bits in ipairs(batch.mask:table()) do
    for t, bit in ipairs(bits) do if bit == 1 then last[r] = { t } end end
  end
  local at = ml.tensor(last, { dtype = "i64" })
  local chosen, rejected = halves(model:scores(batch):gather(2, at):squeeze(2))
  return ml.loss.reward(chosen, rejected, { over = over })
end

local function dpo_loss(model, batch, over)
  local chosen, rejected = halves((model:logprobs(batch) * batch.mask):sum(2))
  local ref_chosen, ref_rejected = halves((batch.ref * batch.mask):sum(2))
  return ml.loss.dpo(chosen, rejected, ref_chosen, ref_rejected, { over = over })
end

describe("beside TRL", function()
  it("makes the same rows and masks", function()
    assert.are.equal(80, #rows)
    for i, want in ipairs(golden.rows) do
      for _, side in ipairs { "chosen", "rejected" } do
        local ours, theirs = rows[i][side], want[side .. "_ids"]
        assert.are.equal(10, ours.ids[#ours.ids]) -- the line break that TRL's rows do without
        assert.are.same(theirs, { table.unpack(ours.ids, 1, #ours.ids - 1) })
        for t, bit in ipairs(ours.mask) do
          assert.are.equal(t > want.prompt_length and t <= #theirs and 1 or 0, bit)
        end
      end
    end
  end)

  -- micro = 4: a step's pairs at once; 2: two halves that add up
  for _, micro in ipairs { 4, 2 } do
    it("a reward model takes the same twenty steps, pairs at once: " .. micro, function()
      local head = { ["score.weight"] = ends["reward.start.score.weight"] }
      local model = trl.model(base, "end.", head)
      local start = trl.snapshot(model)
      train(model, golden.reward, micro, { "margin", "accuracy", "mean_reward" }, reward_loss)
      local d = trl.difference(model, start, ends, "reward.end.")
      assert.is_true(d <= 1e-4, "relative difference of the change: " .. d)
    end)

    it("DPO takes the same twenty steps, pairs at once: " .. micro, function()
      local model = trl.model(base, "end.")
      local start, dir = trl.snapshot(model), os.tmpname()
      os.remove(dir)
      assert(ml.rl.reference(model, sides(1, 80), { dir = dir }))
      for name in lfs.dir(dir) do os.remove(dir .. "/" .. name) end
      lfs.rmdir(dir)
      train(model, golden.dpo, micro, { "rewards/margins", "rewards/chosen", "rewards/rejected",
        "rewards/accuracies", "logps/chosen", "logps/rejected" }, dpo_loss)
      local d = trl.difference(model, start, ends, "dpo.end.")
      assert.is_true(d <= 1e-4, "relative difference of the change: " .. d)
    end)
  end
end)
