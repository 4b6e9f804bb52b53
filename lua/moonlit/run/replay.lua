--- Steps of a run once more, from one of its checkpoints, with the recipe that its directory holds:
--- is what it logged what these knobs give? hashes.log is compared line by line, and the weights
--- where the run kept a checkpoint.
---
---   replay("runs/mine", { steps = 50 })                  -- the last 50 there is a checkpoint for
---   replay("runs/mine", { segments = 3, seed = 1 })      -- three stretches between checkpoints
---
--- Every stretch is a process of its own (moonlit.run.segment), which writes into a directory that
--- is removed afterwards. A recipe that this user's machine did not write (moonlit.run.origin) runs
--- in a box: it reads the run and the data its knobs name, writes there, and reaches nothing else;
--- memory and time are bounded. Where the box cannot be had it is not run.
local checkpoint = require "moonlit.run.checkpoint"
local core = require "moonlit.core"
local fail = require "moonlit.fail"
local files = require "moonlit.run.files"
local json = require "moonlit.json"
local options = require "moonlit.options"
local origin = require "moonlit.run.origin"
local stage = require "moonlit.run.stage"
local must = files.must

local REFUSED = 69   -- moonlit.run.segment's
local PICK = 5       -- the stream of random numbers that segments are picked with
local ROOM = 64 << 20

-- ---- what the run has ----

