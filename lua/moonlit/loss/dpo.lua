--- Direct preference optimisation (arXiv 2305.18290) and its relatives, on sums of
--- log-probabilities of whole answers.
---
---   local loss, stats = ml.loss.dpo(chosen, rejected, ref_chosen, ref_rejected, { beta = 0.1 })
---
--- With D = policy - reference and d = D(chosen) - D(rejected), of a pair:
---   sigmoid       softplus(-beta d)
---   cdpo          (1 - e) softplus(-beta d) + e softplus(beta d), e the share of swapped labels
---   robust        ((1 - e) softplus(-beta d) - e softplus(beta d)) / (1 - 2 e)  (arXiv 2403.00409)
---   hinge         max(0, 1 - beta d)                                            (arXiv 2305.10425)
---   ipo           (d - 1 / (2 beta))^2, D per token                             (arXiv 2310.12036)
---   ipo_sequence  the same, D of the whole answer
--- length_normalized makes every D a mean per token; beta is then larger, 2 to 10. reference_free
--- leaves the reference out. sft adds that much of the chosen answers' negative log-probability, a
--- mean over their tokens (arXiv 2404.19733).
local core = require "moonlit.core"
local options = require "moonlit.options"
local masked = require "moonlit.loss.masked"

local who = "loss.dpo"
local kinds = { "sigmoid", "cdpo", "ipo", "ipo_sequence", "hinge", "robust" }
local optional = options.optional
local defaults = {
  kind = "sigmoid", beta = 0.1, label_smoothing = optional, length_normalized = false,
  reference_free = false, sft = 0, chosen_lengths = optional, rejected_lengths = optional,
  mask = optional, over = optional, over_tokens = optional,
}

local per_pair = {}

function per_pair.sigmoid(d, o) return (d * -o.beta):softplus() end

function per_pair.cdpo(d, o)
  local e = o.label_smoothing
  return (d * -o.beta):softplus() * (1 - e) + (d * o.beta):softplus() * e
end

function per_pair.robust(d, o)
  local e = o.label_smoothing
  return ((d * -o.beta):softplus() * (1 - e) - (d * o.beta):softplus() * e) / (1 - 2 * e)
end

function per_pair.hinge(d, o) return (1 - d * o.beta):relu() end

function per_pair.ipo(d, o)
  local off = d - 1 / (2 * o.beta)
  return off * off
end

per_pair.ipo_sequence = per_pair.ipo

-- only cdpo and robust know what label_smoothing is; silence would be a wrong experiment
local function check_smoothing(o)
  local e, takes = o.label_smoothing, o.kind == "cdpo" or o.kind == "robust"
  if e and not takes then
    error(('%s: kind "%s" takes no label_smoothing; "cdpo" and "robust" do'):format(who, o.kind), 4)
  elseif takes and not (type(e) == "number" and e >= 0 and e < 0.5) then
    error(('%s: kind "%s" needs label_smoothing, from 0 up to below 0.5, got %s'):format(
      who, o.kind, tostring(e)), 4)
  end
end

local function check(o)
  check_smoothing(o)
  if o.length_normalized and o.kind == "ipo_sequence" then
    error(who .. ': "ipo_sequence" is about whole answers; length_normalized is kind "ipo"', 3)
  end
  o.per_token = o.length_normalized or o.kind == "ipo"
  if o.per_token and not (o.chosen_lengths and o.rejected_lengths) then
    error(who .. ": means per token need chosen_lengths and rejected_lengths", 3)
  end
  if o.sft ~= 0 and not o.chosen_lengths then
    error(who .. ": sft needs chosen_lengths", 3)
  end
end

-- an answer without tokens has a sum of 0, and a mean of 0
local function per_token(x, lengths) return x / lengths:to(x:dtype()):clamp(1) end

-- rewards are beta * D of whole answers, whatever the kind (TRL's convention and names)
local function report(s, o)
  local keep, stats = s.keep, { count = masked.count(s.keep) }
  if stats.count == 0 then return stats end
  local function mean(x) return masked.number(x, keep) end
  stats["rewards/chosen"] = mean(s.chosen * o.beta)
  stats["rewards/rejected"] = mean(s.rejected * o.beta)
  stats["rewards/accuracies"] = mean(core.gt(s.chosen, s.rejected))
  stats["rewards/margins"] = mean((s.chosen - s.rejected) * o.beta)
  stats["logps/chosen"], stats["logps/rejected"] = mean(s.logps_chosen), mean(s.logps_rejected)
  return stats
end

--- @param chosen Tensor    (B) sum of the chosen answer's log-probabilities under the policy, nats
--- @param rejected Tensor  (B) the rejected answer's
--- @param ref_chosen Tensor|nil    (B) under the reference; no gradient goes there. Not read with
---                                 reference_free
--- @param ref_rejected Tensor|nil  (B)
--- @param opt? table  kind = "sigmoid"; beta = 0.1; label_smoothing: of cdpo and robust, needed
---   there, below 0.5; length_normalized = false; reference_free = false; sft = 0; chosen_lengths,
---   rejected_lengths (B): tokens of each answer, for ipo, length_normalized and sft; mask (B):
---   pairs that count, all unless given; over, over_tokens: pairs and chosen tokens of the whole
---   optimiser step when the batch is a part of it
--- @return Tensor loss, table stats  rewards/chosen, rewards/rejected, rewards/accuracies (strictly
---   higher), rewards/margins, logps/chosen, logps/rejected: absent when no pair counts; nll_loss
---   with sft; count (pairs)
return function(chosen, rejected, ref_chosen, ref_rejected, opt)
  local o = options(opt, defaults, who)
  masked.floats(who, "chosen", chosen, 1)
  masked.same(who, "rejected", rejected, chosen, "chosen")
  masked.one_of(who, "kind", o.kind, kinds)
  if not o.reference_free then
    masked.same(who, "ref_chosen", ref_chosen, chosen, "chosen")
    masked.same(who, "ref_rejected", ref_rejected, chosen, "chosen")
  end
  for _, name in ipairs { "chosen_lengths", "rejected_lengths", "mask" } do
    if o[name] then masked.same(who, name, o[name], chosen, "chosen") end
  end
  check(o)
  local keep = masked.keep(o.mask, chosen)
  local function only(x) return masked.only(x, keep) end
  local s = { keep = keep, logps_chosen = only(chosen), logps_rejected = only(rejected) }
  s.chosen, s.rejected = s.logps_chosen, s.logps_rejected
  if not o.reference_free then
    s.chosen = s.chosen - only(ref_chosen:detach())
    s.rejected = s.rejected - only(ref_rejected:detach())
  end
  local d = o.per_token
    and per_token(s.chosen, o.chosen_lengths) - per_token(s.rejected, o.rejected_lengths)
    or s.chosen - s.rejected
  local loss = masked.mean(per_pair[o.kind](d, o), keep, o.over)
  local stats = core.autograd.no_grad(report, s, o)
  if o.sft ~= 0 then
    local tokens = o.over_tokens or only(o.chosen_lengths):sum():item()
    local nll = s.logps_chosen:sum() / -math.max(tokens, 1)
    loss, stats.nll_loss = loss + nll * o.sft, nll:item()
  end
  return loss, stats
end
