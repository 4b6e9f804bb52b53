--- How a rollout becomes optimiser steps: epochs over it, each in mini-batches, in an order that is
--- a function of (seed, rollout, epoch). The number of steps is known before and asserted after.
---
---   local update = ml.rl.update { epochs = 2, minibatches = 4, stop_kl = 0.1 }
---   for part in update:parts(samples, rollout) do
---     ... loss, backward, optimizer:step()
---     update:stepped(kl)            -- how far the policy is from the one that drew the samples
---   end
---   local log = update:finish()     -- { steps = 8, planned = 8, stopped = false, rollout = ... }
local feistel = require "moonlit.data.feistel"
local options = require "moonlit.options"

local Update = {}
Update.__index = Update
Update.__name = "moonlit.Update"

--- minibatches: of an epoch; stop_kl: nats a token, an update that moves the policy farther is the
--- rollout's last; shuffle: false keeps the samples' order
local defaults = { epochs = 1, minibatches = 1, stop_kl = math.huge, shuffle = true, seed = 0 }

-- the upper half of the 32 bits that tell epochs apart: a loader's stay below
local FIRST = 1 << 31

local function ordered(self, samples, rollout, epoch)
  if not self.shuffle then return samples end
  local list, key = {}, FIRST + rollout * self.epochs + epoch
  for i = 1, #samples do
    list[i] = samples[feistel.shuffled(self.seed, key, i - 1, #samples) + 1]
  end
  return list
end

-- sizes differ by one at most
local function cut(list, parts, k)
  local n = #list
  local first, last = n * (k - 1) // parts + 1, n * k // parts
  return table.move(list, first, last, 1, {})
end

--- Iterate over the mini-batches of a rollout: samples, epoch, number of the mini-batch.
--- @param samples table[]
--- @param rollout integer  its number, from 0
function Update:parts(samples, rollout)
  if self.open then error("update: the rollout before has not been finished", 2) end
  if math.type(rollout) ~= "integer" or rollout < 0 then
    error("update: expected the rollout's number, got " .. tostring(rollout), 2)
  elseif #samples < self.minibatches then
    error(("update: %d samples are too few for %d mini-batches"):format(#samples,
                                                                        self.minibatches), 2)
  end
  self.open = { rollout = rollout, steps = 0, handed = 0, kl = 0, stopped = false,
                planned = self.epochs * self.minibatches }
  local now, list = self.open, nil
  return function()
    if now.stopped or now.handed == now.planned then return nil end
    local epoch, k = now.handed // self.minibatches + 1, now.handed % self.minibatches + 1
    if now.steps ~= now.handed then
      error(("update: rollout %d: %d mini-batches handed out, %d steps made"):format(
        rollout, now.handed, now.steps), 2)
    end
    if k == 1 then list = ordered(self, samples, rollout, epoch - 1) end
    now.handed = now.handed + 1
    return cut(list, self.minibatches, k), epoch, k
  end
end

--- The optimiser made its step on the mini-batch handed out last.
--- @param kl? number  nats a token between the policy that drew and the one that learns
function Update:stepped(kl)
  local now = self.open
  if not now or now.steps == now.handed then
    error("update: a step without a mini-batch of its own", 2)
  end
  now.steps = now.steps + 1
  if kl then
    if kl ~= kl then error(("update: rollout %d: KL is NaN"):format(now.rollout), 2) end
    now.kl = kl
    if kl > self.stop_kl and now.steps < now.planned then now.stopped = true end
  end
end

--- The rollout is used up: the steps made are those planned, or fewer because of the KL.
--- @return {rollout: integer, steps: integer, planned: integer, stopped: boolean, kl: number}
function Update:finish()
  local now = self.open
  if not now then error("update: there is no rollout to finish", 2) end
  if now.steps ~= now.handed or now.steps ~= now.planned and not now.stopped then
    error(("update: rollout %d: %d optimiser steps were planned, %d made"):format(
      now.rollout, now.planned, now.steps), 2)
  end
  self.open, self.total = nil, self.total + now.steps
  return { rollout = now.rollout, steps = now.steps, planned = now.planned,
           stopped = now.stopped, kl = now.kl, total = self.total }
end

function Update:state() return { total = self.total } end
function Update:load_state(state) self.total, self.open = state.total, nil end

return function(opt)
  local o = options(opt, defaults, "update")
  for _, name in ipairs { "epochs", "minibatches" } do
    o[name] = math.tointeger(o[name]) or 0
    if o[name] < 1 then error(("update: %s must be a positive integer"):format(name), 2) end
  end
  o.total = 0
  return setmetatable(o, Update)
end
