--- What a run does about a loss or a gradient norm that is not finite. It is seen before the
--- optimiser touches anything, and the first module to blame is named.
---
---   run:track { model = model, opt = opt, data = data }
---   run:guard { policy = "skip" }          -- or "stop", the default, or "rollback"
---
--- The step is run once more first: other bits than before mean a fault of the machine (or a loop
--- that is not a function of seed and step), and the run stops whatever its policy. Equal bits mean
--- the data or the settings: "stop" ends the run with a message; "skip" leaves weights and moments
--- as they are and goes on, at most `most` steps in a row; "rollback" goes back to the last
--- checkpoint and, from there, leaves out the batches up to this one and `batches` more, at most
--- `most` times from one checkpoint. What was done is a line of metrics.jsonl, and the same in
--- every run of these knobs, however often it is stopped.
---
--- A critic and its optimiser, tracked as critic and critic_opt (or any two such names), are
--- watched alike. A step in which an optimiser has updated something already is not run again, and
--- "skip" does not undo that.
local blame = require "moonlit.run.blame"
local core = require "moonlit.core"
local fail = require "moonlit.fail"
local files = require "moonlit.run.files"
local json = require "moonlit.json"
local options = require "moonlit.options"
local tracked = require "moonlit.run.tracked"

local Guard = {}
Guard.__index = Guard

-- what a model is asked for in a training
local ASKED = { "loss", "logprobs", "kl", "scores" }
local policies = { stop = true, skip = true, rollback = true }
local NAN = 0 / 0

-- ---- watching a step ----

local function finite(v) return v - v == 0 end

-- the sign of a NaN says nothing, and differs between machines
local function shown(v) return (tostring(v):gsub("^%-nan", "nan")) end

-- where loaders, controllers and the like stand: their states are small
local function positions(self)
  local list = {}
  for _, name in ipairs(self.small) do list[name] = self.run.tracked[name]:state() end
  return list
end

--- A step begins.
function Guard:begin()
  self.calls, self.updates, self.wrong = {}, 0, nil
  if not self.suspect then self.before = positions(self) end
end

-- a forward of the model that is learned from: kept, to be run again where it goes wrong
local function note_call(self, model, name, method, batch, ...)
  local seed, step, index = core.sys.rng()
  self.calls[#self.calls + 1] = { model = model, name = name, method = method, batch = batch,
                                  rest = table.pack(...), rng = { seed, step, index },
                                  updates = self.updates }
end

-- the object's own method is shadowed: recipes call model:loss and opt:step as ever
local function watch_model(self, model)
  for _, method in ipairs(ASKED) do
    local plain = model[method]
    model[method] = plain and function(m, batch, ...)
      local learns = self.run.current and core.autograd.enabled() and not self.blaming
      if learns then note_call(self, m, method, plain, batch, ...) end
      local y, n = plain(m, batch, ...)
      if learns and method == "loss" and m == self.run.tracked.model and not finite(y:item()) then
        self.wrong = self.wrong or "the loss is " .. shown(y:item())
      end
      return y, n
    end
  end
end

