--- A run: a directory that says what happened, progress, checkpoints, exact resume. The loop stays
--- the user's.
---
---   local run = ml.run("runs/mine", { steps = 2000, seed = 1, save_every = 200 })
---   run:track { model = model, opt = opt, data = data }
---   for step in run:steps() do ... run:log { loss = loss } end
---   run:finish("validation loss 1.9")
---
--- Ctrl-C or SIGTERM: a checkpoint after the running step, exit code 75; a second one stops now.
local check = require "moonlit.run.check"
local checkpoint = require "moonlit.run.checkpoint"
local ckpt = require "moonlit.ckpt"
local core = require "moonlit.core"
local fail = require "moonlit.fail"
local files = require "moonlit.run.files"
local guard = require "moonlit.run.guard"
local harness = require "moonlit.run.harness"
local json = require "moonlit.json"
local options = require "moonlit.options"
local progress = require "moonlit.run.progress"
local record = require "moonlit.run.record"
local speed = require "moonlit.run.speed"
local tensorboard = require "moonlit.run.tensorboard"
local tracked = require "moonlit.run.tracked"
local must = files.must

local Run = setmetatable({}, { __index = record.methods })
Run.__index = Run
Run.__name = "moonlit.Run"

local STOPPED = 75                                   -- "checkpointed, start me again"
-- cut back by a resume
local LOGS = { "metrics.jsonl", "hashes.log", "samples.jsonl", tensorboard.name }

-- ---- the directory ----

local function open_logs(self)
  self.logs = {}
  for _, name in ipairs(LOGS) do
    self.logs[name] = must(io.open(self.dir .. "/" .. name, "ab"))
  end
  local events = self.logs[tensorboard.name]
  if events:seek("end") == 0 then events:write(tensorboard.header(os.time())) end
end

local function close_logs(self)
  for _, name in ipairs(LOGS) do self.logs[name]:close() end
end

local defaults = { steps = options.required, seed = 0, save_every = 0, keep = 2, keep_every = 0,
                   keep_best = 0, best = "loss", higher = false, hash_every = 0 }
local counts = { "steps", "seed", "save_every", "keep", "keep_every", "keep_best", "hash_every" }

--- @param path string  the default directory; --out replaces it
--- @param opt {steps: integer, seed: integer?, save_every: integer?, keep: integer?,
---        keep_every: integer?, keep_best: integer?, best: string?, higher: boolean?,
---        hash_every: integer?}
---        save_every: steps between checkpoints, 0: only the last; keep: how many of the newest are
---        kept, 0: all; keep_every: those of every so many steps are kept too; keep_best: so many
---        with the lowest (higher = true: highest) value of what run:log calls `best` as well;
---        hash_every: steps between hashes of the weights in hashes.log, which checkpoints have
---        anyway
local function new(path, opt)
  if type(path) ~= "string" then error("run: path must be a string, got " .. type(path), 3) end
  local o = options(opt, defaults, "run", 4)
  for _, name in ipairs(counts) do record.whole(o, name, 0, "run", 3) end
  local self = setmetatable({ total = o.steps, seed = o.seed, keep = o.keep, keeps = o,
                              save_every = o.save_every, hash_every = o.hash_every, step = 0,
                              saved = -1, tokens = 0, seconds = 0, tracked = {} }, Run)
  record.open(self, path, { kind = "run", steps = o.steps, seed = o.seed })
  files.mkdir(self.dir .. "/ckpt")
  files.clean(self.dir .. "/ckpt")
  core.sys.seed(o.seed)
  math.randomseed(o.seed, 0)
  return self
end

-- ---- what is tracked ----

-- back to the last checkpoint, the logs with it: no line twice
local function resume(self)
  local state = checkpoint.load(self.dir, self.tracked, self.keeps)
  for _, name in ipairs(harness.stop_at and {} or LOGS) do -- a replay begins logs of its own
    files.truncate(self.dir .. "/" .. name, state and state.sizes[name] or 0)
  end
  if not state then return end
  self.step, self.saved = state.step, state.step
  self.tokens, self.seconds = state.tokens, state.seconds
  self.metric = state.metric
end

--- What checkpoints hold and resume restores. Called once, before the loop.
--- @param things table  model, and opt, data and tok, which have a part in the run; and whatever
---   else has state() and load_state(state), by any name: a critic, its optimiser, a controller
function Run:track(things)
  if self.logs then error("run:track: called twice", 2) end
  tracked.check(things)
  self.tracked = things
  for _, name in ipairs(options.keys(things)) do
    if things[name].reseed then things[name]:reseed(self.seed) end
  end
  if self.resumed then resume(self) end
  open_logs(self)
  record.note(self, "%s at step %d of %d", self.resumed and "resumed" or "started", self.step,
              self.total)
  if self.resumed and self.step > 0 and not harness.quiet then
    io.stdout:write(("resumed from step %d: %s/ckpt/step-%d verifies\n"):format(self.step, self.dir,
                                                                             self.step))
  end
  return self
