--- Rewards added up, and given to samples: ml.reward.combine and ml.reward.score.
local options = require "moonlit.options"

local combine = {}

--- Rewards that are known by name, and their modules.
combine.builtin = {}
for _, name in ipairs { "exact", "numeric", "format", "length", "repetition", "model" } do
  combine.builtin[name] = "moonlit.reward." .. name
end

-- ---- one reward, many samples, no bad number ----

local function shown(messages)
  local text = messages[#messages].content or ""
  return #text > 60 and text:sub(1, 57):gsub("[\xC0-\xFF][\x80-\xBF]*$", "") .. "..." or text
end

local function complain(name, sample, text)
  error(('%s: prompt %d, sample %d, "%s": %s'):format(name, sample.prompt, sample.sample,
        shown(sample.asked), text), 0)
end

local function check_number(name, sample, v)
  if type(v) ~= "number" then complain(name, sample, "expected a number, got " .. type(v)) end
  if v ~= v or v == math.huge or v == -math.huge then
    complain(name, sample, "expected a finite number, got " .. tostring(v))
  end
end

-- a number, or a table of named numbers
local function check_value(name, sample, v)
  if type(v) ~= "table" then return check_number(name, sample, v) end
  for _, part in ipairs(options.keys(v)) do
    check_number(("%s (%s)"):format(name, tostring(part)), sample, v[part])
  end
end

local function score_each(name, reward, samples)
  local values = {}
  for i, s in ipairs(samples) do
    local ok, v = pcall(reward, s)
    if not ok then complain(name, s, "raised: " .. tostring(v)) end
    check_value(name, s, v)
    values[i] = v
  end
  return values
end

local function score_all(name, reward, samples)
  local values = reward:scores(samples)
  for i, s in ipairs(samples) do check_value(name, s, values[i]) end
  return values
end

-- a value for each sample: reward is a function, or has scores(samples)
local function values_of(name, reward, samples)
  local each = type(reward) == "function"
  return (each and score_each or score_all)(name, reward, samples)
end

-- ---- parts with weights ----

local Combined = {}
Combined.__index = Combined
Combined.__name = "moonlit.Reward"

local function is_reward(v)
  return type(v) == "function" or type(v) == "table" and type(v.scores) == "function"
end

-- name, what was given for it -> { name, weight, reward }
local function read_part(name, given)
  if is_reward(given) then return { name = name, weight = 1, reward = given } end
  local o = type(given) == "number" and { weight = given } or given
  if type(o) ~= "table" then
    error(("reward.combine: %s: expected a weight, a reward or options, got %s"):format(
      name, type(given)), 4)
  end
  local rest, weight, own = {}, o.weight or 1, o.reward
  for k, v in pairs(o) do
    if k ~= "weight" and k ~= "reward" then rest[k] = v end
  end
  if type(weight) ~= "number" or weight ~= weight then
    error(("reward.combine: %s: weight must be a number, got %s"):format(name, tostring(weight)), 4)
  elseif own == nil and name == "model" then
    error("reward.combine: model: which one? give { reward = ml.reward.model(judge) }", 4)
  elseif own == nil and combine.builtin[name] then
    return { name = name, weight = weight, reward = require(combine.builtin[name])(rest) }
  elseif not is_reward(own) then
    error("reward.combine: give { reward = }, as there is no built-in " ..
          options.unknown(name, options.keys(combine.builtin)), 4)
  end
  options(rest, {}, "reward.combine: " .. name, 5)
  return { name = name, weight = weight, reward = own }
end

--- Parts with weights as one reward.
--- @param parts table  name -> a weight (of a built-in with its defaults), a reward (weight 1), or
---        { weight = 1, reward = } with the built-in's options beside the weight where there is no
---        reward. Negative weights are fine.
--- @return Reward  a table with scores(samples) -> a list of { name = value } and the weights
function combine.combine(parts)
  if type(parts) ~= "table" or next(parts) == nil then
    error("reward.combine: expected { name = weight or { weight =, ... } }", 2)
  end
  local self = setmetatable({ parts = {}, weights = {} }, Combined)
  for i, name in ipairs(options.keys(parts)) do
    self.parts[i] = read_part(name, parts[name])
    self.weights[name] = self.parts[i].weight
  end
  return self
end

--- A part that gives parts itself adds them up, each by weight 1.
function Combined:scores(samples)
  local out = {}
  for i = 1, #samples do out[i] = {} end
  for _, part in ipairs(self.parts) do
    for i, v in ipairs(values_of("reward." .. part.name, part.reward, samples)) do
      local sum = v
      if type(v) == "table" then
        sum = 0
        for _, k in ipairs(options.keys(v)) do sum = sum + v[k] end
      end
      out[i][part.name] = sum
    end
  end
  return out
end

-- ---- giving it to samples ----

local function total(value, weights)
  if type(value) == "number" then return value, { reward = value } end
  local sum = 0
  for _, name in ipairs(options.keys(value)) do
    sum = sum + (weights[name] or 1) * value[name]
  end
  return sum, value
end

-- mean and deviation (of a sample: n - 1)
local function moments(list)
  local sum, square = 0, 0
  for _, v in ipairs(list) do sum = sum + v end
  local mean = sum / #list
  for _, v in ipairs(list) do square = square + (v - mean) ^ 2 end
  return mean, #list > 1 and math.sqrt(square / (#list - 1)) or 0
end

-- the share of prompts whose samples all have one reward; nil where each has a single sample
local function flat_share(samples)
  local first, varied, groups = {}, {}, 0
  for _, s in ipairs(samples) do
    if not first[s.prompt] then
      groups, first[s.prompt] = groups + 1, s
    elseif s.reward ~= first[s.prompt].reward then
      varied[s.prompt] = true
    end
  end
  if groups == #samples then return nil end
  return (groups - #options.keys(varied)) / groups
end

local function statistics(samples)
  local stats, columns, all = {}, {}, {}
  for i, s in ipairs(samples) do
    all[i] = s.reward
    for _, name in ipairs(options.keys(s.parts)) do
      columns[name] = columns[name] or {}
      table.insert(columns[name], s.parts[name])
    end
  end
  stats.reward, stats.reward_std = moments(all)
  for name, list in pairs(columns) do
    local key = "rewards/" .. name
    stats[key .. "/mean"], stats[key .. "/std"] = moments(list)
  end
  stats.frac_reward_zero_std = flat_share(samples)
  return stats
end

--- Gives each sample `reward`, a number, and `parts`, what it is the sum of before the weights.
--- @param reward function|table  a function, what combine made, or anything with scores(samples)
--- @param samples table[]        from rl.rollout
--- @return table stats  reward, reward_std, rewards/{part}/mean and /std, and, where prompts have
---   more than one sample, frac_reward_zero_std
function combine.score(reward, samples)
  if not is_reward(reward) then
    error("reward.score: expected a function or what reward.combine made, got " .. type(reward), 2)
  elseif type(samples) ~= "table" or #samples == 0 then
    error("reward.score: expected a list of samples", 2)
  end
  local weights = getmetatable(reward) == Combined and reward.weights or {}
  for i, v in ipairs(values_of("reward", reward, samples)) do
    samples[i].reward, samples[i].parts = total(v, weights)
  end
  return statistics(samples)
end

return combine