local function gradients_hash(model)
  local list = {}
  for _, p in ipairs(model:parameters()) do list[#list + 1] = p.tensor:grad() end
  return #list > 0 and core.sys.sha256(list) or ""
end

local function calls_of(self, model)
  local list = {}
  for _, call in ipairs(self.calls) do
    if call.model == model then list[#list + 1] = call end
  end
  return list
end

-- what the calls were given: a second run of the step must have been given the same
local function inputs_hash(self, model)
  local list = {}
  for i, call in ipairs(calls_of(self, model)) do list[i] = call.batch.ids end
  return core.sys.sha256(list)
end

local function machine_fault(self, s)
  fail("run: step %d: %s (%s), but run once more it gave other bits: a fault of memory or "
       .. "processor, or a loop that does not depend on seed and step alone\n"
       .. "nothing was updated; the last checkpoint is of step %d", self.run.current, s.what,
       s.where, self.run:settled())
end

-- the second time: do the bits agree? A step whose inputs differ says nothing.
local function judge(self, model)
  local s = self.suspect
  if s.inputs ~= inputs_hash(self, model) then
    s.verdict = "not run again: its batches differ"
    return
  end
  if s.gradients ~= gradients_hash(model) then machine_fault(self, s) end
  s.verdict = "the same bits when run again"
end

-- can the step be run once more? Only if nothing was updated, and its data can be put back.
local function repeatable(self) return self.updates == 0 and self.before.data ~= nil end

local decide -- below

local function met(self, name, model, opt, what)
  self.blaming = true
  local where = (name == "model" and "" or name .. ": ") .. blame(model, calls_of(self, model))
  self.blaming = false
  self.suspect = { what = what, where = where, opt = opt, gradients = gradients_hash(model),
                   inputs = inputs_hash(self, model) }
  opt:discard()
  if repeatable(self) then self.again = true
  else
    self.suspect.verdict = "not run again"
    decide(self)
  end
  return NAN
end

-- name: of the model in run:track
local function watch_opt(self, name, model, opt)
  local plain = opt.step
  function opt.step(o, given)
    if not self.run.current then return plain(o, given) end
    if self.again then -- the second optimiser step of a body that goes wrong
      o:discard()
      return NAN
    end
    if self.replaying then
      if opt ~= self.suspect.opt then machine_fault(self, self.suspect) end
      self.replaying = false
      judge(self, model)
      o:discard()
      decide(self)
      return NAN
    end
    if self.wrong and name == "model" then return met(self, name, model, o, self.wrong) end
    local fine, norm = pcall(plain, o, given)
    if fine then
      self.updates = self.updates + 1
      return norm
    end
    local value = tostring(norm):match("gradient norm is ([^,;]+)")
    if not value then error(norm, 0) end
    return met(self, name, model, o, "the gradient norm is " .. shown(value))
  end
end

-- ---- what follows ----

local function describe(self)
  local s = self.suspect
  return ("step %d: %s, first in %s (%s)"):format(self.run.current, s.what, s.where, s.verdict)
end

local function stop(self, more)
  fail("run: %s\nnothing was updated; the last checkpoint is of step %d%s", describe(self),
       self.run:settled(), more or "")
end

local function skip(self)
  self.skipped = self.skipped + 1
  if self.skipped > self.most then
    stop(self, ("; %d steps in a row were skipped before it"):format(self.most))
  end
  self.line = { skipped = self.suspect.what, module = self.suspect.where }
  self.run:say("skipped " .. describe(self))
end

local function rollback(self)
  local from = self.run:settled()
  if from < 1 then stop(self, "; there is none to go back to (save_every)") end
  if not self.before.data then stop(self, "; no data is tracked, so no batch can be left out") end
  if self.back.from ~= from then self.back = { from = from, batches = 0, times = 0 } end
  local back = self.back
  back.times = back.times + 1
  if back.times > self.most then
    stop(self, ("; it was gone back to %d times"):format(self.most))
  end
  back.batches = back.batches + self.run.current - from + self.batches
  back.due = { rollback = self.suspect.what, module = self.suspect.where, from = self.run.current,
               left_out = back.batches }
end

function decide(self)
  if self.policy == "stop" then
    stop(self, '\nrun:guard { policy = "skip" } goes on without such a step')
  end
  if self.policy == "skip" then skip(self) else rollback(self) end
end

-- ---- what the run asks ----

--- What run:log adds to a step's line, or nil; false where the line must wait, as the step is run
--- once more or undone.
function Guard:logged()
  if self.again or self.back.due then return false end
  local line = self.line
  self.line = nil
  if line then self.suspect = nil end
  return line
end

-- the checkpoint's weights, then the batches that are left out
local function go_back(self)
  local due = self.back.due
  self.back.due, self.suspect = nil, nil
  self.run:say("going back: " .. ("step %d: %s, first in %s"):format(due.from, due.rollback,
                                                                      due.module))
  self.run:rewind()
  for _ = 1, due.left_out do self.run.tracked.data:next() end
  due.step = self.run.step
  self.run.logs["metrics.jsonl"]:write(json.encode(due), "\n")
end

--- The body is through with its step. "again": run it once more; "back": the run is at an earlier
--- step now; nil: it is done.
function Guard:done()
  if self.again then
    self.again, self.replaying = false, true
    for _, name in ipairs(self.small) do
      self.run.tracked[name]:load_state(self.before[name])
    end
    return "again"
  end
  if self.replaying then machine_fault(self, self.suspect) end -- the body took another way
  if self.back.due then
    go_back(self)
    return "back"
  end
  if self.line then self.run:log {} end -- a body that logs only what went well
  if not self.suspect then self.skipped = 0 end
  self.suspect = nil
end

-- ---- making one ----

-- steps in a row that were skipped before a resume; of a long log the end says it
local function skipped_before(dir)
  local n = 0
  for line in (files.read(dir .. "/metrics.jsonl", 1 << 16) or ""):gmatch("[^\n]+") do
    n = line:find('"skipped":', 1, true) and n + 1 or 0
  end
  return n
end

-- a model and the optimiser that goes with it: model and opt, critic and critic_opt
local function watch(self)
  local things = self.run.tracked
  for _, name in ipairs(options.keys(things)) do
    local thing = things[name]
    if type(thing) == "table" and thing.parameters and thing.tap then
      local optimiser = things[name == "model" and "opt" or name .. "_opt"]
      watch_model(self, thing)
      if optimiser and optimiser.discard then watch_opt(self, name, thing, optimiser) end
    elseif tracked.is_small(name, thing) then
      self.small[#self.small + 1] = name
    end
  end
end

--- @param run Run
--- @param opt? {policy: string?, most: integer?, batches: integer?}
function Guard.new(run, opt)
  local o = options(opt, { policy = "stop", most = 3, batches = 0 }, "run:guard", 4)
  if not policies[o.policy] then
    error(('run:guard: policy must be "stop", "skip" or "rollback", got %s'):format(
      tostring(o.policy)), 3)
  end
  for _, name in ipairs { "most", "batches" } do
    if math.type(o[name]) ~= "integer" or o[name] < 0 then
      error(("run:guard: %s must be an integer, 0 or more, got %s"):format(name,
                                                                           tostring(o[name])), 3)
    end
  end
  local self = setmetatable({ run = run, policy = o.policy, most = o.most, batches = o.batches,
                              calls = {}, updates = 0, back = {}, small = {},
                              skipped = run.resumed and skipped_before(run.dir) or 0 }, Guard)
  watch(self)
  return self
end

return Guard