end

--- What to do about a loss or a gradient norm that is not finite: see moonlit.run.guard. Without
--- it such a step stops the run.
--- @param opt {policy: string?, most: integer?, batches: integer?}
function Run:guard(opt)
  if not self.logs then error("run:guard: call run:track first", 2) end
  if self.watch then error("run:guard: called twice, or inside the loop", 2) end
  self.watch = guard.new(self, opt)
  return self
end

-- the checkpoint that is being written is on the disk after this, or the run ends
local function settle(self)
  local p = self.pending
  if not p then return end
  self.pending = nil
  checkpoint.settle(p)
  self.saved = p.state.step
  record.note(self, "checkpoint at step %d: training stood for %.0f ms, on the disk after %.2f s",
              self.saved, p.pause * 1e3, core.sys.clock() - p.begun)
end

--- The step of the last checkpoint, 0 for none; waits for one that is being written.
function Run:settled()
  settle(self)
  return math.max(0, self.saved)
end

--- Back to the last checkpoint, inside the loop.
function Run:rewind()
  settle(self)
  close_logs(self)
  resume(self)
  open_logs(self)
  self.started, self.session_tokens = core.sys.clock(), 0
end

-- ---- the loop ----

local function hash_weights(self, logged)
  local parameters = self.tracked.model.parameters
  local weights = parameters and ckpt.hash(parameters(self.tracked.model))
  if weights and logged then
    must(self.logs["hashes.log"]:write(("%d weights %s\n"):format(self.step, weights)))
  end
  return weights
end

-- what a retirement and a manifest need to know
local function how_to_keep(self, weights)
  local k = self.keeps
  return { keep = self.keep, keep_every = k.keep_every, keep_best = k.keep_best, higher = k.higher,
           damaged = k.damaged, weights = weights, metric = self.metric, last = self.saved,
           logs = LOGS }
end

-- scheduled: a step that is saved in every run of these knobs, however often it is stopped; the
-- logs of two runs must not differ by the others. It is written while training goes on.
local function save(self, scheduled)
  settle(self) -- never two at once
  local begun = core.sys.clock()
  local weights = hash_weights(self, scheduled)
  local sizes = {}
  for _, name in ipairs(LOGS) do
    must(self.logs[name]:flush())
    sizes[name] = self.logs[name]:seek("end")
  end
  self.pending = checkpoint.begin(self.dir, self.tracked, {
    step = self.step, seed = self.seed, sizes = sizes, tokens = self.tokens,
    seconds = self.seconds + begun - self.started, metric = self.metric,
    moonlit = self.info.moonlit, numerics = self.info.numerics,
  }, how_to_keep(self, weights))
  self.pending.begun, self.pending.pause = begun, core.sys.clock() - begun
end

-- SIGINT or SIGTERM came: leave everything so that --resume goes on from here
local function stop(self)
  settle(self)
  if self.saved ~= self.step then save(self) end
  settle(self)
  self.info.status = "stopped"
  record.write_info(self)
  record.note(self, "stopped by a signal at step %d", self.step)
  self.progress:close()
  io.stderr:write(("stopped at step %d; the same command with --out %s --resume goes on\n")
    :format(self.step, self.dir))
  close_logs(self)
  record.close(self)
  os.exit(STOPPED, true)
end

-- after the first step: a model that made room for it gave back what was kept free before
local function rehearse(self)
  local dir = self.dir .. "/ckpt"
  tracked.rehearse(ckpt.begin(dir .. "/rehearsal"), dir, self.tracked)
  self.rehearsed = true
end

-- the body of the loop is through with a step
local function end_step(self)
  self.step, self.current = self.current, nil
  local data = self.tracked.data
  if data and data.tokens then
    self.tokens = self.tokens + data:tokens()
    self.session_tokens = self.session_tokens + data:tokens()
  end
  local due = self.save_every > 0 and self.step % self.save_every == 0
  if due or self.step == self.total then save(self, true)
  elseif self.hash_every > 0 and self.step % self.hash_every == 0 then hash_weights(self, true) end
  if self.step < self.total and self.save_every > 0 and not (due or self.rehearsed) then
    rehearse(self)
  end
end

-- a replay is through
local function leave(self)
  settle(self)
  if self.saved ~= self.step then save(self) end
  settle(self)
  close_logs(self)
  record.close(self)
  os.exit(0, true)
end

local function next_step(self)
  local what = self.current and self.watch:done()
  if what == "back" then self.current = nil end
  if self.current and not what then end_step(self) end
  if core.sys.signal() and not self.current then stop(self) end
  if self.pending and not checkpoint.busy(self.pending) then settle(self) end
  if harness.stop_at and self.step >= harness.stop_at then leave(self) end
  if self.step >= self.total then
    settle(self) -- a signal until then is one of the loop
    if core.sys.signal() then stop(self) end
    return nil
  end
  self.current = self.step + 1
  self.watch:begin()
  core.sys.rekey(self.seed, self.current) -- random numbers depend on (seed, step) alone
  math.randomseed(self.seed, self.current)
  return self.current
