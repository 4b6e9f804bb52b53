--- Checkpoints of a run: RUN/ckpt/step-N, complete or not there at all. Everything is written into
--- a directory beside, checked off in manifest.json, and renamed; `latest` names it afterwards.
local ckpt = require "moonlit.ckpt"
local fail = require "moonlit.run.fail"
local files = require "moonlit.run.files"
local json = require "moonlit.json"
local options = require "moonlit.options"
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

--- Remove what a process that was killed left half written.
function checkpoint.clean(dir)
  for _, name in ipairs(files.entries(dir .. "/ckpt")) do
    if name:find("%.tmp$") then files.remove(dir .. "/ckpt/" .. name) end
  end
end

-- size and SHA-256 of every file, written last
local function write_manifest(dir, state, weights)
  local list = {}
  for _, name in ipairs(files.entries(dir)) do
    local hash, size = ckpt.hash_file(dir .. "/" .. name)
    if not hash then return nil, size end
    list[name] = { sha256 = hash, bytes = size }
  end
  return json.save(dir .. "/manifest.json", { files = list, weights = weights, step = state.step,
                                              moonlit = state.moonlit, numerics = state.numerics })
end

--- What is wrong with a checkpoint's directory, or nil; and its manifest.
function checkpoint.fault(dir)
  local manifest, err = json.load(dir .. "/manifest.json")
  if not manifest then return err end
  for _, name in ipairs({ "model.safetensors", "state.json" }) do
    if not (type(manifest.files) == "table" and manifest.files[name]) then
      return name .. " is not in its manifest", manifest
    end
  end
  for _, name in ipairs(options.keys(manifest.files)) do
    local hash, size = ckpt.hash_file(dir .. "/" .. name)
    if not hash then return size, manifest end
    if hash ~= manifest.files[name].sha256 then
      return name .. " is not what was written", manifest
    end
  end
  return nil, manifest
end

-- a sum is finite only where everything is; the first weight that is not by name
local function first_not_finite(model)
  for _, p in ipairs(model.parameters and model:parameters() or {}) do
    local sum = p.tensor:detach():sum():item()
    if sum - sum ~= 0 and (p.tensor:detach() * 0):isnan():any():item() then return p.name end
  end
end

local function write(dir, tracked, state, weights)
  local ok, err = tracked_things.save(dir, tracked, state)
  if ok then ok, err = json.save(dir .. "/state.json", state) end
  if ok then ok, err = write_manifest(dir, state, weights) end
  return ok, err
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

-- only now that the new one is on the disk: first those a resume fell back from, then the oldest
local function retire(dir, step, keep)
  local steps, order = checkpoint.steps(dir), {}
  for i = #steps, 1, -1 do if steps[i] > step then order[#order + 1] = steps[i] end end
  for _, s in ipairs(steps) do if s < step then order[#order + 1] = s end end
  for i = 1, #steps - keep do files.remove(step_dir(dir, order[i])) end
end

--- Write one. On a full disk the process ends with what to do; those there were stay as they are.
--- @param dir string     the run's directory
--- @param tracked table  what run:track was given
--- @param state table    what else goes into state.json; state.step names it
--- @param how {keep: integer, weights: string?, last: integer}  keep: how many, 0 is all; weights:
---        their hash, for the manifest; last: the step of the newest one, below 1: none
function checkpoint.save(dir, tracked, state, how)
  local bad = first_not_finite(tracked.model)
  if bad then
    fail("run: %s is not finite after step %d, which is not saved; the last checkpoint is of "
         .. "step %d", bad, state.step, math.max(0, how.last))
  end
  local final = step_dir(dir, state.step)
  local tmp = final .. ".tmp"
  files.remove(tmp)
  files.mkdir(tmp)
  local ok, err = write(tmp, tracked, state, how.weights)
  if not ok then
    files.remove(tmp)
    cannot_save(dir, state, how.last, err)
  end
  if files.exists(final) then files.remove(final) end -- a resume found it damaged
  must(ckpt.publish(tmp, final))
  must(ckpt.write(dir .. "/ckpt/latest", ("step-%d\n"):format(state.step)))
  if how.keep > 0 then retire(dir, state.step, how.keep) end
end

local function restore(from, tracked)
  local state = must(json.load(from .. "/state.json"))
  tracked_things.load(from, tracked, state)
  return state
end

--- Restore the newest checkpoint that is whole.
--- @return table|nil its state.json; nil where there is no checkpoint
function checkpoint.load(dir, tracked)
  local steps = checkpoint.steps(dir)
  if #steps == 0 then return nil end
  for i = #steps, 1, -1 do
    local from = step_dir(dir, steps[i])
    local wrong = checkpoint.fault(from)
    if not wrong then return restore(from, tracked) end
    io.stderr:write(("run: %s cannot be used: %s\n"):format(from, wrong))
  end
  fail("run: no checkpoint of %s is whole; start again with another --out", dir)
end

return checkpoint
