--- The weight of the KL penalty: fixed, or moved so that the KL stays near a target (arXiv
--- 1909.08593).
---
---   local kl = ml.rl.kl_controller { kind = "adaptive", coef = 0.2, target = 6 }
---   reward = score - kl.coef * nats
---   kl:update(mean_nats, 256)        -- after each rollout: its mean KL a reply, its replies
local options = require "moonlit.options"

local Controller = {}
Controller.__index = Controller
Controller.__name = "moonlit.KLController"

--- coef: where it begins; target: nats a reply; horizon: replies that it takes to move by about as
--- much as the KL is off, in parts of the target; at most by bound (a fifth) of that
local defaults = { kind = "fixed", coef = 0.05, target = 6, horizon = 10000, bound = 0.2 }

--- The mean KL of a rollout and how many replies it had -> the coefficient from now on.
function Controller:update(kl, replies)
  if type(kl) ~= "number" or kl ~= kl then
    error("kl_controller: expected the KL of a rollout, got " .. tostring(kl), 2)
  end
  if self.kind == "adaptive" then
    if type(replies) ~= "number" then
      error("kl_controller: expected a number of replies, got " .. type(replies), 2)
    end
    local off = math.max(-self.bound, math.min(self.bound, kl / self.target - 1))
    self.coef = self.coef * (1 + off * replies / self.horizon)
  end
  return self.coef
end

function Controller:state() return { kind = self.kind, coef = self.coef } end

--- Continue from what state() gave.
function Controller:load_state(state)
  if state.kind ~= self.kind then
    error(('kl_controller: the state is of a "%s" one, this is "%s"'):format(
      tostring(state.kind), self.kind), 2)
  end
  self.coef = state.coef
end

--- @param opt? {kind: "fixed"|"adaptive", coef: number?, target: number?, horizon: number?,
---             bound: number?}
return function(opt)
  local o = options(opt, defaults, "kl_controller")
  if o.kind ~= "fixed" and o.kind ~= "adaptive" then
    error(('kl_controller: kind must be "fixed" or "adaptive", got "%s"'):format(
      tostring(o.kind)), 2)
  end
  for _, name in ipairs { "coef", "target", "horizon", "bound" } do
    if type(o[name]) ~= "number" or not (o[name] > 0 or name == "coef" and o[name] == 0) then
      error(("kl_controller: %s must be positive, got %s"):format(name, tostring(o[name])), 2)
    end
  end
  return setmetatable(o, Controller)
end
