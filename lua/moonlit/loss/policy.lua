--- One policy-gradient loss; methods are settings of its knobs (loss.presets names them).
---
---   local loss, stats = ml.loss.policy(logprobs, old, advantages, mask, { preset = "grpo",
---                                                                         ref = reference })
---
--- With the ratio w = e^(logprob - old), of a token:
---   surrogate "ratio"    -min(w A, clamp(w, 1 - low, 1 + high) A)
---   surrogate "logprob"  -clamp(w, 1 - low, 1 + high) A logprob, no gradient through w
---   clip.dual            at most -dual A where A < 0 (arXiv 1912.09729)
---   ratio "token"        each token's own w
---   ratio "sequence"     e^(mean of the differences), one for all tokens of an answer
---   ratio "sequence_sum" e^(their sum)
---   ratio "none"         1
--- to which kl_coef times a KL estimate (loss.kl) is added, and of which entropy_coef times the
--- entropy is taken away. These tokens become one number by
---   aggregate "token"     the sum over all of them / their number
---   aggregate "sequence"  the mean over sequences of the mean over their tokens
---   aggregate "constant"  the sum / (number of sequences * length)
--- A sequence is a row of (B, T), or with doc a document of a packed row. Sequences without a
--- masked token do not count.
local core = require "moonlit.core"
local options = require "moonlit.options"
local kl = require "moonlit.loss.kl"
local masked = require "moonlit.loss.masked"
local presets = require "moonlit.loss.presets"

local who = "loss.policy"
local optional = options.optional

local defaults = {
  preset = optional, paper = optional, advantage = optional,
  surrogate = "ratio", ratio = "token", aggregate = "token", length = optional,
  kl = "none", kl_in = "loss", kl_coef = 0, kl_ratio = false, ref = optional,
  entropy = optional, entropy_coef = 0, doc = optional, over = optional,
}
-- false is a choice here, so the default is filled in by hand
defaults.clip = optional

local names = {
  surrogate = { "ratio", "logprob" },
  ratio = { "token", "sequence", "sequence_sum", "none" },
  aggregate = { "token", "sequence", "constant" },
  kl = { "none", table.unpack(kl.names) },
  kl_in = { "loss", "reward" },
}

-- no token's ratio leaves e^-20 to e^20
local widest = 20

local function with_preset(opt)
  if type(opt) ~= "table" or opt.preset == nil then return opt end
  local preset = presets[opt.preset]
  if not preset then
    error(("%s: unknown preset %s"):format(
      who, options.unknown(opt.preset, options.keys(presets))), 4)
  end
  local all = {}
  for key, value in pairs(preset) do all[key] = value end
  for key, value in pairs(opt) do all[key] = value end
  return all
end

local function filled(opt)
  local o = options.fill(with_preset(opt), defaults, who, 4)
  for _, knob in ipairs(options.keys(names)) do
    masked.one_of(who, knob, o[knob], names[knob], 4)
  end
  if o.clip == nil then o.clip = { low = 0.2, high = 0.2 } end
  o.clip = options.fill(o.clip or {}, { low = optional, high = optional, dual = optional },
                        who .. ": clip", 4)
  if o.aggregate == "constant" and not o.length then
    error(who .. ': aggregate "constant" needs length, of the longest possible answer', 3)
  end
  o.penalty = o.kl ~= "none" and o.kl_in == "loss" and o.kl_coef ~= 0
  if o.penalty and not o.ref then
    error(('%s: kl "%s" needs ref, log-probabilities of the reference'):format(who, o.kl), 3)
  end
  if o.entropy_coef ~= 0 and not o.entropy then
    error(who .. ": entropy_coef needs entropy", 3)
  end
  return o
end

-- Masked inputs, and which sequence each token is of: the batch as everything below reads it.
local function batch(logprobs, old, advantages, mask, o)
  local keep = masked.keep(mask, logprobs)
  local function only(x) return x and masked.only(x, keep) end
  local b = { keep = keep, logp = only(logprobs), shape = logprobs:shape(),
              old = only((old or logprobs):detach()), ref = only(o.ref and o.ref:detach()),
              advantages = only(advantages:detach()), entropy = only(o.entropy) }
  b.ids, b.n = masked.sequences(o.doc, logprobs)
  b.sizes = masked.per_sequence(keep:to(logprobs:dtype()), b.ids, b.n)
  b.tokens = masked.count(keep)
  b.sequences = core.gt(b.sizes, 0):sum():item()
  b.difference = b.logp - b.old
  return b
end

-- a number per sequence, at each of its tokens
local function spread(x, b) return x:index_select(1, b.ids):view(b.shape) end

local function ratios(b, o)
  local x = b.difference
  if o.ratio == "none" then x = x:detach() * 0
  elseif o.ratio ~= "token" then
    local sum = masked.per_sequence(x, b.ids, b.n)
    if o.ratio == "sequence" then sum = sum / b.sizes:clamp(1) end
    x = spread(sum, b)
  end
  return x:clamp(-widest, widest):exp()
end

local function clipped(w, clip)
  return w:clamp(clip.low and 1 - clip.low, clip.high and 1 + clip.high)
end

local function surrogate(w, b, o)
  local a, clip = b.advantages, o.clip
  if o.surrogate == "logprob" then return -(clipped(w:detach(), clip) * a * b.logp) end
  local each = -(w * a):minimum(clipped(w, clip) * a)
  if clip.dual then
    each = core.where(core.lt(a, 0), each:minimum(a * -clip.dual), each)
  end
  return each
end

