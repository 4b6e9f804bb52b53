--- Which checkpoints go when a new one is on the disk. Kept are the newest `keep`, those of every
--- `keep_every`-th step, and the `keep_best` with the best value of a metric. The one just written
--- (and read back) always stays; those that a resume found damaged never do.
local files = require "moonlit.run.files"
local manifest = require "moonlit.ckpt.manifest"

local function path_of(dir, step) return ("%s/ckpt/step-%d"):format(dir, step) end

-- steps of the best values, the best first; of two that are equal the older
local function best(dir, steps, how)
  local list = {}
  for _, step in ipairs(steps) do
    local m = manifest.read(path_of(dir, step))
    local value = m and m.metric
    if value then list[#list + 1] = { step = step, value = how.higher and -value or value } end
  end
  table.sort(list, function(a, b)
    return a.value < b.value or a.value == b.value and a.step < b.step
  end)
  return table.move(list, 1, math.min(how.keep_best, #list), 1, {})
end

local function without_damaged(dir, steps, new, damaged)
  local list = {}
  for _, step in ipairs(steps) do
    if damaged[step] and step ~= new then files.remove(path_of(dir, step))
    else list[#list + 1] = step end
    damaged[step] = nil
  end
  return list
end

--- @param dir string       the run's directory
--- @param steps integer[]  that have a checkpoint, ascending
--- @param step integer     the new one
--- @param how {keep: integer, keep_every: integer?, keep_best: integer?, higher: boolean?,
---        damaged: table<integer, boolean>?}  keep: 0 is all
return function(dir, steps, step, how)
  steps = without_damaged(dir, steps, step, how.damaged or {})
  if how.keep == 0 then return end
  local stays = { [step] = true }
  for _, s in ipairs(steps) do
    if how.keep_every and how.keep_every > 0 and s % how.keep_every == 0 then stays[s] = true end
  end
  if how.keep_best and how.keep_best > 0 then
    for _, b in ipairs(best(dir, steps, how)) do stays[b.step] = true end
  end
  for i = math.max(1, #steps - how.keep + 1), #steps do stays[steps[i]] = true end
  for _, s in ipairs(steps) do
    if not stays[s] then files.remove(path_of(dir, s)) end
  end
end
