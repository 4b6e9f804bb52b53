--- Generalised advantage estimation (arXiv 1506.02438) over the tokens a policy drew.
---
---   local advantages, returns = ml.loss.gae(rewards, values, mask, { gamma = 1, lambda = 0.95 })
---
--- Backwards over the masked tokens of a sequence: delta = r + gamma V' - V and
--- A = delta + gamma lambda A', where V' and A' are the next masked token's, 0 after the last:
--- tokens of the environment in between cost neither discount nor value. The return is A + V.
local core = require "moonlit.core"
local options = require "moonlit.options"
local masked = require "moonlit.loss.masked"

local who = "loss.gae"

-- one row, in place: r becomes the advantages, v the returns
local function backwards(r, v, kept, doc, o)
  local value, advantage = 0, 0
  for t = #r, 1, -1 do
    if doc and t < #r and doc[t] ~= doc[t + 1] then value, advantage = 0, 0 end
    if kept[t] then
      advantage = r[t] + o.gamma * value - v[t] + o.gamma * o.lambda * advantage
      value = v[t]
      r[t], v[t] = advantage, value + advantage
    else
      r[t], v[t] = 0, 0
    end
  end
end

--- @param rewards Tensor   (B, T), each at the token it is for; not read where masked
--- @param values Tensor    (B, T): the critic's value before the token is drawn
--- @param mask Tensor|nil  (B, T): other than 0 where the policy drew the token
--- @param opt? {gamma: number?, lambda: number?, doc: Tensor?}  gamma = 1, lambda = 0.95;
---   doc (B, T): which sequence each token of a packed row belongs to
--- @return Tensor advantages, Tensor returns  (B, T) without gradient; 0 where masked
return function(rewards, values, mask, opt)
  local o = options(opt, { gamma = 1, lambda = 0.95, doc = options.optional }, who)
  masked.floats(who, "rewards", rewards, 2)
  masked.same(who, "values", values, rewards, "rewards")
  if mask then masked.same(who, "mask", mask, rewards, "rewards") end
  if o.doc then masked.same(who, "doc", o.doc, rewards, "rewards") end
  if rewards:numel() == 0 then return rewards:detach():clone(), rewards:detach():clone() end
  local r, v = rewards:table(), values:table()
  local kept, doc = masked.keep(mask, rewards):table(), o.doc and o.doc:table()
  for i = 1, #r do backwards(r[i], v[i], kept[i], doc and doc[i], o) end
  local kind = { dtype = rewards:dtype() }
  return core.tensor(r, kind), core.tensor(v, kind)
end
