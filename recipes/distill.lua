-- lua5.4 recipes/distill.lua teacher=runs/grpo
-- lua5.4 recipes/distill.lua teacher=runs/sft data=prompts.jsonl method=sft
--
-- Distillation: a student with half of its teacher's layers learns the teacher's distribution at
-- every token (Agarwal et al. 2023, generalised knowledge distillation), on replies that the
-- teacher gives and on its own, in turns. data is a file of prompts: text in the field that prompt=
-- names, or messages; without it, the built-in world's sums. method=sft learns the teacher's
-- replies as text instead, for comparison: of a teacher that is not always sure (runs/sft) it needs
-- more of them, of one that is (runs/grpo) as many.
local ml = require "moonlit"

local cfg = ml.knobs {
  teacher = "runs/grpo",
  data = "",
  prompt = "prompt",
  method = "kl",     -- or "sft"
  kind = "forward",  -- "forward", "reverse" or "js" (model:kl)
  own = 0.25,        -- share of steps on the student's own replies
  layers = 0,        -- of the student; 0: half the teacher's
  prompts = 64,      -- a step, one reply each
  tokens = 64,       -- of a reply at most
  steps = 200,
  lr = 4e-3,         -- half a cosine, down to a twentieth
  seed = 1,
  items = 100,       -- prompts held out to measure on
  every = 25,        -- steps between measurements
  save_every = 100,
}
ml.must(cfg.method == "kl" or cfg.method == "sft",
        'distill: method must be "kl" or "sft", got ' .. cfg.method)

local teacher, tok = ml.load(cfg.teacher)
ml.must(teacher, ("distill: %s; make one with recipes/grpo.lua or sft.lua"):format(tok))
local chat, world = ml.data.chat(tok), ml.data.world { seed = cfg.seed }

-- the teacher's own weights, layers evenly left out
local function student_of(model)
  local c = model:config()
  local from = c.layers
  c.layers = cfg.layers > 0 and cfg.layers or from // 2
  local student = ml.model(c)
  ml.no_grad(function()
    for _, p in ipairs(student:state()) do
      local name = p.name:gsub("%f[%d](%d+)%f[%D]", function(k)
        return tostring(math.tointeger(k) * from // c.layers)
      end, 1)
      p.tensor:copy_(model:parameter(name))
    end
  end)
  return student
end
local model = student_of(teacher)

local function prompts(part, n)
  local docs = cfg.data == "" and world:prompts(part, n)
    or ml.must(ml.data.open(cfg.data, part, { field = cfg.prompt }))
  local list = {}
  for doc in docs do list[#list + 1] = { messages = doc[cfg.prompt], answer = doc.answer } end
  return list
end

local run = ml.run("runs/distill", { steps = cfg.steps, seed = cfg.seed,
                                     save_every = cfg.save_every })
local data = ml.data.deal(prompts("train", 4000), { batch = cfg.prompts })
local opt = ml.optim.hybrid(model, { lr = cfg.lr })
local rate = ml.optim.cosine { peak = 1, floor = 0.05, warmup = 10, steps = cfg.steps }
-- tokens learned so far; a resumed run goes on counting
local learned = { tokens = 0 }
function learned:state() return { tokens = self.tokens } end
function learned:load_state(state) self.tokens = state.tokens end
run:track { model = model, opt = opt, data = data, tok = tok, learned = learned }

-- does step n learn from the student's replies? as many as `own` asks for, spread evenly
local function is_own(n)
  if cfg.method == "sft" then return false end
  return math.floor(n * cfg.own) > math.floor((n - 1) * cfg.own)
end

-- held out, greedily: the share of the teacher's very replies, and of right answers where known
local held = table.move(prompts("valid", cfg.items), 1, cfg.items, 1, {})
local function greedy(of)
  return (ml.rl.rollout(of, chat, held, { tokens = cfg.tokens, temperature = 0 }))
end
local right = held[1].answer and ml.reward.numeric()
local taught = greedy(teacher)
local function measure(replies)
  local same, correct = 0, 0
  for i, s in ipairs(replies) do
    same = same + (s.text == taught[i].text and 1 or 0)
    correct = correct + (right and right(s) or 0)
  end
  return same / #held, right and correct / #held or nil
end

for step in run:steps() do
  local samples = ml.rl.rollout(is_own(step) and model or teacher, chat, data:next(),
                                { tokens = cfg.tokens, seed = cfg.seed, rollout = step })
  local batch = ml.rl.batch(samples)
  local loss
  if cfg.method == "sft" then loss = model:loss(batch)
  else loss = ml.rl.sum(batch, model:kl(batch, teacher, { kind = cfg.kind })):sum() / batch.tokens
  end
  loss:backward()
  learned.tokens = learned.tokens + batch.tokens
  local log = { loss = loss, norm = opt:step { lr_scale = rate(step), clip = 1 },
                lr = cfg.lr * rate(step), num_tokens = learned.tokens }
  if step % cfg.every == 0 then log.same, log.right = measure(greedy(model)) end
  run:log(log)
  if log.same then
    run:say(("step %d, %d tokens learned: the teacher's reply in %.0f %%%s"):format(
      step, learned.tokens, 100 * log.same,
      log.right and (", right in %.0f %%"):format(100 * log.right) or ""))
  end
end

local same, correct = measure(greedy(model))
local metrics = { { name = "same", title = "replies as the teacher's", value = same, n = #held,
                    unit = "%", better = "higher" } }
if correct then
  local _, teachers = measure(taught)
  metrics[2] = { name = "right", title = "right answers", value = correct, n = #held, unit = "%",
                 better = "higher" }
  metrics[3] = { name = "teacher", title = "right answers of the teacher", value = teachers,
                 n = #held, unit = "%", better = "higher" }
end
run:results { title = "STUDENT", metrics = metrics }
run:finish(("the teacher's reply in %.0f %%"):format(100 * same),
           "weights sha256 " .. ml.ckpt.hash(model:parameters()))