-- { step =, text = } of hashes.log, and the last step it has a loss of
local function read_log(dir)
  local list, last = {}, 0
  for line in (files.read(dir .. "/hashes.log") or ""):gmatch "[^\n]+" do
    local step, what = line:match "^(%d+) (%S+)"
    step = math.tointeger(tonumber(step))
    if step then
      list[#list + 1] = { step = step, text = line }
      if what ~= "weights" then last = math.max(last, step) end
    end
  end
  return list, last
end

local function open(dir)
  if files.exists(dir .. "/pipeline.json") then
    fail("verify: %s is a pipeline; replay its stages one by one", dir)
  elseif not files.exists(dir .. "/run.json") then
    fail("verify: %s is not the directory of a run", dir)
  elseif not files.exists(dir .. "/recipe.lua") then
    fail("verify: %s holds no recipe.lua; there is nothing to run", dir)
  end
  local info, config = must(json.load(dir .. "/run.json")), must(json.load(dir .. "/config.json"))
  if info.kind ~= "run" then fail("verify: %s trains nothing; there is nothing to replay", dir) end
  local lines, last = read_log(dir)
  if last == 0 then fail("verify: %s: hashes.log has no step", dir) end
  return { dir = dir, config = config, lines = lines, last = last, own = origin.own(dir) }
end

-- ---- which steps ----

-- checkpoints that are whole, and the start, which needs none
local function starts(run)
  local list = { 0 }
  for _, step in ipairs(checkpoint.steps(run.dir)) do
    local wrong = checkpoint.fault(("%s/ckpt/step-%d"):format(run.dir, step))
    if wrong then fail("verify: %s/ckpt/step-%d: %s", run.dir, step, wrong) end
    if step > 0 then list[#list + 1] = step end
  end
  return list
end

local function last_steps(run, n)
  if n > run.last then fail("verify: %s has %d steps, not %d", run.dir, run.last, n) end
  local from = 0
  for _, step in ipairs(starts(run)) do
    if step + n <= run.last then from = step end
  end
  return { { from = from, to = from + n } }
end

-- k of the stretches between checkpoints, a function of the seed; in their order
local function segments(run, k, seed)
  local list, at = {}, starts(run)
  for i = 2, #at do
    if at[i] <= run.last then list[#list + 1] = { from = at[i - 1], to = at[i] } end
  end
  if #list == 0 then
    fail("verify: %s has no checkpoint; --replay N starts at its step 0", run.dir)
  end
  for i = 1, math.min(k, #list) do
    local j = i + core.sys.random(seed, PICK, i, 0, 0) % (#list - i + 1)
    list[i], list[j] = list[j], list[i]
  end
  list = table.move(list, 1, math.min(k, #list), 1, {})
  table.sort(list, function(a, b) return a.from < b.from end)
  return list
end

-- ---- the box ----

local function under(path, dir) return path == dir or path:sub(1, #dir + 1) == dir .. "/" end

-- nothing of the system, no hidden file, no home directory as a whole, and not the key
local closed = { "/proc", "/sys", "/dev", "/etc", "/run", "/boot", "/var" }
local function may_be_read(path)
  if path == "/" or path:find "/%." then return false end
  for _, dir in ipairs(closed) do if under(path, dir) then return false end end
  for _, own in ipairs { os.getenv "HOME" or "/", origin.place() or "/" } do
    own = core.sys.realpath(own) or own
    if under(own, path) then return false end
  end
  return true
end

-- the files and directories that knobs name
local function named(config)
  local list, seen = {}, {}
  local function look(v)
    if type(v) == "table" then
      for _, name in ipairs(options.keys(v)) do look(v[name]) end
    elseif type(v) == "string" and v ~= "" then
      local path = core.sys.realpath(v)
      if path and not seen[path] and may_be_read(path) then list[#list + 1] = path end
      if path then seen[path] = true end
    end
  end
  look(config)
  table.sort(list)
  return list
end

local function largest_file(dir)
  local most = 0
  for _, step in ipairs(checkpoint.steps(dir)) do
    local from = ("%s/ckpt/step-%d"):format(dir, step)
    for _, name in ipairs(files.entries(from)) do
      most = math.max(most, files.size(from .. "/" .. name))
    end
  end
  return most
end

local function box_of(run, place, opt)
  local own = must(package.searchpath("moonlit", package.path)):match "^(.*)/[^/]*$"
  local list = named(run.config)
  table.insert(list, 1, must(core.sys.realpath(run.dir)))
  local read = table.move(list, 1, #list, 1, {})
  read[#read + 1] = must(core.sys.realpath(own))
  return { read = json.array(read), write = place .. "/run", output = place .. "/output",
           memory = opt.memory, seconds = opt.seconds * core.sys.threads(),
           file = 2 * largest_file(run.dir) + ROOM }, list
end

-- ---- one stretch ----

local function copy(from, to)
  local source = must(io.open(from, "rb"))
  local target = must(io.open(to, "wb"))
  for block in function() return source:read(1 << 20) end do must(target:write(block)) end
  source:close()
  must(target:close())
end

-- a run's directory that stands where the checkpoint does
local function prepare(run, from, place)
  local to = ("%s/run/ckpt/step-%d"):format(place, from)
  files.mkdir(from > 0 and to or place .. "/run/ckpt")
  if from > 0 then
    local source = ("%s/ckpt/step-%d"):format(run.dir, from)
    for _, name in ipairs(files.entries(source)) do
      copy(source .. "/" .. name, to .. "/" .. name)
    end
    must(core.sys.write(place .. "/run/ckpt/latest", ("step-%d\n"):format(from)))
  end
  copy(run.dir .. "/config.json", place .. "/run/config.json")
  must(json.save(place .. "/run/run.json", { status = "running", kind = "run" }))
end

local function interpreter()
  local first = 0
  local args = _G.arg or {}
  while args[first - 1] do first = first - 1 end
  local name = tostring(args[first] or "")
  return name:find "lua[%d.]*$" and name or "lua5.4"
end

local function command(run, part, place, box)
  local arguments = stage.arguments(stage.knobs(run.config, "verify"), {})
  for _, text in ipairs { "--out", place .. "/run", "--resume", "--quiet", "--threads",
                          tostring(core.sys.threads()) } do
    arguments[#arguments + 1] = text
  end
  must(json.save(place .. "/request.json", { recipe = run.dir .. "/recipe.lua", last = part.to,
                                             out = place .. "/run",
                                             arguments = json.array(arguments), box = box }))
  local paths = ("package.path, package.cpath = %q, %q"):format(package.path, package.cpath)
  return { interpreter(), "-e", paths,
           must(package.searchpath("moonlit.run.segment", package.path)), place .. "/request.json" }
end

-- the end of what a process said
local function last_words(place)
  local file = io.open(place .. "/output", "rb")
  if not file then return "" end
  local size = file:seek "end"
  file:seek("set", math.max(0, size - 2000))
  local text = file:read "a"
  file:close()
  return text or ""
end

-- the first line that differs, or nil and how many are alike
local function differing(run, part, place)
  local ours, theirs = {}, {}
  for _, line in ipairs(run.lines) do
    if line.step > part.from and line.step <= part.to then ours[#ours + 1] = line.text end
  end
  for i, line in ipairs((read_log(place .. "/run"))) do theirs[i] = line.text end
  for i = 1, math.max(#ours, #theirs) do
    if ours[i] ~= theirs[i] then
      return ("hashes.log has %s, replayed it is %s"):format(ours[i] or "no more line",
                                                            theirs[i] or "no line")
    end
  end
  local where = ("/ckpt/step-%d/manifest.json"):format(part.to)
  local before, now = json.load(run.dir .. where), json.load(place .. "/run" .. where)
  if before and before.weights ~= (now or {}).weights then
    return ("the weights of step %d are %s, replayed %s"):format(part.to, before.weights,
                                                                tostring((now or {}).weights))
  end
  return nil, #ours
end

local function replay_one(run, part, place, opt)
  local box
  prepare(run, part.from, place)
  if not run.own then box = box_of(run, place, opt) end
  local code, signal = core.sys.spawn(command(run, part, place, box), opt.seconds)
  must(code, signal)
  if code == REFUSED then
    fail("verify: %s was not written by this user on this machine, and the box its recipe would "
         .. "have to run in cannot be had: %s\nit was not run", run.dir, last_words(place))
  end
  part.bad, part.lines = differing(run, part, place)
  if code ~= 0 then
    part.bad = ("%s; %s"):format(signal and "ended by signal " .. signal or "exit code " .. code,
                                 part.bad or "every line before is alike")
    part.output = last_words(place)
  end
end

--- @param dir string  a run's directory
--- @param opt {steps: integer?, segments: integer?, seed: integer?, memory: integer, seconds:
---        integer, say: fun(line: string)}  memory: bytes a boxed process may map; seconds: that
---        each stretch may take
--- @return {own: boolean, parts: {from: integer, to: integer, lines: integer?, bad: string?,
---         output: string?}[]}  bad: what differs; output: what a process that failed said
return function(dir, opt)
  local run = open(dir)
  local parts = opt.steps and last_steps(run, opt.steps)
                or segments(run, opt.segments, opt.seed or 1)
  if not run.own then
    opt.say(("%s was not written by this user on this machine: its recipe runs in a box, and reads"
            .. " %s"):format(dir, table.concat(select(2, box_of(run, "", opt)), ", ")))
  end
  for _, part in ipairs(parts) do
    local place = must(core.sys.scratch())
    local fine, err = pcall(replay_one, run, part, place, opt)
    files.remove(place)
    if not fine then error(err, 0) end
  end
  return { own = run.own, parts = parts }
end
