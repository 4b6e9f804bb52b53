--- Samples of a policy: G replies to each prompt, or G episodes in an environment.
---
---   local samples, stats = ml.rl.rollout(model, chat, prompts, { samples = 8, tokens = 64,
---     seed = 1, rollout = step })
---   samples[1].text, samples[1].tokens, samples[1].logprobs
---
--- A draw is a function of (seed, rollout, prompt, sample, position): neither the batch nor the
--- order of the prompts shows. Ids are never decoded and encoded again, and the log-probabilities
--- are those of the draws: before the first update they equal model:logprobs at the same
--- temperature bit for bit, so no second forward is needed and the ratio is exactly 1.
local converse = require "moonlit.generate.turns"
local environment = require "moonlit.rl.environment"
local options = require "moonlit.options"

--- samples: of each prompt; tokens: drawn in a turn at most; batch: sequences at once; rounds:
--- turns at most. env: what makes an environment (moonlit.rl.environment); the prompts are seeds
--- then. There is no top-k or min-p: the policy that is learned draws from all ids.
local defaults = { samples = 1, tokens = 64, temperature = 1, seed = 0, rollout = 0, batch = 64,
                   rounds = 4, tools = {}, env = options.optional }

-- text, messages or { messages = either, ... } -> messages and the row a reward may look at
local function read_prompt(prompt, i)
  if type(prompt) == "string" then
    return { { role = "user", content = prompt } }, { prompt = prompt }
  elseif type(prompt) == "table" and prompt.messages ~= nil then
    return (read_prompt(prompt.messages, i)), prompt
  elseif type(prompt) == "table" and type(prompt[1]) == "table" then
    return prompt, { messages = prompt }
  end
  error(("rollout: prompt %d must be text, messages or { messages = }, got %s"):format(
    i, type(prompt)), 3)
end

-- an episode for each sample; they are all asked the same
local function open_episodes(seeds, o)
  local asked, rows, episodes = {}, {}, {}
  for i, seed in ipairs(seeds) do
    if math.type(seed) ~= "integer" then
      error(("rollout: with env prompts are seeds; number %d is a %s"):format(i, type(seed)), 3)
    end
    for _ = 1, o.samples do episodes[#episodes + 1] = environment.open(o.env, seed) end
    asked[i], rows[i] = episodes[#episodes].messages, { seed = seed }
  end
  return asked, rows, episodes
end

local function open_prompts(prompts)
  local asked, rows = {}, {}
  for i, prompt in ipairs(prompts) do asked[i], rows[i] = read_prompt(prompt, i) end
  return asked, rows
end

local function count(mask)
  local n = 0
  for _, bit in ipairs(mask) do n = n + bit end
  return n
end

-- what the assistant said last
local function last_text(messages)
  for i = #messages, 1, -1 do
    if messages[i].role == "assistant" then return messages[i].content or "" end
  end
  return ""
end

local function as_sample(c, i, asked, rows, o)
  local p = (i - 1) // o.samples + 1
  return { prompt = p, sample = (i - 1) % o.samples + 1, row = rows[p], asked = asked[p],
           messages = c.messages, text = last_text(c.messages), ids = c.ids, mask = c.mask,
           logprobs = c.logprobs, start = c.prompt, tokens = count(c.mask), stopped = c.stopped }
end

-- the environment hears every turn, also one that was cut
local function with_world(said, episodes)
  said.reply = function(i, message, c)
    local messages = episodes[i]:step(message)
    local turns = episodes[i].turns
    turns[#turns] = { last = #c.ids, info = turns[#turns] }
    return messages
  end
end

local function summarise(samples)
  local n, total, least, most, cut, ended = #samples, 0, math.huge, 0, 0, 0
  for _, s in ipairs(samples) do
    total, least, most = total + s.tokens, math.min(least, s.tokens), math.max(most, s.tokens)
    if s.stopped then ended = ended + s.tokens else cut = cut + 1 end
  end
  return { num_tokens = total, ["completions/mean_length"] = total / n,
           ["completions/min_length"] = least, ["completions/max_length"] = most,
           ["completions/mean_terminated_length"] = n > cut and ended / (n - cut) or 0,
           ["completions/clipped_ratio"] = cut / n }
end

--- @param model Model
--- @param chat Chat     ml.data.chat of the model's tokenizer
--- @param prompts table  a list of texts (a user's), messages, { messages =, ... } rows; or seeds
--- @param opt? table    see defaults above
--- @return table[] samples, table stats  a prompt's samples together, each { prompt (its number),
---   sample (1 .. G), row (what was given), asked (messages), messages (new ones), text (the
---   assistant's last), ids, mask (1 where the policy drew), logprobs (0 where it did not), start
---   (ids of the prompt), tokens (drawn), stopped }; with env also earned, done and turns { last
---   (place of the turn's last id), info }. stats: lengths, by TRL's names
return function(model, chat, prompts, opt)
  local o = options(opt, defaults, "rollout")
  if type(prompts) ~= "table" or #prompts == 0 then
    error("rollout: expected a list of prompts, got " ..
          (type(prompts) == "table" and "none" or type(prompts)), 2)
  end
  if (math.tointeger(o.samples) or 0) < 1 then
    error("rollout: samples must be a positive integer, got " .. tostring(o.samples), 2)
  end
  local open = o.env and open_episodes or open_prompts
  local asked, rows, episodes = open(prompts, o)
  local said = { logprobs = true }
  for k, v in pairs(o) do said[k] = v end
  said.env = nil
  if episodes then with_world(said, episodes) end
  local samples = {}
  for i, c in ipairs(converse(model, chat, asked, said)) do
    local s = as_sample(c, i, asked, rows, o)
    local e = episodes and episodes[i]
    if e then s.earned, s.done, s.turns = e.earned, e.done, e.turns end
    samples[i] = s
  end
  return samples, summarise(samples)
end
