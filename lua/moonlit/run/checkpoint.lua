--- Checkpoints of a run: RUN/ckpt/step-N, complete or not there at all. Everything is written into
--- a directory beside, checked off in manifest.json, and renamed; `latest` names it afterwards.
local ckpt = require "moonlit.ckpt"
local fail = require "moonlit.run.fail"
local files = require "moonlit.run.files"
local json = require "moonlit.json"
local options = require "moonlit.options"
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
local function write_manifest(dir)
  local list = {}
  for _, name in ipairs(files.entries(dir)) do
    local hash, size = ckpt.hash_file(dir .. "/" .. name)
    list[name] = { sha256 = must(hash, size), bytes = size }
  end
  must(json.save(dir .. "/manifest.json", { files = list }))
end

-- what is wrong with a checkpoint, or nil
local function fault(dir)
  local manifest, err = json.load(dir .. "/manifest.json")
  if not manifest then return err end
  for _, name in ipairs({ "model.safetensors", "state.json" }) do
    if not (manifest.files and manifest.files[name]) then
      return name .. " is not in its manifest"
    end
  end
  for _, name in ipairs(options.keys(manifest.files)) do
    local hash, size = ckpt.hash_file(dir .. "/" .. name)
    if not hash then return size end
    if hash ~= manifest.files[name].sha256 then return name .. " is not what was written" end
  end
end

--- Write one.
--- @param dir string     the run's directory
--- @param tracked table  { model =, opt =, data =, tok = }
--- @param state table    what else goes into state.json; state.step names it
--- @param keep integer   how many to keep; 0 is all
function checkpoint.save(dir, tracked, state, keep)
  local final = step_dir(dir, state.step)
  local tmp = final .. ".tmp"
  files.remove(tmp)
  files.mkdir(tmp)
  must(ckpt.save_model(tmp, tracked.model, tracked.tok))
  if tracked.opt then must(ckpt.save(tmp .. "/optim.safetensors", tracked.opt:state())) end
  if tracked.data then state.data = tracked.data:state() end
  must(json.save(tmp .. "/state.json", state))
  write_manifest(tmp)
  if files.exists(final) then files.remove(final) end
  must(ckpt.publish(tmp, final))
  must(ckpt.write(dir .. "/ckpt/latest", ("step-%d\n"):format(state.step)))
  if keep > 0 then -- only now that the new one is on the disk
    local steps = checkpoint.steps(dir)
    for i = 1, #steps - keep do files.remove(step_dir(dir, steps[i])) end
  end
end

local function restore(from, tracked)
  local state = must(json.load(from .. "/state.json"))
  tracked.model:load_state(must(ckpt.list(from .. "/model.safetensors")))
  if tracked.opt then
    tracked.opt:load_state(must(ckpt.list(from .. "/optim.safetensors")))
  end
  if tracked.data and state.data then tracked.data:load_state(state.data) end
  return state
end

--- Restore the newest checkpoint that is whole.
--- @return table|nil its state.json; nil where there is no checkpoint
function checkpoint.load(dir, tracked)
  local steps = checkpoint.steps(dir)
  if #steps == 0 then return nil end
  for i = #steps, 1, -1 do
    local from = step_dir(dir, steps[i])
    local wrong = fault(from)
    if not wrong then return restore(from, tracked) end
    io.stderr:write(("run: %s cannot be used: %s\n"):format(from, wrong))
  end
  fail("run: no checkpoint of %s is whole; start again with another --out", dir)
end

return checkpoint
