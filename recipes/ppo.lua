-- lua5.4 recipes/ppo.lua model=runs/sft reward=runs/reward
--
-- Proximal policy optimisation (Schulman et al. 2017, Ouyang et al. 2022): a model answers prompts,
-- a reward model of recipes/reward.lua judges, a critic learns what to expect, and each token earns
-- minus kl times how far it moved from the model it began as. data is a file of prompts: text in
-- the field that prompt= names, or messages; without it, the built-in world's questions, where the
-- true quality of a reply is known (gold) and an alarm says when the reward rises and it falls:
-- kl=0 keep=0 lr=3e-4 epochs=4 stop_kl=10 shows that. replay is a file of conversations to keep
-- fresh; with the world's questions, the world's.
local ml = require "moonlit"

local cfg = ml.knobs {
  model = "runs/sft",
  reward = "runs/reward",
  data = "",
  prompt = "prompt",
  prompts = 64,      -- a rollout, one answer each
  tokens = 48,       -- of an answer at most
  steps = 50,        -- rollouts
  epochs = 2,        -- over each
  minibatches = 1,   -- optimiser steps an epoch
  lr = 1e-4,         -- down to a tenth in a straight line
  critic_lr = 5e-4,
  kl = 0.1,          -- coefficient of the KL in rewards
  kl_target = 0.0,   -- nats an answer; 0 leaves kl as it is
  stop_kl = 0.1,     -- nats a token: no further update on a rollout
  replay = "",
  keep = 2.0,        -- weight of how far it moves on other conversations
  seed = 1,
  valid = 200,       -- documents to measure on
  items = -1,        -- of the world's tasks to measure on; -1: 100, and none on your own data
  save_every = 20,
}

if cfg.items < 0 then cfg.items = cfg.data == "" and 100 or 0 end
local model, tok = ml.load(cfg.model)
ml.must(model, ("ppo: %s; make one with recipes/sft.lua"):format(tok))
local reference = ml.must(ml.load(cfg.model))
local judge, judge_tok = ml.load(cfg.reward)
ml.must(judge, ("ppo: %s; make one with recipes/reward.lua"):format(judge_tok))
local critic = ml.must(ml.load(cfg.reward)) -- it knows already what replies are worth
local chat, world = ml.data.chat(tok), ml.data.world { seed = cfg.seed }

