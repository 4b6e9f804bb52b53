--- A pipeline: recipes one after the other, each a process of its own, each result kept until
--- something it depends on changes.
---
---   local p = ml.run.pipeline("runs/quickstart", { seed = 1, size = "full" })
---   local data = p:stage("curate", "recipes/curate.lua")
---   local base = p:stage("pretrain", "recipes/pretrain.lua", { steps = 2000 }, { data = data })
---   local chat = p:stage("sft", "recipes/sft.lua", { lr = 1e-4 }, { model = base, data = data })
---   p:report()
---   p:finish("summaries right: " .. chat.results.metrics[1].value)
---
--- Started again, a pipeline takes what is done and unchanged as it is, goes on in a stage that was
--- stopped (Ctrl-C, exit code 75), and runs what changed: a recipe's text, a knob, an input's
--- contents, moonlit's version. The directory a change replaces is kept once, in DIR/.cache, and
--- taken back when the change is. --from NAME runs NAME and what follows anew, --only NAME that one
--- stage; stages before it are taken as they are.
local core = require "moonlit.core"
local fail = require "moonlit.fail"
local files = require "moonlit.run.files"
local harness = require "moonlit.run.harness"
local json = require "moonlit.json"
local options = require "moonlit.options"
local record = require "moonlit.run.record"
local stage = require "moonlit.run.stage"
local must = files.must

local Pipeline = {}
Pipeline.__index = Pipeline
Pipeline.__name = "moonlit.Pipeline"

local STOPPED = 75

-- ---- the directory ----

local function write_info(self) must(json.save(self.dir .. "/pipeline.json", self.info)) end

-- a hash of a file changed in this very second or the last could miss a second change
local function save_known(self)
  local old = {}
  for path, f in pairs(self.known) do
    if f.modified and f.modified < os.time() - 2 then old[path] = f end
  end
  must(json.save(self.dir .. "/.cache/hashes.json", old))
end

local function close(self, status)
  self.info.status = status
  write_info(self)
  save_known(self)
  self.lock:close()
end

local function say(format, ...)
  if harness.quiet then return end
  io.stdout:write(format:format(...), "\n")
  io.stdout:flush()
end

local function move(from, to)
  must(os.rename(from, to))
end

-- the command line, as far as Lua was told of it
local function command_line()
  local list, first = json.array {}, 0
  local arg = _G.arg or {}
  while arg[first - 1] do first = first - 1 end
  if first == 0 and arg[0] then list = json.array { "moonlit", "run" } end -- the command's doing
  for i = first, #arg do list[#list + 1] = tostring(arg[i]) end
  return list
end

local function interpreter()
  local first = command_line()[1] or ""
  return first:find("lua[%d.]*$") and first or "lua5.4"
end

-- stages that lie in the directory: name -> directory
local function lying(dir)
  local found = {}
  for _, entry in ipairs(files.entries(dir)) do
    local name = entry:match("^%d%d%-(.+)$")
    if name and stage.load(dir .. "/" .. entry) then found[name] = dir .. "/" .. entry end
  end
  return found
end

-- a process that was killed while it moved a directory
local function settle_cache(dir)
  for _, entry in ipairs(files.entries(dir)) do
    local name = entry:match("^(.*)%.taken$")
    if name and not files.exists(dir .. "/" .. name) then
      move(dir .. "/" .. entry, dir .. "/" .. name)
    end
  end
end

local function check_names(self)
  local known = options.keys(lying(self.dir))
  local asked = harness.from or harness.only
  if not asked or #known == 0 then return end -- the first run: names come up as it goes
  for _, name in ipairs(known) do if name == asked then return end end
  fail("pipeline: --%s: no stage %s", harness.from and "from" or "only",
       options.unknown(asked, known))
end

