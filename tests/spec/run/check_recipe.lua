-- moonlit check tests/spec/run/check_recipe.lua mistake=heads
--
-- What check_spec runs: a tiny training with one mistake planted in it, or none.
local ml = require "moonlit"

local cfg = ml.knobs { mistake = "", steps = 20, save_every = 5, lr = 1e-2, data = "" }
local mistake = cfg.mistake
local function planted(name, wrong, right) -- no `and or`: what is wrong may be nil or false
  if mistake == name then return wrong end
  return right
end

local core = require "moonlit.core"
local text = ml.data.prose { bytes = 5000, seed = 2 }
if mistake == "empty" then text = "" end
if mistake == "missing" then text = assert(io.open("no/such/corpus.txt")):read "a" end
if mistake == "missing_data" then ml.data.take(assert(ml.data.open("no/such.jsonl", "train")), 1) end
if mistake == "bad_line" then
  for _ in assert(ml.data.read "tests/spec/run/bad_line.jsonl") do end
end
if mistake == "no_model" then assert(ml.load "runs/no-such-run") end
local tok = ml.text.chars { text = text }
if mistake == "no_special" then ml.data.sequences({ { text = text } }, tok)() end
if mistake == "foreign_text" then tok:encode "snow \u{2603}" end
if mistake == "threads" then core.sys.threads(64) end
if mistake == "end_of_turn" then -- a space is the end of a turn
  function tok.id(t, name) return name == "<|im_end|>" and t:encode(" ")[1] or nil end
end
local ids = ml.tensor(tok:encode(planted("short", "moon", text)), { dtype = "i64" })
if mistake == "constant" then ids = ids:mul(0) end
if mistake == "repeated" then ids = ids:narrow(1, 1, 20) end

local run = ml.run("runs/check", { steps = planted("no_steps", 0, cfg.steps), seed = 1,
                                   save_every = cfg.save_every, keep = planted("disk", 0, 2) })
local shape = { arch = "llama", layers = 1, heads = planted("heads", 3, 2), dim = 16,
                vocab = tok:size(), context = 16 }
if mistake == "head_size" then shape.dim = 6 end
if mistake == "typo" then shape.lyaers = 2 end
if mistake == "needed" then shape.layers = nil end
if mistake == "vocabulary" then shape.vocab = 12 end
if mistake == "wide_vocabulary" then shape.vocab = 4 * tok:size() end
if mistake == "positions" then shape.arch, shape.context = "gpt2", 64 end
if mistake == "slow_tier" then shape.dtype = ml.native "bf16" and "bf16-amx" or "bf16" end
local model = ml.model(shape)
if mistake == "nan_weights" then
  ml.no_grad(function() model:parameters()[2].tensor:fill_(0 / 0) end)
end
if mistake == "frozen" then
  for _, p in ipairs(model:parameters()) do p.tensor:requires_grad(false) end
end
if mistake == "large_init" then
  ml.no_grad(function() model:parameter("lm_head.weight"):mul_(1e3) end)
end

local length = planted("beyond", 32, 16)
local data = ml.data.windows(ids, { batch = planted("memory", 10000000, 4), length = length })
local plain_next = data.next
if mistake == "no_target" then
  function data.next(self)
    local batch = plain_next(self)
    batch.mask = ml.zeros(4, 17)
    return batch
  end
end
if mistake == "few_targets" then
  function data.next(self)
    local batch = plain_next(self)
    batch.mask = ml.cat({ ml.zeros(4, 16), ml.eye(4):narrow(2, 1, 1) }, 2)
    return batch
  end
end
if mistake == "end_of_turn" then
  function data.next(self)
    local batch = plain_next(self)
    batch.mask = batch.ids:ne(tok:id "<|im_end|>"):to "f32"
    return batch
  end
end
if mistake == "same_batch" then function data.next(self) return self:at(1) end end
if mistake == "out_of_range" then
  function data.next(self)
    local batch = plain_next(self)
    batch.ids = batch.ids + 1000
    return batch
  end
end

local params = model:parameters()
if mistake == "left_out" then params = { params[1], params[2] } end
if mistake == "other_model" then params = ml.model(shape):parameters() end
local opt = ml.optim.adamw(params, { lr = planted("lr_large", 3.0, cfg.lr),
                                     betas = planted("betas", { 0.9, 9.99 }, { 0.9, 0.99 }),
                                     weight_decay = planted("decay", 1.5, 0.1) })
local rate = ml.optim.cosine { peak = cfg.lr, floor = planted("rate_zero", 0, 1e-3),
                               steps = planted("schedule_long", 200,
                                               planted("rate_zero", 10, cfg.steps)),
                               warmup = planted("warmup", 40, 2) }
run:track { model = model, opt = planted("opt_untracked", nil, opt),
            data = planted("data_untracked", nil, data), tok = planted("no_tokenizer", nil, tok) }

for step in run:steps() do
  local batch = data:next()
  local loss = model:loss(batch)
  if mistake == "nan" then loss = loss * (0 / 0) end
  if mistake ~= "no_backward" then loss:backward() end
  if mistake == "pairs" then
    (model:logprobs(batch):sum() - model:logprobs(batch):sum()):backward()
  end
  if mistake == "reward" then
    error('exact: prompt 3, sample 1, "1 + 1 =": expected a number, got nil', 0)
  end
  local norm
  if mistake == "memory_limit" then core.sys.budget(1000) end
  if mistake ~= "no_step" then
    norm = opt:step { clip = 1, lr = planted("rate_nil", 0, planted("lr_large", nil, rate(step))) }
  end
  if mistake ~= "no_log" then run:log { loss = loss, norm = norm } end
end
run:finish "done"
