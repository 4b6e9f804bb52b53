--- Learning-rate schedules: step (1-based) -> rate. Pure functions of the step, made of moonlit's
--- own cosine, so that they give the same bits everywhere. Any Lua function is a schedule too.
local core = require "moonlit.core"
local options = require "moonlit.options"

local schedule = {}

local required = options.required

-- the options of schedules that were asked for a rate, in the order they were first asked
local used = {}

-- a schedule that is remembered once it is used
local function remembered(o, rate)
  return function(step)
    if not o.order then
      used[#used + 1], o.order = o, #used + 1
    end
    return rate(step)
  end
end

--- The options of the schedules in use: those that were asked for a rate.
--- @return table[]
function schedule.used() return table.move(used, 1, #used, 1, {}) end

--- rises to 1 over `warmup` steps: (step) / warmup, 1 from step = warmup on
local function ramp(step, warmup)
  return warmup > 0 and step < warmup and step / warmup or 1
end

--- Warm-up, then half a cosine from peak to floor, reached at `steps` (nanoGPT, GPT-3).
--- @param opt {peak: number, floor: number?, warmup: integer?, steps: integer}
function schedule.cosine(opt)
  local o = options(opt, { peak = required, floor = 0, warmup = 0, steps = required }, "cosine")
  return remembered(o, function(step)
    if step < o.warmup then return o.peak * ramp(step, o.warmup) end
    if step >= o.steps then return o.floor end
    local done = (step - o.warmup) / (o.steps - o.warmup)
    return o.floor + (o.peak - o.floor) * 0.5 * (1 + core.math.cos(math.pi * done))
  end)
end

--- Warm-up, stable, decay (WSD, arXiv 2404.06395): constant until `decay_from` (a fraction of
--- steps), then linear to floor.
--- @param opt {peak: number, floor: number?, warmup: integer?, steps: integer, decay_from: number?}
function schedule.wsd(opt)
  local o = options(opt, { peak = required, floor = 0, warmup = 0, steps = required,
                           decay_from = 0.8 }, "wsd")
  local from = o.decay_from * o.steps
  return remembered(o, function(step)
    if step < from then return o.peak * ramp(step, o.warmup) end
    if step >= o.steps then return o.floor end
    return o.floor + (o.peak - o.floor) * (o.steps - step) / (o.steps - from)
  end)
end

--- Warm-up, then linear to floor at `steps`.
--- @param opt {peak: number, floor: number?, warmup: integer?, steps: integer}
function schedule.linear(opt)
  local o = options(opt, { peak = required, floor = 0, warmup = 0, steps = required }, "linear")
  return remembered(o, function(step)
    if step < o.warmup then return o.peak * ramp(step, o.warmup) end
    if step >= o.steps then return o.floor end
    return o.floor + (o.peak - o.floor) * (o.steps - step) / (o.steps - o.warmup)
  end)
end

--- Warm-up, then peak for ever.
--- @param opt {peak: number, warmup: integer?}
function schedule.constant(opt)
  local o = options(opt, { peak = required, warmup = 0 }, "constant")
  return remembered(o, function(step) return o.peak * ramp(step, o.warmup) end)
end

return schedule
