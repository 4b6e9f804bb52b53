--- What moonlit verify does: checkpoints against their manifests, the logged hash of the weights
--- against the manifest's, a stage's files against stage.json. Reads, never writes or runs.
local checkpoint = require "moonlit.run.checkpoint"
local ckpt = require "moonlit.ckpt"
local fail = require "moonlit.fail"
local files = require "moonlit.run.files"
local json = require "moonlit.json"
local options = require "moonlit.options"
local stage = require "moonlit.run.stage"

local function count(found, list)
  local n, bytes = 0, 0
  for _, f in pairs(list) do n, bytes = n + 1, bytes + f.bytes end
  found.count, found.bytes = found.count + n, found.bytes + bytes
  return n
end

-- step -> hash of the weights, as hashes.log says
local function logged_weights(dir)
  local hashes = {}
  for step, hash in (files.read(dir .. "/hashes.log") or ""):gmatch("(%d+) weights (%x+)\n") do
    hashes[math.tointeger(tonumber(step))] = hash
  end
  return hashes
end

local function check_checkpoint(found, dir, step, logged)
  local where = ("%s/ckpt/step-%d"):format(dir, step)
  local wrong, manifest = checkpoint.fault(where)
  if not wrong and logged and manifest.weights ~= logged then
    wrong = "hashes.log has other weights: " .. logged
  end
  if wrong then found.bad[#found.bad + 1] = where .. ": " .. wrong return end
  found.good[#found.good + 1] = ("%s: %d files, weights %s"):format(where,
    count(found, manifest.files), (manifest.weights or "?"):sub(1, 16))
end

-- `latest` names one of them; the logs reach as far as the newest says
local function check_ends(found, dir, steps)
  local text = files.read(dir .. "/ckpt/latest")
  local latest = (text or ""):match "^step%-(%d+)\n$"
  local killed = not text and (json.load(dir .. "/run.json") or {}).status == "running"
  if killed then latest = steps[#steps] end -- before it could be written; a resume does that
  if not latest or not files.exists(dir .. "/ckpt/step-" .. latest) then
    found.bad[#found.bad + 1] = dir .. "/ckpt/latest: names no checkpoint"
  end
  local state = json.load(("%s/ckpt/step-%d/state.json"):format(dir, steps[#steps]))
  local sizes = state and state.sizes or {}
  for _, name in ipairs(options.keys(sizes)) do
    local bytes = files.size(dir .. "/" .. name)
    if bytes < sizes[name] then
      found.bad[#found.bad + 1] = ("%s/%s: has %d bytes, the newest checkpoint knows of %d"):format(
        dir, name, bytes, sizes[name])
    end
  end
end

local function check_run(found, dir)
  local logged, steps = logged_weights(dir), checkpoint.steps(dir)
  for _, step in ipairs(steps) do check_checkpoint(found, dir, step, logged[step]) end
  if #steps > 0 then check_ends(found, dir, steps) end
end

local function check_stage(found, dir, info)
  local wrong = info.status ~= "finished" and "is not finished" or nil
  local own = {} -- without those of checkpoints, which check_run reads
  for _, name in ipairs(options.keys(info.files or {})) do
    if not name:find("^ckpt/") then
      own[name] = info.files[name]
      if ckpt.hash_file(dir .. "/" .. name) ~= own[name].sha256 then
        wrong = wrong or name .. " is not what was written"
      end
    end
  end
  if not wrong and stage.digest(info.files) ~= info.digest then
    wrong = "stage.json's digest is not of its files"
  end
  if wrong then found.bad[#found.bad + 1] = dir .. ": " .. wrong
  else
    found.good[#found.good + 1] = ("%s: %d files, key %s"):format(dir, count(found, own),
                                                                  info.key:sub(1, 16))
  end
end

local function check_pipeline(found, dir)
  local info = files.must(json.load(dir .. "/pipeline.json"))
  for _, s in ipairs(info.stages) do
    local path = dir .. "/" .. s.dir
    local what = stage.load(path)
    if what then check_stage(found, path, what)
    else found.bad[#found.bad + 1] = path .. ": there is no stage.json" end
    check_run(found, path)
  end
end

--- @param dir string  of a run or a pipeline
--- @return {good: string[], bad: string[], count: integer, bytes: integer}
return function(dir)
  local found = { good = {}, bad = {}, count = 0, bytes = 0 }
  if files.exists(dir .. "/pipeline.json") then
    check_pipeline(found, dir)
  elseif files.exists(dir .. "/run.json") or files.exists(dir .. "/ckpt") then
    local info = stage.load(dir)
    if info then check_stage(found, dir, info) end
    check_run(found, dir)
  else
    fail("%s is not the directory of a run or a pipeline", dir)
  end
  return found
end
