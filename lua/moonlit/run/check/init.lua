--- Mistakes found before they cost anything. Each is a file of this folder: at = "message" (what an
--- error of the recipe means), "start" (what is tracked) or "step" (what the first steps showed);
--- severe = true is a mistake, false a warning; find gives a line of cause and one of fix, or nil.
---
--- Every training looks at "start" before its first step; moonlit check runs two steps in a
--- directory that is thrown away, and looks at everything.
local ckpt = require "moonlit.ckpt"
local context = require "moonlit.run.check.context"
local core = require "moonlit.core"
local fail = require "moonlit.fail"
local options = require "moonlit.options"

local check = { done = { "the first steps are through" } } -- what ends a checked recipe

-- in the order they are told in: the first of the messages that fits is the one
local names = {
  message = { "unknown_name", "option_needed", "missing_file", "no_model", "empty_data",
              "unchecked_nil", "short_data", "heads", "head_size", "bad_line", "knob_value",
              "no_special", "foreign_text", "reward", "ids_range", "no_gradient", "not_finite",
              "memory_limit" },
  start = { "no_steps", "vocabulary", "wide_vocabulary", "beyond_context", "positions", "frozen",
            "left_out", "weights", "betas", "decay", "optimiser_untracked", "data_untracked",
            "tokenizer_untracked", "slow_tier", "threads", "repeated", "disk", "memory" },
  step = { "no_step", "unchanged", "rate_large", "high_loss", "schedule_long", "schedule_short",
           "warmup", "no_target", "few_targets", "end_of_turn", "same_batch", "constant",
           "identical_pairs", "no_log", "never_saved" },
}

--- Those of a kind that `what` shows: a list of { name =, severe =, cause =, fix = }.
function check.find(kind, what)
  local found = {}
  for _, name in ipairs(names[kind]) do
    local mistake = require("moonlit.run.check." .. name)
    local cause, fix = mistake.find(what)
    if cause then
      found[#found + 1] = { name = name, severe = mistake.severe, cause = cause, fix = fix }
    end
  end
  return found
end

--- What an error of a recipe means.
function check.explain(message) return check.find("message", message)[1] end

--- Before a training's first step: warnings are said, a mistake ends the run.
function check.start(run)
  for _, m in ipairs(check.find("start", context.new(run))) do
    if m.severe then fail("run: %s\n  fix: %s", m.cause, m.fix) end
    run:say(("check: %s; fix: %s"):format(m.cause, m.fix))
  end
end

-- ---- moonlit check: two steps ----

local SLOW = 5 -- seconds; after a longer step one is enough

-- rollouts keep keys and values
local function observe_cache(model, seen)
  local plain = model.cache
  if not (plain and model.memory) then return end
  function model.cache(m, slots, capacity)
    local bytes = slots * (capacity or m.options.context) * m:memory().cache
    seen.caches = math.max(seen.caches, bytes)
    return plain(m, slots, capacity)
  end
end

-- see what the body of the loop does: the optimiser's arguments, what is logged
local function observe(run, seen)
  local opt = run.tracked.opt
  if opt and opt.step then
    local plain = opt.step
    seen.updates = 0
    function opt.step(o, given)
      local norm = plain(o, given)
      seen.given, seen.updates = seen.given or given or {}, seen.updates + 1
      return norm
    end
  end
  observe_cache(run.tracked.model, seen)
  local plain = run.log
  function run.log(r, values)
    seen.logged = true
    local loss = type(values) == "table" and values.loss
    if type(loss) == "userdata" then loss = loss:item() end
    seen.losses[#seen.losses + 1] = type(loss) == "number" and loss or nil
    return plain(r, values)
  end
end

local function hash(c) return #c.parameters > 0 and ckpt.hash(c.parameters) or "" end

local function end_of_step(c, seen, run, began, rehearse)
  seen.seconds = core.sys.clock() - began
  if #seen.calls == 0 then rehearse(run) end
  local calls = {}
  for _, call in ipairs(run.watch.calls) do
    seen.forwards[#seen.forwards + 1] = { model = call.model, step = #seen.calls + 1,
                                          rows = call.batch.ids:size(1),
                                          length = call.batch.ids:size(2) - 1 }
    if call.model == c.model and (call.name == "loss" or call.name == "logprobs") then
      calls[#calls + 1] = { batch = call.batch, loss = call.name == "loss",
                            updates = call.updates }
    end
  end
  seen.calls[#seen.calls + 1] = calls
  if #seen.calls == 1 then seen.unchanged = #c.parameters > 0 and hash(c) == seen.before end
  seen.anonymous = math.max(seen.anonymous or 0, context.anonymous() or 0)
end

--- What run:steps() gives in a check: two steps, then an error that ends the recipe: { check.done,
--- the context, what was found }.
--- @param rehearse function  makes the copies of a save once: they count in what is measured
function check.steps(run, rehearse)
  local c = context.new(run)
  local seen = { calls = {}, forwards = {}, caches = 0, losses = {}, logged = false }
  local found = check.find("start", c)
  for _, m in ipairs(found) do
    if m.severe then error({ check.done, c, found }, 0) end
  end
  observe(run, seen)
  seen.before = hash(c)
  local n, began = 0, core.sys.clock()
  return function()
    if n > 0 then end_of_step(c, seen, run, began, rehearse) end
    local suspect = run.watch.suspect
    if suspect then
      error({ check.done, c, { check.explain(("run: step %d: %s, first in %s ("):format(n,
              suspect.what, suspect.where)) } }, 0)
    end
    local last = n == 2 or n == c.total or n == 1 and seen.seconds > SLOW
    if not last then
      n, began = n + 1, core.sys.clock()
      run.current = n
      run.watch:begin()
      core.sys.rekey(run.seed, n)
      math.randomseed(run.seed, n)
      return n
    end
    run.current = nil
    c.measured, c.seconds = seen.anonymous, seen.seconds
    context.after(c, seen)
    if c.measured and c.memory.now then -- never less than there was: a reference, a teacher
      c.memory.more = math.max(c.memory.more, c.measured - c.memory.now)
    end
    table.move(check.find("step", c), 1, #names.step, #found + 1, found)
    error({ check.done, c, found }, 0)
  end
end

--- The names of all mistakes, sorted.
function check.names()
  local list = {}
  for _, kind in ipairs(options.keys(names)) do
    table.move(names[kind], 1, #names[kind], #list + 1, list)
  end
  table.sort(list)
  return list
end

return check