local function prompts(part, n)
  local docs = cfg.data == "" and world:requests(part, n)
    or ml.must(ml.data.open(cfg.data, part, { field = cfg.prompt }))
  local list = {}
  for doc in docs do list[#list + 1] = { messages = doc[cfg.prompt], full = doc.full } end
  return list
end

local run = ml.run("runs/ppo", { steps = cfg.steps, seed = cfg.seed, save_every = cfg.save_every })
local data = ml.data.deal(prompts("train", 4000), { batch = cfg.prompts })
local adam = { lr = cfg.lr, betas = { 0.9, 0.95 } }
local opt = ml.optim.adamw(model:parameters(), adam)
adam.lr = cfg.critic_lr
local critic_opt = ml.optim.adamw(critic:parameters(), adam)
local rate = ml.optim.linear { peak = 1, floor = 0.1, warmup = 5, steps = cfg.steps }
local update = ml.rl.update { epochs = cfg.epochs, minibatches = cfg.minibatches,
                              stop_kl = cfg.stop_kl }
local kl = ml.rl.kl_controller { kind = cfg.kl_target > 0 and "adaptive" or "fixed", coef = cfg.kl,
                                 target = cfg.kl_target > 0 and cfg.kl_target or nil }
local alarm = ml.rl.alarm { kl = 10, rise = 0.1, fall = 0.2 }
local reward = ml.reward.model(judge)
run:track { model = model, opt = opt, data = data, tok = tok, critic = critic,
            critic_opt = critic_opt, kl = kl, alarm = alarm }

-- other tasks, so that nothing is forgotten
local chats = cfg.replay ~= "" and ml.must(ml.data.conversations(cfg.replay, "train"))
  or cfg.data == "" and cfg.keep > 0 and world:chats("train", 2000,
    { "summary", "translate", "questions", "calculator", "sums" })
local fresh = chats and ml.rl.fresh(model, chat, chats, { seed = cfg.seed, reference = reference })

-- what each token earned, what the critic expected, and the difference
local function give_advantages(samples, stats)
  local batch, scores = ml.rl.batch(samples), {}
  for i, s in ipairs(samples) do scores[i] = s.reward end
  local ref, values = reference:logprobs(batch), ml.rl.values(critic, batch)
  local rewards = ml.loss.kl_rewards(ml.tensor(scores, { dtype = "f32" }), batch.logprobs, ref,
                                     batch.mask, { coef = kl.coef })
  local advantages, returns = ml.loss.gae(rewards, values, batch.mask, { lambda = 0.95 })
  ml.rl.attach(samples, { advantages = ml.loss.whiten(advantages, batch.mask), returns = returns,
                          values = values, ref = ref })
  stats["objective/kl"] = ml.rl.sum(batch, batch.logprobs - ref):mean():item()
  stats["objective/scores"] = stats.reward
  stats["objective/non_score_reward"] = -kl.coef * stats["objective/kl"]
  stats["objective/rlhf_reward"] = ml.rl.sum(batch, rewards):mean():item()
end

-- one optimiser step of the policy and one of the critic
local function learn(part, step, stats)
  local batch = ml.rl.batch(part)
  local logprobs, entropy = model:logprobs(batch, { entropy = true })
  local loss, now = ml.loss.policy(logprobs, batch.logprobs, batch.advantages, batch.mask,
                                   { preset = "ppo", entropy = entropy })
  loss:backward()
  if fresh then (fresh(step) * cfg.keep):backward() end
  stats.loss, stats.norm = loss, opt:step { lr_scale = rate(step), clip = 1 }
  local miss, seen = ml.loss.value(ml.rl.values(critic, batch), batch.returns, batch.values,
                                   batch.mask)
  miss:backward()
  critic_opt:step { lr_scale = rate(step), clip = 1 }
  for _, more in ipairs { now, seen } do
    for name, value in pairs(more) do stats[name] = value end
  end
  return now["policy/approxkl_avg"]
end

local function gold_of(samples)
  if not samples[1].row.full then return nil end
  local sum = 0
  for _, s in ipairs(samples) do sum = sum + world.gold(s.text, s.row.full) end
  return sum / #samples
end

for step in run:steps() do
  local samples, stats = ml.rl.rollout(model, chat, data:next(), { tokens = cfg.tokens,
    seed = cfg.seed, rollout = step })
  for name, value in pairs(ml.reward.score(reward, samples)) do stats[name] = value end
  ml.no_grad(give_advantages, samples, stats)
  for part in update:parts(samples, step) do update:stepped(learn(part, step, stats)) end
  stats.optimizer_steps, stats.lr = update:finish().steps, cfg.lr * rate(step)
  stats.gold, stats.kl, stats.kl_coef = gold_of(samples), stats["objective/kl"], kl.coef
  kl:update(stats.kl, #samples)
  run:log(stats)
  for _, a in ipairs(alarm:observe(step, stats)) do
    run:say(("step %d: %s"):format(step, a.text))
  end
end

-- on prompts held out: what the judge gives, and how far the answers are from the first model's
local held = prompts("valid", 200)
local samples = ml.rl.rollout(model, chat, held, { tokens = cfg.tokens, seed = cfg.seed })
local worth = ml.reward.score(reward, samples).reward
local nats = ml.no_grad(function()
  local batch = ml.rl.batch(samples)
  return ml.rl.sum(batch, batch.logprobs - reference:logprobs(batch)):mean():item()
end)
local card = ml.eval.world(model, chat, { world = world, items = cfg.items,
                                          documents = cfg.valid })
table.insert(card.metrics, { name = "reward_model", title = "reward model's score", value = worth,
                             n = #held, better = "higher" })
table.insert(card.metrics, { name = "kl", title = "KL an answer, nats", value = nats, n = #held,
                             better = "lower" })
run:results { title = "PPO", metrics = card.metrics, samples = card.samples }
run:finish(("held out: reward %.3f at %.2f nats an answer"):format(worth, nats),
           "weights sha256 " .. ml.ckpt.hash(model:parameters()))
