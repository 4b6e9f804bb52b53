-- lua5.4 recipes/grpo.lua model=runs/sft
-- lua5.4 recipes/grpo.lua model=runs/sft data=gsm8k.jsonl prompt=question answer=answer
--
-- Group-relative policy optimisation (Shao et al. 2024): a model answers every prompt several
-- times, each answer is worth what a Lua function says, and answers better than their group's mean
-- become likelier. data is a .jsonl or .jsonl.gz file of prompts (text or messages) and right
-- answers; without it, the built-in world's sums. replay is a file of conversations to keep fresh;
-- with the world's sums, the world's. objective names the paper whose settings the loss takes:
-- grpo, dr_grpo, dapo, gspo, cispo, rloo, reinforce (ml.loss.presets).
local ml = require "moonlit"

local cfg = ml.knobs {
  model = "runs/sft",
  data = "",
  prompt = "prompt", -- fields of a line
  answer = "answer",
  objective = "dapo",
  prompts = 32,      -- a rollout
  samples = 8,       -- of each prompt
  tokens = 64,       -- of an answer at most
  batch = 64,        -- answers drawn at once; no result depends on it
  steps = 50,        -- rollouts
  minibatches = 2,   -- optimiser steps a rollout
  lr = 1e-3,         -- down to nothing in a straight line
  kl = 0.02,         -- weight of the KL to the model it began as (k3)
  replay = "",
  keep = 10.0,       -- weight of how far it moves on other conversations
  seed = 1,
  valid = 200,       -- documents to measure on
  items = -1,        -- of the world's tasks to measure on; -1: 100, and none on your own data
  save_every = 20,
}

-- What an answer is worth: 1 if its last number is the right one.
local reward = ml.reward.combine { numeric = 1 }

if cfg.items < 0 then cfg.items = cfg.data == "" and 100 or 0 end
local model, tok = ml.load(cfg.model)
ml.must(model, ("grpo: %s; make one with recipes/sft.lua"):format(tok))
local reference = ml.must(ml.load(cfg.model))
local chat, world = ml.data.chat(tok), ml.data.world { seed = cfg.seed }

local function prompts(part, n)
  local docs = cfg.data == "" and world:prompts(part, n)
    or ml.must(ml.data.open(cfg.data, part, { field = cfg.prompt }))
  local list = {}
  for doc in docs do
    list[#list + 1] = { messages = doc[cfg.prompt], answer = tostring(doc[cfg.answer]) }
  end
  return list
end

local run = ml.run("runs/grpo", { steps = cfg.steps, seed = cfg.seed, save_every = cfg.save_every })
local data = ml.data.deal(prompts("train", 4000), { batch = cfg.prompts })
local opt = ml.optim.hybrid(model, { lr = cfg.lr })
local rate = ml.optim.linear { peak = 1, floor = 0, warmup = 5, steps = cfg.steps }
local update, alarm = ml.rl.update { minibatches = cfg.minibatches }, ml.rl.alarm()
run:track { model = model, opt = opt, data = data, tok = tok, alarm = alarm }

-- other tasks, so that nothing is forgotten
local chats = cfg.replay ~= "" and ml.must(ml.data.conversations(cfg.replay, "train"))
  or cfg.data == "" and cfg.keep > 0 and world:chats("train", 2000,
    { "summary", "translate", "questions", "calculator", "style" })
local fresh = chats and ml.rl.fresh(model, chat, chats, { seed = cfg.seed, reference = reference })

-- each sample against the others of its prompt
local function give_advantages(samples)
  local rewards = {}
  for i, s in ipairs(samples) do rewards[i] = s.reward end
  local a = ml.loss.group(ml.tensor(rewards, { dtype = "f32" }), cfg.samples,
                          { scale = ml.loss.presets[cfg.objective].advantage }):table()
  for i, s in ipairs(samples) do s.advantages = a[i] end
end

local function loss_of(samples)
  local batch = ml.rl.batch(samples)
  local ref = ml.no_grad(reference.logprobs, reference, batch)
  local logprobs, entropy = model:logprobs(batch, { entropy = true })
  return ml.loss.policy(logprobs, batch.logprobs, batch.advantages, batch.mask,
    { preset = cfg.objective, ref = ref, kl = "k3", kl_in = "loss", kl_coef = cfg.kl,
      length = cfg.tokens, entropy = entropy })
end

for step in run:steps() do
  local samples, stats = ml.rl.rollout(model, chat, data:next(), { samples = cfg.samples,
    tokens = cfg.tokens, batch = cfg.batch, seed = cfg.seed, rollout = step })
  for name, value in pairs(ml.reward.score(reward, samples)) do stats[name] = value end
  give_advantages(samples)
  for part in update:parts(samples, step) do
    local loss, now = loss_of(part)
    loss:backward()
    if fresh then (fresh(step) * cfg.keep):backward() end
    stats.loss, stats.norm = loss, opt:step { lr_scale = rate(step), clip = 1 }
    update:stepped(now.kl)
    for name, value in pairs(now) do stats[name] = value end
  end
  stats.optimizer_steps, stats.lr = update:finish().steps, cfg.lr * rate(step)
  run:log(stats)
  for _, a in ipairs(alarm:observe(step, stats)) do
    run:say(("step %d: %s"):format(step, a.text))
  end
end

local card = ml.eval.world(model, chat, { world = world, items = cfg.items,
                                          documents = cfg.valid })
-- the share of right answers, sampled, to prompts held out
local valid = prompts("valid", 200)
local samples = ml.rl.rollout(model, chat, valid, { tokens = cfg.tokens, seed = cfg.seed })
local rewarded = ml.reward.score(reward, samples).reward
table.insert(card.metrics, { name = "reward", title = "reward, held out", value = rewarded,
                             n = #valid, better = "higher" })
run:results { title = "GRPO", metrics = card.metrics, samples = card.samples }
run:finish(("reward held out, sampled %.3f"):format(rewarded),
           "weights sha256 " .. ml.ckpt.hash(model:parameters()))
