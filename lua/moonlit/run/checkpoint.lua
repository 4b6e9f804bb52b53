--- Checkpoints of a run: RUN/ckpt/step-N, complete or not there at all. What they hold is copied,
--- then written in the background into a directory beside, read back, checked off in manifest.json,
--- and renamed; `latest` names it afterwards (csrc/ckpt/save.c).
local ckpt = require "moonlit.ckpt"
local fail = require "moonlit.fail"
local files = require "moonlit.run.files"
local json = require "moonlit.json"
local manifest = require "moonlit.ckpt.manifest"
local options = require "moonlit.options"
local retire = require "moonlit.run.retire"
local tracked_things = require "moonlit.run.tracked"
local must = files.must

local checkpoint = {}

local function step_dir(dir, step) return ("%s/ckpt/step-%d"):format(dir, step) end

--- Steps that have a checkpoint, ascending.
function checkpoint.steps(dir)
  local steps = {}
  for _, name in ipairs(files.entries(dir .. "/ckpt")) do
    local n = name:match("^step%-(%d+)$")
    if n then steps[#steps + 1] = math.tointeger(tonumber(n)) end
  end
  table.sort(steps)
  return steps
end

--- What is wrong with a checkpoint's directory, or nil; and its manifest.
checkpoint.fault = manifest.fault

-- a sum is finite only where everything is; the first weight of a model that is not, by name
local function not_finite(model)
  for _, p in ipairs(model.parameters and model:parameters() or {}) do
    local sum = p.tensor:detach():sum():item()
    if sum - sum ~= 0 and (p.tensor:detach() * 0):isnan():any():item() then return p.name end
  end
end

-- of everything that is tracked: a critic or an average is a model too
local function first_not_finite(tracked)
  local bad = not_finite(tracked.model)
  if bad then return bad end
  for _, name in ipairs(options.keys(tracked)) do
    bad = not_finite(tracked[name])
    if bad then return name .. ": " .. bad end
  end
end

-- bytes of the newest checkpoint there is: the next one is as large
local function size_of_last(dir)
  local steps, sum = checkpoint.steps(dir), 0
  if #steps == 0 then return nil end
  local last = step_dir(dir, steps[#steps])
  for _, name in ipairs(files.entries(last)) do sum = sum + files.size(last .. "/" .. name) end
  return sum
end

local function cannot_save(dir, state, last, err)
  local size = size_of_last(dir)
  local room = size and ("%.1f MB"):format(size / 1e6) or "some"
  local from = last > 0 and "step " .. last or "the start"
  fail("run: step %d is not saved: %s\nmake room (%s a checkpoint) where %s is, then the same "
       .. "command with --out %s --resume goes on from %s", state.step, err, room, dir, dir, from)
end

-- everything into a save that can be started; true where it holds copies and need not be waited for
local function fill(p, tracked, state)
  local copied, err = tracked_things.save(p.save, p.dir .. "/ckpt", p.tmp, tracked, state)
  if copied == nil then return nil, err end
  p.save:text("state.json", json.encode(state, { pretty = true }) .. "\n")
  for _, log in ipairs(p.how.logs or {}) do p.save:log(p.dir .. "/" .. log) end
  return copied
end

--- Copy what is tracked and begin to write it, while the caller goes on.
--- @param dir string     the run's directory
--- @param tracked table  what run:track was given
--- @param state table    what else goes into state.json; state.step names it
--- @param how {keep: integer, weights: string?, last: integer, logs: string[]?, wait: boolean?}
---        keep, keep_every, keep_best, higher: see moonlit.run.retire; weights: their hash, metric:
---        a number, for the manifest; last: the step of the newest one, below 1: none; logs: files
---        of the run that must be on the disk with it; wait: it is written on return
--- @return table  for checkpoint.busy and checkpoint.settle
function checkpoint.begin(dir, tracked, state, how)
  local bad = first_not_finite(tracked)
  if bad then
    fail("run: %s is not finite after step %d, which is not saved; the last checkpoint is of "
         .. "step %d", bad, state.step, math.max(0, how.last))
  end
  local final = step_dir(dir, state.step)
  local p = { dir = dir, state = state, how = how, tmp = final .. ".tmp",
              save = ckpt.begin(final) }
  files.remove(p.tmp)
  if files.exists(final) then files.remove(final) end -- a resume found it damaged
  local copied, err = fill(p, tracked, state)
  if copied == nil then
    files.remove(p.tmp)
    cannot_save(dir, state, how.last, err)
  end
  p.save:start(json.encode { step = state.step, weights = how.weights, metric = how.metric,
                             moonlit = state.moonlit, numerics = state.numerics,
                             parent = how.last > 0 and how.last or nil,
                             recipe = ckpt.hash_file(dir .. "/recipe.lua") },
               copied and not how.wait)
  return p
end

--- Is it still being written?
function checkpoint.busy(p) return p.save:busy() end

--- Wait until it is on the disk; only then do older ones go. Where it could not be written, the
--- process ends with what to do; those there were stay as they are.
function checkpoint.settle(p)
  local ok, err = p.save:wait()
  if not ok then
    files.remove(p.tmp)
    cannot_save(p.dir, p.state, p.how.last, err)
  end
  retire(p.dir, checkpoint.steps(p.dir), p.state.step, p.how)
end

--- Write one, and wait for it.
function checkpoint.save(dir, tracked, state, how)
  checkpoint.settle(checkpoint.begin(dir, tracked, state, how))
end

-- `latest` is written after the rename: a process that was killed between the two left it behind,
-- and whoever takes this run as input would read older weights
local function point_latest(dir, step)
  local path, line = dir .. "/ckpt/latest", ("step-%d\n"):format(step)
  if files.read(path) ~= line then must(ckpt.write(path, line)) end
end

local function restore(from, tracked)
  local state = must(json.load(from .. "/state.json"))
  tracked_things.load(from, tracked, state)
  return state
end

--- Restore the newest checkpoint that is whole, and say where that is not the newest there is.
--- @param how table  as for checkpoint.begin: a process that was killed may have left one too many
--- @return table|nil its state.json; nil where there is no checkpoint
function checkpoint.load(dir, tracked, how)
  local steps = checkpoint.steps(dir)
  if #steps == 0 then return nil end
  local damaged = {}
  for i = #steps, 1, -1 do
    local from = step_dir(dir, steps[i])
    local wrong = checkpoint.fault(from)
    damaged[steps[i]] = wrong and true
    if not wrong then
      if i < #steps then io.stderr:write(("run: %s is used instead\n"):format(from)) end
      point_latest(dir, steps[i])
      if i == #steps then retire(dir, steps, steps[i], how) end
      how.damaged = damaged -- until the next one is on the disk
      return restore(from, tracked)
    end
    io.stderr:write(("run: %s cannot be used: %s\n"):format(from, wrong))
  end
  fail("run: no checkpoint of %s is whole; start again with another --out", dir)
end

return checkpoint
