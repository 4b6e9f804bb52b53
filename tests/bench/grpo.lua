-- grpo.lua THREADS DTYPE VOCABULARY [profile] -- GRPO steps of a Llama-style model (4 layers, dim
-- 128, 4 heads) on random prompts of 16 ids: 8 prompts, 8 samples of 64 tokens each, a Lua reward,
-- one optimiser step. One for every line on stdin: prints its milliseconds; with profile those of
-- rollout, reward and advantages, batch, forward and loss, backward, optimiser as well. grpo_trl.py
-- is its rival. DTYPE bf16 is the tier that this machine is made for.
local ml = require "moonlit"

local PROMPTS, SAMPLES, TOKENS = 8, 8, 64
local dtype = arg[2] == "bf16" and ml.native "bf16-amx" and "bf16-amx" or arg[2]
local V = tonumber(arg[3])
ml.threads(tonumber(arg[1]))
local model = ml.model { preset = "llama", layers = 4, dim = 128, heads = 4, hidden = 320,
                         vocab = V, context = 128, tied = true, dtype = dtype }
local opt = ml.optim.adamw(model:parameters(), { lr = 1e-4, weight_decay = 0 })

-- a chat without a template: a prompt is ids, a reply never ends by itself
local chat = {
  stop = {},
  prompt = function(_, messages) return messages[1].ids end,
  parse = function(_, ids) return { role = "assistant", content = "", ids = ids }, false end,
}

local function prompts()
  local list = {}
  for i, ids in ipairs(ml.randint(0, V - 1, PROMPTS, 16):table()) do
    list[i] = { messages = { { role = "user", ids = ids } } }
  end
  return list
end

-- the share of even ids
local function reward(s)
  local even = 0
  for t = s.start + 1, #s.ids do even = even + 1 - s.ids[t] % 2 end
  return even / s.tokens
end

local function give_advantages(samples)
  local rewards = {}
  for i, s in ipairs(samples) do rewards[i] = s.reward end
  local a = ml.loss.group(ml.tensor(rewards), SAMPLES):table()
  for i, s in ipairs(samples) do s.advantages = a[i] end
end

local function step(n)
  local asked = prompts()
  local marks = { ml.clock() }
  local function mark() marks[#marks + 1] = ml.clock() end
  local samples = ml.rl.rollout(model, chat, asked, { samples = SAMPLES, tokens = TOKENS,
                                                      rollout = n })
  mark()
  ml.reward.score(reward, samples)
  give_advantages(samples)
  mark()
  local batch = ml.rl.batch(samples)
  mark()
  local logprobs = model:logprobs(batch)
  local loss = ml.loss.policy(logprobs, batch.logprobs, batch.advantages, batch.mask,
                              { preset = "grpo", kl = "none" })
  mark()
  loss:backward()
  mark()
  opt:step { clip = 1.0 }
  mark()
  assert(batch.tokens == PROMPTS * SAMPLES * TOKENS)
  local line = { ("%.3f"):format((marks[#marks] - marks[1]) * 1e3) }
  for i = 2, arg[4] and #marks or 1 do
    line[i] = ("%.2f"):format((marks[i] - marks[i - 1]) * 1e3)
  end
  return table.concat(line, " ")
end

io.stdout:setvbuf "no"
print "ready"
local n = 0
for _ in io.lines() do
  n = n + 1
  print(step(n))
end
for line in io.lines "/proc/self/status" do
  local kib = line:match "VmHWM:%s*(%d+)"
  if kib then print(("rss %.0f"):format(kib / 1024)) end
end
