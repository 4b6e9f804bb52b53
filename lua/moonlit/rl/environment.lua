--- Worlds that answer a model. An environment is a table of two functions:
---
---   reset(seed)   -> messages           the conversation that the model is to continue
---   step(message) -> observation, done, info
---
--- observation: text (said by the user), a message or a list of messages; nil where done is true.
--- info: a table or nil; info.reward is earned by this turn. As an environment has a state, what
--- is handed around is a function that makes one:
---
---   local function guess()
---     local secret
---     return {
---       reset = function(seed)
---         secret = seed % 10
---         return { { role = "user", content = "Guess a digit." } }
---       end,
---       step = function(message)
---         local right = tonumber(message.content) == secret
---         return "No.", right, { reward = right and 1 or 0 }
---       end,
---     }
---   end
---   local samples = ml.rl.rollout(model, chat, { 1, 2, 3 }, { env = guess })   -- seeds
---
--- A step is a function of the seed and of what was said before, or a run cannot be repeated.
local environment = {}

local Episode = {}
Episode.__index = Episode
Episode.__name = "moonlit.Episode"

local function complain(self, text, ...)
  error(("environment: seed %s: " .. text):format(tostring(self.seed), ...), 0)
end

local function call(self, name, ...)
  local got = table.pack(pcall(self.env[name], ...))
  if not got[1] then complain(self, "%s raised: %s", name, tostring(got[2])) end
  return table.unpack(got, 2, got.n)
end

-- text, a message or a list of messages -> a list
local function as_messages(self, observation)
  if type(observation) == "string" then return { { role = "user", content = observation } } end
  if type(observation) ~= "table" then
    complain(self, "step must return text or messages before it is done, got %s",
             type(observation))
  end
  return observation.role and { observation } or observation
end

local function reward_of(self, info)
  if info == nil then return 0 end
  if type(info) ~= "table" then complain(self, "info must be a table, got %s", type(info)) end
  local r = info.reward
  if r == nil then return 0 end
  if type(r) ~= "number" or r ~= r or r == math.huge or r == -math.huge then
    complain(self, "info.reward must be a number, got %s", tostring(r))
  end
  return r
end

--- Begin an episode. episode.messages: the conversation so far; .earned: the sum of info.reward;
--- .done; .turns: a list of the infos, {} where there was none. Errors name the seed.
--- @param make function  -> { reset =, step = }
--- @param seed integer
function environment.open(make, seed)
  local self = setmetatable({ seed = seed, earned = 0, done = false, turns = {} }, Episode)
  local ok, env = pcall(make)
  if not ok then complain(self, "making it raised: %s", tostring(env)) end
  if type(env) ~= "table" or not env.reset or not env.step then
    complain(self, "expected { reset =, step = }, got %s", type(env))
  end
  self.env = env
  self.messages = call(self, "reset", seed)
  if type(self.messages) ~= "table" or #self.messages == 0 then
    complain(self, "reset must return messages, got %s",
             type(self.messages) == "table" and "none" or type(self.messages))
  end
  return self
end

--- What the world says to a message of the assistant: messages, or nil where it is done.
function Episode:step(message)
  if self.done then complain(self, "it is done, there is no further step") end
  local observation, done, info = call(self, "step", message)
  self.earned = self.earned + reward_of(self, info)
  self.turns[#self.turns + 1] = info or {}
  self.done = done and true or false
  if not self.done then return as_messages(self, observation) end
end

return environment