end

--- Iterate over the steps that are left. Random numbers (ml.rand*, dropout, math.random) start
--- anew each step from (seed, step).
function Run:steps()
  if not self.logs then error("run:steps: call run:track first", 2) end
  self.watch = self.watch or guard.new(self)
  if harness.scratch then
    self.started, self.session_tokens, self.progress = core.sys.clock(), 0, progress.new(1, 0, true)
    return check.steps(self, rehearse)
  end
  if not harness.stop_at then check.start(self) end
  self.started, self.session_tokens = core.sys.clock(), 0
  self.progress = progress.new(self.total, self.step, harness.quiet,
                               not harness.quiet and speed.seconds_per_token(self.tracked) or nil)
  core.sys.signals(true)
  local closer = setmetatable({}, { __close = function()
    core.sys.signals(false)
    self.progress:close()
  end })
  return next_step, self, nil, closer
end

local function hex32(v) return (string.pack(">f", v):gsub(".", function(c)
  return ("%02x"):format(c:byte())
end)) end

--- Record numbers of the running step: metrics.jsonl, hashes.log (bits of the loss and of the
--- gradient's norm), progress.
--- @param values table<string, number|Tensor>  loss, lr, norm (gradient norm) have a place on the
---        progress line; a tensor of one element counts as its number
function Run:log(values)
  if not self.progress then error("run:log: nothing runs yet; call it inside run:steps()", 2) end
  local step, guarded = self.current or self.step, self.watch:logged()
  if guarded == false then return end -- the step is run once more, or undone
  local line = { step = step }
  for name, v in pairs(guarded or {}) do line[name] = v end
  for _, name in ipairs(options.keys(values)) do
    local v = values[name]
    if type(v) == "userdata" then v = v:item() end
    local finite = type(v) ~= "number" or v - v == 0
    if guarded and not finite then v = nil end
    if not finite and not guarded then
      self.progress:close()
      fail("run: %s is %s at step %d; the last checkpoint is of step %d", name, v, step,
           self:settled())
    end
    line[name] = v
  end
  self.metric = line[self.keeps.best] or self.metric
  line.seconds = self.seconds + math.floor((core.sys.clock() - self.started) * 1e3) / 1e3
  must(self.logs["metrics.jsonl"]:write(json.encode(line), "\n"))
  must(self.logs[tensorboard.name]:write(tensorboard.scalars(os.time(), step, line)))
  if line.loss then
    local norm = line.norm and hex32(line.norm) or "-"
    must(self.logs["hashes.log"]:write(("%d %s %s\n"):format(step, hex32(line.loss), norm)))
  end
  self.progress:update(step, line, self.session_tokens)
end

--- Show and keep a sample of what the model writes.
function Run:sample(text)
  local step = self.current or self.step
  if self.watch and self.watch.again then return end -- it comes once more
  if not utf8.len(text) then text = text:gsub("[\x80-\xff]", "?") end
  must(self.logs["samples.jsonl"]:write(json.encode { step = step, text = text }, "\n"))
  self:say(("--- step %d ---\n%s\n---"):format(step, text))
end

-- the speed of this process, once it ran long enough to say
local function tell_speed(self)
  local elapsed = self.started and core.sys.clock() - self.started or 0
  if elapsed < 1 or self.session_tokens == 0 then return end
  local rate, cost = self.session_tokens / elapsed, speed.seconds_per_token(self.tracked)
  self.info.tokens_per_second, self.info.peak_share = rate, cost and rate * cost
end

--- End the run: its last lines are printed, and kept for whoever resumes it again.
function Run:finish(...)
  if harness.scratch then fail("run:finish comes before the loop is through") end
  if self.current then -- the loop was left with break
    if not self.watch:done() then end_step(self) end
    self.current = nil
  end
  settle(self)
  if self.saved ~= self.step then
    core.sys.signals(true) -- what is begun is finished
    save(self, true)
    settle(self)
    core.sys.signals(false)
  end
  self.info.step, self.info.tokens = self.step, self.tokens
  self.info.seconds = self.seconds + (self.started and core.sys.clock() - self.started or 0)
  tell_speed(self)
  close_logs(self)
  record.finish(self, { ... })
end

-- what is loaded when it is first used
local parts = { pipeline = "moonlit.run.pipeline", task = "moonlit.run.task",
                report = "moonlit.run.report" }

return setmetatable({ Run = Run }, {
  __call = function(_, path, opt) return (new(path, opt)) end,
  __index = function(t, name)
    if not parts[name] then
      error("run has no " .. options.unknown(name, options.keys(parts)), 2)
    end
    t[name] = require(parts[name])
    return t[name]
  end,
})
