--- A run: a directory that says what happened, progress, checkpoints, exact resume. The loop stays
--- the user's.
---
---   local run = ml.run("runs/mine", { steps = 2000, seed = 1, save_every = 200 })
---   run:track { model = model, opt = opt, data = data }
---   for step in run:steps() do ... run:log { loss = loss } end
---   run:finish("validation loss 1.9")
---
--- Ctrl-C or SIGTERM: a checkpoint after the running step, exit code 75; a second one stops now.
local ckpt = require "moonlit.ckpt"
local checkpoint = require "moonlit.run.checkpoint"
local core = require "moonlit.core"
local fail = require "moonlit.run.fail"
local files = require "moonlit.run.files"
local harness = require "moonlit.run.harness"
local json = require "moonlit.json"
local options = require "moonlit.options"
local progress = require "moonlit.run.progress"
local version = require "moonlit.version"
local must = files.must

local Run = {}
Run.__index = Run
Run.__name = "moonlit.Run"

local STOPPED = 75                                   -- "checkpointed, start me again"
local LOGS = { "metrics.jsonl", "hashes.log", "samples.jsonl" } -- cut back by a resume

-- ---- the directory ----

local function write_info(self)
  must(json.save(self.dir .. "/run.json", self.info))
end

-- the recipe being run, if there is one
local function recipe_source()
  local path = _G.arg and _G.arg[0]
  return type(path) == "string" and path:find("%.lua$") and files.read(path) or nil
end

local function describe(o)
  local blas = package.loaded["moonlit.blas"] -- results of another engine are its own
  return { engine = blas and blas.engine() or "moonlit",
           status = "running", steps = o.steps, seed = o.seed, moonlit = version.moonlit,
           numerics = version.numerics, isa = core.sys.isa(), threads = core.sys.threads(),
           cpu = core.sys.cpu().name, started = os.date("!%Y-%m-%dT%H:%M:%SZ"),
           last = json.array {} }
end

-- a resumed run must be the same run: only `steps` may change
local function check_config(dir)
  local before = must(json.load(dir .. "/config.json"))
  for _, path in ipairs(options.keys(harness.config)) do
    local old, new = before[path], harness.config[path]
    old = json.encode(old == nil and json.null or old)
    new = json.encode(new)
    if path ~= "steps" and old ~= new then
      fail("run: %s was %s in %s and is %s now; resume with the same knobs, or start another run",
           path, old, dir, new)
    end
  end
end

local function open_logs(self)
  self.logs = {}
  for _, name in ipairs(LOGS) do
    self.logs[name] = must(io.open(self.dir .. "/" .. name, "ab"))
  end
  self.text_log = must(io.open(self.dir .. "/log.txt", "ab"))
end

local function close_logs(self)
  for _, name in ipairs(LOGS) do self.logs[name]:close() end
  self.text_log:close()
  self.lock:close()
end

local function note(self, format, ...)
  self.text_log:write(os.date("!%Y-%m-%dT%H:%M:%SZ "), format:format(...), "\n")
  self.text_log:flush()
end

-- a finished run, asked for once more, only says what it said at its end
local function repeat_last(info)
  for _, line in ipairs(info.last) do print(line) end
  os.exit(0, true)
end

local function whole(o, name, least)
  if math.type(o[name]) ~= "integer" or o[name] < least then
    error(("run: %s must be an integer, %d or more, got %s"):format(name, least,
                                                                    tostring(o[name])), 4)
  end
end

--- @param path string  the default directory; --out replaces it
--- @param opt {steps: integer, seed: integer?, save_every: integer?, keep: integer?}
---        save_every: steps between checkpoints, 0 = only the last; keep: checkpoints kept, 0 = all
local function new(path, opt)
  if type(path) ~= "string" then error("run: path must be a string, got " .. type(path), 3) end
  local o = options(opt, { steps = options.required, seed = 0, save_every = 0, keep = 2 }, "run", 4)
  whole(o, "steps", 0)
  whole(o, "seed", 0)
  whole(o, "save_every", 0)
  whole(o, "keep", 0)
  local dir = files.choose(path, harness.out, harness.resume)
  local self = setmetatable({ dir = dir, total = o.steps, seed = o.seed, keep = o.keep,
                              save_every = o.save_every, step = 0, saved = -1, tokens = 0,
                              seconds = 0, tracked = {} }, Run)
  local resumed = harness.resume and files.exists(dir .. "/run.json")
  files.mkdir(dir .. "/ckpt")
  self.lock = files.lock(dir)
  self.info = describe(o)
  if resumed then
    local info = must(json.load(dir .. "/run.json"))
    check_config(dir)
    must(json.save(dir .. "/config.json", harness.config))
    if info.status == "finished" and info.steps == o.steps then repeat_last(info) end
    self.info.started, self.resumed = info.started, true
  else
    must(json.save(dir .. "/config.json", harness.config))
    local source = recipe_source()
    if source then must(ckpt.write(dir .. "/recipe.lua", source)) end
  end
  checkpoint.clean(dir)
  write_info(self)
  core.sys.seed(o.seed)
  math.randomseed(o.seed, 0)
  return self
end

-- ---- what is tracked ----

