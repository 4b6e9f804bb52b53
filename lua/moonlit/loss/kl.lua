--- How far a policy has moved from a reference, estimated at the tokens that were drawn, and the
--- rewards that hold it back.
---
---   local k = ml.loss.kl(logprobs, reference, "k3")      -- (B, T)
---   local r = ml.loss.kl_rewards(scores, old, reference, mask, { coef = 0.05 })
---
--- With x = log p - log reference at a token drawn from p:
---   k1   x               unbiased; as a loss its expected gradient is 0: use it in rewards
---   k2   x^2 / 2         as a loss: the gradient of KL(p || reference)
---   k3   e^-x - 1 + x    never below 0; as a loss: the gradient of KL(reference || p)
---   k3+  k3's value with k2's gradient
--- (http://joschu.net/blog/kl-approx.html)
local core = require "moonlit.core"
local options = require "moonlit.options"
local masked = require "moonlit.loss.masked"

local estimators = {}

function estimators.k1(x) return x end

function estimators.k2(x) return x * x * 0.5 end

-- the exponent stops at 20: no single token makes an infinity
function estimators.k3(x) return (-x):clamp(nil, 20):exp() - 1 + x end

estimators["k3+"] = function(x)
  local k2 = estimators.k2(x)
  return k2 - k2:detach() + estimators.k3(x):detach()
end

local names = { "k1", "k2", "k3", "k3+" }
local kl = { names = names }

--- @param logprobs Tensor   any shape, nats; the gradient goes here
--- @param reference Tensor  of its shape; no gradient goes there
--- @param estimator "k1"|"k2"|"k3"|"k3+"
--- @return Tensor  of their shape, in nats
function kl.estimate(logprobs, reference, estimator)
  masked.floats("loss.kl", "logprobs", logprobs)
  masked.same("loss.kl", "reference", reference, logprobs, "logprobs")
  masked.one_of("loss.kl", "estimator", estimator, names)
  return estimators[estimator](logprobs - reference:detach())
end

-- flat positions of the last kept token of every sequence that has one, in order
local function ends(keep, ids)
  local sequence, kept, list = ids:table(), keep:flatten():table(), {}
  local owner
  for i = 1, #kept do
    if kept[i] then
      if sequence[i] ~= owner then list[#list + 1], owner = i, sequence[i] else list[#list] = i end
    end
  end
  return list
end

--- Rewards of every token: minus coef times the KL estimate, plus, at the last masked token of a
--- sequence, its score.
--- @param scores Tensor     (n): one for each sequence (a row, or a document of doc) that has
---                          masked tokens, in order
--- @param logprobs Tensor   (B, T) of the policy that drew the tokens
--- @param reference Tensor  (B, T)
--- @param mask Tensor|nil   (B, T): other than 0 where the policy drew the token
--- @param opt? {coef: number?, estimator: string?, doc: Tensor?}  coef = 0.05 a nat, estimator =
---   "k1", doc (B, T): which sequence each token of a packed row belongs to
--- @return Tensor  (B, T) without gradient; 0 where masked
function kl.rewards(scores, logprobs, reference, mask, opt)
  local who = "loss.kl_rewards"
  local o = options(opt, { coef = 0.05, estimator = "k1", doc = options.optional }, who)
  masked.floats(who, "logprobs", logprobs, 2)
  masked.same(who, "reference", reference, logprobs, "logprobs")
  masked.floats(who, "scores", scores, 1)
  masked.one_of(who, "estimator", o.estimator, names)
  if mask then masked.same(who, "mask", mask, logprobs, "logprobs") end
  local keep = masked.keep(mask, logprobs)
  local at = ends(keep, (masked.sequences(o.doc, logprobs)))
  if scores:numel() ~= #at then
    error(("%s: %d scores for %d sequences"):format(who, scores:numel(), #at), 2)
  end
  return core.autograd.no_grad(function()
    local x = masked.only(logprobs, keep) - masked.only(reference, keep)
    local r = estimators[o.estimator](x) * -o.coef
    if #at == 0 then return r end
    local shape = logprobs:shape()
    return r:flatten():scatter_add(1, core.tensor(at), scores:to(r:dtype())):view(shape)
  end)
end

return kl