-- The KL at each token. Weighted by the ratio it is that of the policy as it is now, when another
-- drew the tokens; k2 has its gradient from a fixed weight, k1 and k3 theirs from a moving one.
local function divergence(b, o)
  local each = kl.estimate(b.logp, b.ref, o.kl == "none" and "k3" or o.kl)
  if not o.kl_ratio then return each end
  local w = b.difference:clamp(-widest, widest):exp()
  return each * ((o.kl == "k2" or o.kl == "k3+") and w:detach() or w)
end

local function aggregated(x, b, o)
  x = masked.only(x, b.keep)
  if o.aggregate == "token" then return x:sum() / math.max(o.over or b.tokens, 1) end
  local sequences = math.max(o.over or b.sequences, 1)
  if o.aggregate == "constant" then return x:sum() / (sequences * o.length) end
  return (masked.per_sequence(x, b.ids, b.n) / b.sizes:clamp(1)):sum() / sequences
end

-- share of each sequence's tokens for which x is true, (n)
local function shares(x, b)
  local hits = masked.only(x:to(b.sizes:dtype()), b.keep)
  return masked.per_sequence(hits, b.ids, b.n) / b.sizes:clamp(1)
end

-- Shares of tokens that the clip holds back; of sequences, where they have one ratio.
local function clip_stats(stats, w, b, o)
  local a, counted = b.advantages, core.gt(b.sizes, 0)
  local low = core.lt(w, 1 - (o.clip.low or math.huge)):logical_and(core.lt(a, 0))
  local high = core.gt(w, 1 + (o.clip.high or math.huge)):logical_and(core.gt(a, 0))
  local function mean(x)
    if o.ratio == "token" then return masked.number(x, b.keep) end
    return masked.number(shares(x, b), counted)
  end
  if o.surrogate == "logprob" then
    stats.cispo_clip_ratio = mean(high)
    return
  end
  stats["clip_ratio/low_mean"], stats["clip_ratio/high_mean"] = mean(low), mean(high)
  stats["clip_ratio/region_mean"] = mean(low:logical_or(high))
  stats["clip_ratio/low_min"] = shares(low, b)[counted]:amin():item()
  stats["clip_ratio/high_max"] = shares(high, b)[counted]:amax():item()
end

local function report(w, penalty, b, o)
  local stats = { count = b.tokens, sequences = b.sequences }
  if b.tokens == 0 then return stats end
  local x = b.difference
  stats["policy/approxkl_avg"] = masked.number(x * x * 0.5, b.keep)
  stats["val/ratio"] = masked.number(w, b.keep)
  stats["val/ratio_min"] = w[b.keep]:amin():item()
  stats["val/ratio_max"] = w[b.keep]:amax():item()
  if penalty then stats.kl = masked.number(penalty, b.keep) end
  if b.entropy then stats.entropy = masked.number(b.entropy, b.keep) end
  clip_stats(stats, w, b, o)
  return stats
end

-- (B, T) advantages of (B, T), or of (B) for rows
local function per_token(advantages, logprobs, o)
  if core.is_tensor(advantages) and advantages:dim() == 1
     and advantages:numel() == logprobs:size(1) and not o.doc then
    return advantages:unsqueeze(2):expand(logprobs:shape())
  end
  return advantages
end

--- @param logprobs Tensor  (B, T), nats, each token's under the policy: the gradient goes here
--- @param old Tensor|nil   (B, T) under the policy that drew the tokens; nil: this one, w is 1
--- @param advantages Tensor  (B, T), or (B), one for each row; used as they are
--- @param mask Tensor|nil  (B, T): other than 0 where the policy drew the token
--- @param opt? table  preset: options of that name first (loss.presets); surrogate = "ratio";
---   ratio = "token"; clip = { low = 0.2, high = 0.2 }, both and dual optional, false for none;
---   aggregate = "token"; length, for "constant"; kl = "none", or "k1", "k2", "k3", "k3+", with
---   kl_coef = 0, ref (B, T), kl_in = "loss" ("reward": added elsewhere), kl_ratio = false (weigh
---   it by the ratio); entropy (B, T) with entropy_coef = 0; doc (B, T); over: tokens ("token")
---   or sequences of the whole optimiser step when the batch is a part of it; advantage and paper
---   are what presets say of themselves
--- @return Tensor loss, table stats  policy_loss (without KL and entropy), policy/approxkl_avg
---   (mean of half the squared difference), val/ratio, val/ratio_min, val/ratio_max, kl (with ref;
---   k3 unless kl says otherwise), entropy, clip_ratio/{low_mean, low_min, high_mean, high_max,
---   region_mean} or cispo_clip_ratio: absent when no token counts; count (tokens), sequences
return function(logprobs, old, advantages, mask, opt)
  local o = filled(opt)
  masked.floats(who, "logprobs", logprobs, 2)
  advantages = per_token(advantages, logprobs, o)
  masked.same(who, "advantages", advantages, logprobs, "logprobs")
  if old then masked.same(who, "old", old, logprobs, "logprobs") end
  if mask then masked.same(who, "mask", mask, logprobs, "logprobs") end
  for _, name in ipairs { "ref", "entropy", "doc" } do
    if o[name] then masked.same(who, name, o[name], logprobs, "logprobs") end
  end
  local b = batch(logprobs, old, advantages, mask, o)
  local w = ratios(b, o)
  local policy = aggregated(surrogate(w, b, o), b, o)
  local penalty = b.ref and divergence(b, o)
  local stats = core.autograd.no_grad(report, w, penalty, b, o)
  stats.policy_loss = policy:item()
  local loss = policy
  if o.penalty then loss = loss + aggregated(penalty, b, o) * o.kl_coef end
  if o.entropy_coef ~= 0 then loss = loss - aggregated(b.entropy, b, o) * o.entropy_coef end
  return loss, stats
end
