--- Distillation: how far a student's distribution over the vocabulary is from a teacher's, at every
--- token, on data or on the student's own answers (arXiv 2306.13649).
---
---   local loss, stats = ml.loss.distill(student, teacher, mask, { kind = "reverse" })
---
---   forward  KL(teacher || student): the student covers all that the teacher does
---   reverse  KL(student || teacher): the student keeps to what the teacher does
---   js       beta KL(teacher || m) + (1 - beta) KL(student || m), m = beta teacher
---            + (1 - beta) student
--- For logits that do not fit, model:kl gives the same numbers without holding them.
local core = require "moonlit.core"
local options = require "moonlit.options"
local masked = require "moonlit.loss.masked"

local who = "loss.distill"

-- Per-token divergences of s and t, log-probabilities (..., V), and their gradients by the
-- student's logits, written out: with equal distributions both are exactly 0, which the chain rule
-- through softmax would only be up to rounding.
local divergences = {}

local function total(x) return x:sum(-1, { keepdim = true }) end

-- the gradient by logits, given g, the gradient by probabilities up to a constant
local function through_softmax(p, g) return p * (g - total(p * g)) end

function divergences.forward(s, t)
  local p = t:exp()
  return total(p * (t - s)), function() return s:exp() - p end
end

function divergences.reverse(s, t)
  local p, off = s:exp(), s - t
  return total(p * off), function() return through_softmax(p, off) end
end

-- log of (1 - share) + share e^x for x <= 0
local function mixed(x, share) return ((x:exp() - 1) * share + 1):log() end

function divergences.js(s, t, beta)
  local off = t - s
  local near = -off:abs()
  -- log m - s: the larger of s and t is taken out, so that no exponent overflows
  local m = core.where(core.gt(off, 0), off + mixed(near, 1 - beta), mixed(near, beta))
  local p = s:exp()
  local value = total(t:exp() * (off - m)) * beta - total(p * m) * (1 - beta)
  return value, function() return through_softmax(p, m * (beta - 1)) end
end

local per_token = core.autograd.fn {
  forward = function(ctx, student, teacher, kind, beta, temperature)
    local s = (student / temperature):log_softmax(-1)
    local t = (teacher / temperature):log_softmax(-1)
    local value, gradient = divergences[kind](s, t, beta)
    ctx.gradient, ctx.temperature = gradient, temperature
    return value
  end,
  backward = function(ctx, dy) return ctx.gradient() * (dy / ctx.temperature) end,
}

--- @param student Tensor  (B, T, V) logits
--- @param teacher Tensor  (B, T, V) logits; no gradient goes there
--- @param mask Tensor|nil  (B, T): other than 0 where a position counts
--- @param opt? table  kind = "forward", or "reverse", "js"; beta = 0.5, of js, between 0 and 1;
---   temperature = 1 divides both logits, and nothing makes up for it; over: tokens of the whole
---   optimiser step when the batch is a part of it
--- @return Tensor loss, table stats  nats a token; kl: the same over this batch; count (tokens)
return function(student, teacher, mask, opt)
  local o = options(opt, { kind = "forward", beta = 0.5, temperature = 1,
                           over = options.optional }, who)
  masked.floats(who, "student", student, 3)
  masked.same(who, "teacher", teacher, student, "student")
  masked.one_of(who, "kind", o.kind, { "forward", "reverse", "js" })
  if o.kind == "js" and not (o.beta > 0 and o.beta < 1) then
    error(('%s: beta must lie between 0 and 1 ("forward" and "reverse" are its ends), got %s')
      :format(who, tostring(o.beta)), 2)
  end
  if o.temperature <= 0 then
    error(("%s: temperature must be above 0, got %s"):format(who, tostring(o.temperature)), 2)
  end
  local one = student:select(3, 1)
  if mask then masked.same(who, "mask", mask, one, "the positions") end
  local keep = masked.keep(mask, one)
  local wide = keep:unsqueeze(3)
  local each = per_token(masked.only(student, wide), masked.only(teacher:detach(), wide),
                         o.kind, o.beta, o.temperature):squeeze(3)
  local loss = masked.mean(each, keep, o.over)
  return loss, { kl = masked.number(each:detach(), keep), count = masked.count(keep) }
end
