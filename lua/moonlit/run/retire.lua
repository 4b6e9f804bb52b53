--- Which checkpoints go when a new one is on the disk. Kept are the newest `keep`, those of every
--- `keep_every`-th step, and the `keep_best` with the best value of a metric. The one just written
--- (and read back) always stays.
local files = require "moonlit.run.files"
local manifest = require "moonlit.ckpt.manifest"

-- steps of the best values, the best first; of two that are equal the older
local function best(dir, steps, how)
  local list = {}
  for _, step in ipairs(steps) do
    local m = manifest.read(("%s/ckpt/step-%d"):format(dir, step))
    local value = m and m.metric
    if value then list[#list + 1] = { step = step, value = how.higher and -value or value } end
  end
  table.sort(list, function(a, b)
    return a.value < b.value or a.value == b.value and a.step < b.step
  end)
  return table.move(list, 1, math.min(how.keep_best, #list), 1, {})
end

--- @param dir string       the run's directory
--- @param steps integer[]  that have a checkpoint, ascending
--- @param step integer     the new one
--- @param how {keep: integer, keep_every: integer?, keep_best: integer?, higher: boolean?}  keep:
---        0 is all
return function(dir, steps, step, how)
  if how.keep == 0 then return end
  local stays = { [step] = true }
  for i = #steps, 1, -1 do -- a resume fell back from later ones: they are damaged
    if steps[i] <= step and how.keep_every and how.keep_every > 0
       and steps[i] % how.keep_every == 0 then
      stays[steps[i]] = true
    end
  end
  if how.keep_best and how.keep_best > 0 then
    for _, b in ipairs(best(dir, steps, how)) do stays[b.step] = true end
  end
  local left = how.keep
  for i = #steps, 1, -1 do
    if left > 0 and steps[i] <= step then
      stays[steps[i]] = true
      left = left - 1
    end
  end
  -- later ones fill up what is left: the next checkpoints take their places
  for i = 1, #steps do
    if left > 0 and steps[i] > step then
      stays[steps[i]] = true
      left = left - 1
    end
  end
  for _, s in ipairs(steps) do
    if not stays[s] then files.remove(("%s/ckpt/step-%d"):format(dir, s)) end
  end
end
