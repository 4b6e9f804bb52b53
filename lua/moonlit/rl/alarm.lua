--- Alarms: signs that a policy learns its reward and not its task.
---
---   local alarm = ml.rl.alarm { kl = 10 }
---   for _, a in ipairs(alarm:observe(step, { reward = 3.1, gold = 0.4, kl = 12 })) do
---     print(a.name, a.text)
---   end
---
--- overoptimised: since the gold score (validation, another judge, a rule) was at its best, the
--- reward has risen and the gold score has fallen (Gao et al., arXiv 2210.10760). kl: more nats a
--- reply than allowed. entropy: the policy hardly varies any more. flat: most groups have samples
--- of one reward, so nothing is learned from them. cut: many replies do not come to an end. Only
--- what is given is judged. An alarm sounds when its sign begins to show, and again only after it
--- was gone.
local options = require "moonlit.options"

local Alarm = {}
Alarm.__index = Alarm
Alarm.__name = "moonlit.Alarm"

--- rise, fall: how much of the reward and of the gold score counts, in their own units; window:
--- observations that a mean is taken over. kl: nats a reply; entropy: nats a token at least; flat,
--- cut: shares at most.
local defaults = { rise = 0, fall = 0, window = 5, kl = math.huge, entropy = 0.05, flat = 0.8,
                   cut = 0.3 }

local function mean_of_last(list, n)
  local sum, first = 0, math.max(1, #list - n + 1)
  for i = first, #list do sum = sum + list[i] end
  return sum / (#list - first + 1)
end

-- a window of both scores, and their means when that of gold was best
local function overoptimised(self, seen)
  if not seen.reward or not seen.gold then return nil end
  for _, name in ipairs { "reward", "gold" } do
    local list = self[name]
    list[#list + 1] = seen[name]
    if #list > self.o.window then table.remove(list, 1) end
  end
  if #self.gold < self.o.window then return false end
  local reward, gold = mean_of_last(self.reward, self.o.window),
                       mean_of_last(self.gold, self.o.window)
  local best = self.best
  if not best or gold >= best.gold then
    self.best = { reward = reward, gold = gold, step = seen.step }
    return false
  end
  return reward - best.reward > self.o.rise and best.gold - gold > self.o.fall and
    ("since step %d the reward rose from %.4g to %.4g, the gold score fell from %.4g to %.4g")
      :format(best.step, best.reward, reward, best.gold, gold)
end

local function above(name, key, text)
  return function(self, seen)
    local v = seen[key]
    if not v then return nil end
    return v > self.o[name] and (text .. ": %.4g, more than %g"):format(v, self.o[name])
  end
end

local function varies_little(self, seen)
  if not seen.entropy then return nil end
  return seen.entropy < self.o.entropy and
    ("entropy a token: %.4g nats, less than %g"):format(seen.entropy, self.o.entropy)
end

-- each gives a text, false where its sign does not show, nil where nothing is known of it
local rules = {
  { "overoptimised", overoptimised },
  { "kl", above("kl", "kl", "KL a reply") },
  { "entropy", varies_little },
  { "flat", above("flat", "frac_reward_zero_std", "share of groups with one reward") },
  { "cut", above("cut", "completions/clipped_ratio", "share of replies cut") },
}

--- @param step integer
--- @param stats {reward: number?, gold: number?, kl: number?, entropy: number?}  and
---        frac_reward_zero_std, completions/clipped_ratio; others are ignored
--- @return {name: string, text: string, step: integer}[]  those that begin to show
function Alarm:observe(step, stats)
  local seen, begun = setmetatable({ step = step }, { __index = stats }), {}
  for _, rule in ipairs(rules) do
    local name, text = rule[1], rule[2](self, seen)
    if text and not self.on[name] then
      begun[#begun + 1] = { name = name, text = text, step = step }
    end
    if text ~= nil then self.on[name] = text and true or nil end
  end
  return begun
end

--- The names of the signs that show now, in alphabetical order.
function Alarm:showing() return options.keys(self.on) end

function Alarm:state()
  local function copy(t)
    local c = {}
    for k, v in pairs(t) do c[k] = v end
    return c
  end
  return { on = copy(self.on), reward = copy(self.reward), gold = copy(self.gold),
           best = self.best and copy(self.best) }
end

--- Continue from what state() gave.
function Alarm:load_state(state)
  self.on, self.reward, self.gold = state.on, state.reward, state.gold
  self.best = state.best
end

return function(opt)
  local o = options(opt, defaults, "alarm")
  if (math.tointeger(o.window) or 0) < 1 then
    error("alarm: window must be a positive integer, got " .. tostring(o.window), 2)
  end
  return setmetatable({ o = o, on = {}, reward = {}, gold = {} }, Alarm)
end