--- @param path string  the directory; --out replaces it
--- @param opt? {seed: integer?, size: string?}  seed: of every stage (its knob `seed`) that is not
---        given another; size: a name for how large this is, recorded, p.size
local function new(path, opt)
  if type(path) ~= "string" then
    error("pipeline: path must be a string, got " .. type(path), 2)
  end
  local o = options(opt, { seed = 1, size = options.optional }, "pipeline", 3)
  if harness.scratch then fail("check: this is a pipeline; check its recipes one by one") end
  record.whole(o, "seed", 0, "pipeline", 2)
  local dir = harness.out or path
  if files.exists(dir .. "/run.json") then
    fail("pipeline: %s holds a single run; choose another --out", dir)
  end
  files.mkdir(dir .. "/.cache")
  local self = setmetatable({ dir = dir, seed = o.seed, size = o.size, stages = {},
                              started = core.sys.clock(), reached = false }, Pipeline)
  self.lock = files.lock(dir)
  settle_cache(dir .. "/.cache")
  check_names(self)
  self.known = json.load(dir .. "/.cache/hashes.json") or {}
  self.info = record.environment()
  self.info.seed, self.info.size, self.info.knobs = o.seed, o.size, harness.config
  self.info.command, self.info.stages = command_line(), json.array {}
  self.info.status = "running"
  write_info(self)
  return self
end

-- ---- results kept for later: DIR/.cache/NAME-KEY ----