-- back to the last checkpoint, the logs with it: no line twice
local function resume(self)
  local state = checkpoint.load(self.dir, self.tracked)
  for _, name in ipairs(LOGS) do
    files.truncate(self.dir .. "/" .. name, state and state.sizes[name] or 0)
  end
  if not state then return end
  self.step, self.saved = state.step, state.step
  self.tokens, self.seconds = state.tokens, state.seconds
end

--- What checkpoints hold and resume restores. Called once, before the loop.
--- @param things {model: table, opt: table?, data: table?, tok: table?}
function Run:track(things)
  local opt = options.optional
  self.tracked = options(things, { model = options.required, opt = opt, data = opt, tok = opt },
                         "run:track")
  local data = self.tracked.data
  if data and data.reseed then data:reseed(self.seed) end
  if self.resumed then resume(self) end
  open_logs(self)
  note(self, "%s at step %d of %d", self.resumed and "resumed" or "started", self.step, self.total)
  return self
end

-- ---- the loop ----

local function save(self)
  local sizes = {}
  for _, name in ipairs(LOGS) do
    self.logs[name]:flush()
    sizes[name] = self.logs[name]:seek("end")
  end
  checkpoint.save(self.dir, self.tracked, {
    step = self.step, seed = self.seed, sizes = sizes, tokens = self.tokens,
    seconds = self.seconds + core.sys.clock() - self.started,
    moonlit = version.moonlit, numerics = version.numerics,
  }, self.keep)
  self.saved = self.step
  note(self, "checkpoint at step %d", self.step)
end

-- SIGINT or SIGTERM came: leave everything so that --resume goes on from here
local function stop(self)
  if self.saved ~= self.step then save(self) end
  self.info.status = "stopped"
  write_info(self)
  note(self, "stopped by a signal at step %d", self.step)
  self.progress:close()
  io.stderr:write(("stopped at step %d; the same command with --out %s --resume goes on\n")
    :format(self.step, self.dir))
  close_logs(self)
  os.exit(STOPPED, true)
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
  if due or self.step == self.total then save(self) end
end

local function next_step(self)
  if self.current then end_step(self) end
  if core.sys.signal() then stop(self) end
  if self.step >= self.total then return nil end
  self.current = self.step + 1
  core.sys.rekey(self.seed, self.current) -- random numbers depend on (seed, step) alone
  math.randomseed(self.seed, self.current)
  return self.current
end

--- Iterate over the steps that are left. Random numbers (ml.rand*, dropout, math.random) start
--- anew each step from (seed, step).
function Run:steps()
  if not self.logs then error("run:steps: call run:track first", 2) end
  self.started, self.session_tokens = core.sys.clock(), 0
  self.progress = progress.new(self.total, self.step, harness.quiet)
  core.sys.signals(true)
  local guard = setmetatable({}, { __close = function()
    core.sys.signals(false)
    self.progress:close()
  end })
  return next_step, self, nil, guard
end

local function hex32(v) return (string.pack(">f", v):gsub(".", function(c)
  return ("%02x"):format(c:byte())
end)) end

--- Record numbers of the running step: metrics.jsonl, the hash log (bits of the loss), progress.
--- @param values table<string, number|Tensor>  loss, lr, norm (gradient norm) have a place on the
---        progress line; a tensor of one element counts as its number
function Run:log(values)
  if not self.progress then error("run:log: nothing runs yet; call it inside run:steps()", 2) end
  local step = self.current or self.step
  local record = { step = step }
  for _, name in ipairs(options.keys(values)) do
    local v = values[name]
    if type(v) == "userdata" then v = v:item() end
    if type(v) == "number" and (v ~= v or v == math.huge or v == -math.huge) then
      self.progress:close()
      fail("run: %s is %s at step %d; the last checkpoint is of step %d", name, v, step,
           math.max(0, self.saved))
    end
    record[name] = v
  end
  record.seconds = self.seconds + math.floor((core.sys.clock() - self.started) * 1e3) / 1e3
  self.logs["metrics.jsonl"]:write(json.encode(record), "\n")
  if record.loss then
    self.logs["hashes.log"]:write(("%d %s\n"):format(step, hex32(record.loss)))
  end
  self.progress:update(step, record, self.session_tokens)
end

--- Print a line without tearing the progress line.
function Run:say(line)
  if self.progress then self.progress:clear() end
  if not harness.quiet then
    io.stdout:write(line, "\n")
    io.stdout:flush()
  end
  note(self, "%s", line)
end

--- Show and keep a sample of what the model writes.
function Run:sample(text)
  local step = self.current or self.step
  if not utf8.len(text) then text = text:gsub("[\x80-\xff]", "?") end
  self.logs["samples.jsonl"]:write(json.encode { step = step, text = text }, "\n")
  self:say(("--- step %d ---\n%s\n---"):format(step, text))
end

--- End the run: its last lines are printed, and kept for whoever resumes it again.
function Run:finish(...)
  if self.current then end_step(self) end -- the loop was left with break
  if self.saved ~= self.step then save(self) end
  self.info.status, self.info.step = "finished", self.step
  self.info.last = json.array { ... }
  self.info.finished = os.date("!%Y-%m-%dT%H:%M:%SZ")
  write_info(self)
  note(self, "finished at step %d", self.step)
  close_logs(self)
  for _, line in ipairs(self.info.last) do print(line) end
end

return setmetatable({ Run = Run }, { __call = function(_, path, opt) return (new(path, opt)) end })