local function cache_entries(self, name)
  local list = {}
  for _, entry in ipairs(files.entries(self.dir .. "/.cache")) do
    if entry:match("^(.+)%-%x+$") == name then list[#list + 1] = self.dir .. "/.cache/" .. entry end
  end
  return list
end

local function kept_as(self, name, key)
  return ("%s/.cache/%s-%s"):format(self.dir, name, key:sub(1, 12))
end

-- put a stage's directory aside, in place of what was aside before
local function put_aside(self, name, dir)
  for _, old in ipairs(cache_entries(self, name)) do files.remove(old) end
  move(dir, kept_as(self, name, stage.load(dir).key))
end

-- a stage's directory under its number of today
local function adopt(self, name, dir)
  local there = lying(self.dir)[name]
  if there and there ~= dir then move(there, dir) end
  if files.exists(dir) and not stage.load(dir) then
    if #files.entries(dir) > 0 then
      fail("pipeline: %s is there and is not a stage's; move it away", dir)
    end
    files.remove(dir)
  end
end

-- after this there is a directory of this key, whole or half done, or none at all
local function make_way(self, s, anew)
  local aside = kept_as(self, s.name, s.key)
  local info = stage.load(s.dir)
  if info and info.key == s.key and not anew then return end
  local back = not anew and stage.load(aside)
  if back then move(aside, aside .. ".taken") end -- not to be dropped by put_aside
  if info then put_aside(self, s.name, s.dir) end
  if back then move(aside .. ".taken", s.dir) end
end

-- ---- running a stage ----

local function read_results(dir)
  if not files.exists(dir .. "/results.json") then
    return { metrics = {}, samples = {}, notes = {} }
  end
  return must(json.load(dir .. "/results.json"))
end

local function conclude(self, s, info, status)
  local entry = { name = s.name, dir = s.dir:match("[^/]*$"), recipe = info.recipe,
                  status = status, seconds = info.seconds }
  self.info.stages[#self.info.stages + 1] = entry
  write_info(self)
  return { name = s.name, dir = s.dir, digest = info.digest, results = read_results(s.dir) }
end

local function stop(self, name)
  close(self, "stopped")
  io.stderr:write(("stopped in stage %s; the same command goes on there\n"):format(name))
  os.exit(STOPPED, true)
end

-- the child process; signals reach it, and this one waits for it
local function spawn(argv)
  io.stdout:flush()
  io.stderr:flush()
  core.sys.signals(true)
  local code, number = core.sys.spawn(argv)
  core.sys.signals(false)
  return must(code, number), number
end

local function child_command(s, resume)
  local argv = { interpreter(), s.recipe:find("^%-") and "./" .. s.recipe or s.recipe }
  table.move(s.arguments, 1, #s.arguments, #argv + 1, argv)
  argv[#argv + 1] = "--out"
  argv[#argv + 1] = s.dir
  if resume then argv[#argv + 1] = "--resume" end
  if harness.threads then argv[#argv + 1] = "--threads=" .. harness.threads end
  if harness.quiet then argv[#argv + 1] = "--quiet" end
  return argv
end

local function ended_badly(self, s, code, number)
  close(self, "failed")
  fail("pipeline: stage %s %s; what is done is kept: the same command goes on there", s.name,
       number and "was killed by signal " .. number or "failed with exit code " .. code)
end

-- run the recipe to its end; returns what stage.json then says
local function execute(self, s, before)
  local resume = before ~= nil and table.concat(before.arguments, "\0")
                                   == table.concat(s.arguments, "\0")
  if before and not resume then files.remove(s.dir) end -- its inputs lie elsewhere now
  local argv, seconds = child_command(s, resume), resume and before.seconds or 0
  local info = { name = s.name, key = s.key, recipe = s.recipe, arguments = json.array(s.arguments),
                 knobs = s.knobs, inputs = s.inputs, command = argv, status = "running",
                 seconds = seconds, moonlit = self.info.moonlit, numerics = self.info.numerics }
  files.mkdir(s.dir)
  stage.save(s.dir, info)
  say("> %s: %s %s", s.name, s.recipe, table.concat(s.arguments, " "))
  local start = core.sys.clock()
  local code, number = spawn(argv)
  info.seconds = seconds + core.sys.clock() - start
  local run = json.load(s.dir .. "/run.json")
  if code ~= 0 or not run or run.status ~= "finished" then
    stage.save(s.dir, info)
    if code == STOPPED or core.sys.signal() then stop(self, s.name) end
    if code ~= 0 then ended_badly(self, s, code, number) end
    close(self, "failed")
    fail("pipeline: stage %s: %s ended without run:finish in %s", s.name, s.recipe, s.dir)
  end
  info.status, info.files = "finished", stage.files(s.dir, {})
  info.digest = stage.digest(info.files)
  stage.save(s.dir, info)
  if core.sys.signal() then stop(self, s.name) end -- asked while the last lines were written
  return info
end

-- with --from or --only: what comes before is taken as it is
local function take(self, s)
  local info = stage.load(s.dir)
  if not info or info.status ~= "finished" then
    close(self, "failed")
    fail("pipeline: stage %s comes before %s and is not done; leave out --%s once", s.name,
         harness.from or harness.only, harness.from and "from" or "only")
  end
  if info.key ~= s.key then say("= %s: taken as it is, though it would differ now", s.name) end
  return conclude(self, s, info, "kept")
end

local function make(self, s, anew)
  make_way(self, s, anew)
  local info = stage.load(s.dir)
  local done = info and info.status == "finished"
  local fine, changed = true, nil
  if done then fine, changed = stage.intact(s.dir, info) end
  if done and fine then
    say("= %s: unchanged", s.name)
    return conclude(self, s, info, "unchanged")
  elseif done then
    say("! %s: %s/%s is not what the stage wrote: it runs again", s.name, s.dir, changed)
    files.remove(s.dir)
    info = nil
  end
  return conclude(self, s, execute(self, s, info), "ran")
end

-- ---- the user's side ----

-- a stage's result, or a path -> { path =, sha256 = }
local function input(self, value, who)
  local path = type(value) == "table" and value.dir or value
  if type(path) ~= "string" then
    error(("%s must be a stage's result or a path, got %s"):format(who, type(value)), 4)
  end
  if type(value) == "table" and value.digest then return { path = path, sha256 = value.digest } end
  if not files.exists(path) then fail("pipeline: %s: no such file or directory: %s", who, path) end
  return { path = path, sha256 = stage.digest(stage.files(path, self.known)) }
end

-- a recipe by its path from here, or beside the pipeline's own
local function find_recipe(path)
  local own = _G.arg and type(_G.arg[0]) == "string" and _G.arg[0]:match("^(.*)/") or "."
  for _, try in ipairs { path, own .. "/" .. path, own .. "/../" .. path } do
    local source = path:find("%.lua$") and files.read(try)
    if source then return try, source end
  end
  fail("pipeline: no recipe %s", path)
end

local function check_name(self, name)
  if type(name) ~= "string" or not name:find("^%w[%w_%-]*$") then
    error(('pipeline:stage: a name is letters, digits, "-" and "_", got %s'):format(
      type(name) == "string" and ("%q"):format(name) or type(name)), 4)
  end
  if self.stages[name] then error("pipeline:stage: there is a stage " .. name .. " already", 4) end
end

local function specify(self, name, recipe, knobs, inputs)
  check_name(self, name)
  local who = "pipeline:stage " .. name
  if type(recipe) ~= "string" then
    error(("%s: recipe must be a path, got %s"):format(who, type(recipe)), 3)
  end
  local s = { name = name, inputs = {} }
  local source
  s.recipe, source = find_recipe(recipe)
  s.knobs = stage.knobs(knobs or {}, who)
  s.knobs.seed = s.knobs.seed or ("%d"):format(self.seed)
  for _, key in ipairs(options.keys(inputs or {})) do
    if s.knobs[key] then error(("%s: %s is a knob and an input"):format(who, key), 3) end
    s.inputs[key] = input(self, inputs[key], who .. ": " .. key)
  end
  s.arguments = stage.arguments(s.knobs, s.inputs)
  s.key = stage.key(source, s.knobs, s.inputs)
  return s
end

--- Run a stage, or take what it left when nothing it depends on changed.
--- @param name string    the directory is DIR/NN-name
--- @param recipe string  a Lua file that ends with run:finish (ml.run or ml.run.task)
--- @param knobs? table   its knobs; nested tables are dotted names
--- @param inputs? table<string, table|string>  knobs that name directories: earlier stages' results
---        or paths. What counts is their contents
--- @return {name: string, dir: string, results: table, digest: string}
function Pipeline:stage(name, recipe, knobs, inputs)
  if self.only_done then -- nothing but that one was asked for
    close(self, "running")
    os.exit(0, true)
  end
  local s = specify(self, name, recipe, knobs, inputs)
  self.stages[name], self.stages[#self.stages + 1] = true, name
  s.dir = ("%s/%02d-%s"):format(self.dir, #self.stages, name)
  adopt(self, name, s.dir)
  local asked = harness.from or harness.only
  local anew = asked == name or (harness.from and self.reached)
  self.reached = self.reached or asked == name
  if asked and not self.reached then return take(self, s) end
  self.only_done = harness.only == name
  return make(self, s, anew)
end

-- stages that this pipeline no longer has
local function tidy(self)
  local there = lying(self.dir)
  for _, name in ipairs(options.keys(there)) do
    if not self.stages[name] and not harness.only then put_aside(self, name, there[name]) end
  end
end

local function check_reached(self)
  local asked = harness.from or harness.only
  if asked and not self.reached then
    close(self, "failed")
    fail("pipeline: --%s: no stage %s", harness.from and "from" or "only",
         options.unknown(asked, self.stages))
  end
end

--- Write report.md, report.json and report.html into the directory and print the card.
--- @return {md: string, json: string, html: string, data: table}
function Pipeline:report()
  check_reached(self)
  tidy(self)
  write_info(self)
  local report = require "moonlit.run.report"
  local out = must(report(self.dir))
  io.stdout:write(report.card(out.data))
  return out
end

--- End the pipeline; the lines are printed.
function Pipeline:finish(...)
  check_reached(self)
  tidy(self)
  self.info.finished, self.info.seconds = record.now(), core.sys.clock() - self.started
  self.info.last = json.array { ... }
  close(self, harness.only and "running" or "finished")
  for _, line in ipairs(self.info.last) do print(line) end
end

--- Offer to talk to a stage's model, if somebody sits at a terminal.
--- @param result table  what stage() gave
function Pipeline.offer_chat(_, result)
  local line = ("moonlit chat %s"):format(result.dir)
  if harness.quiet or not (os.execute "test -t 0" and os.execute "test -t 1") then
    say("talk to it: ./%s", line)
    return
  end
  io.stdout:write("talk to it now? [Y/n] ")
  io.stdout:flush()
  local answer = io.read("l")
  if not answer or answer:find "^%s*[nN]" then
    say("later: ./%s", line)
    return
  end
  local main = package.searchpath("moonlit.cli.main", package.path)
  spawn { interpreter(), main, "chat", result.dir }
end

return new
