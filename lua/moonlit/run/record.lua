--- What every run's directory holds, with a training loop (moonlit.run) or without one
--- (moonlit.run.task): run.json (what, on what, how far), config.json (the knobs), recipe.lua (a
--- copy), log.txt, results.json, and a lock while a process writes there.
local ckpt = require "moonlit.ckpt"
local core = require "moonlit.core"
local fail = require "moonlit.fail"
local files = require "moonlit.run.files"
local harness = require "moonlit.run.harness"
local json = require "moonlit.json"
local options = require "moonlit.options"
local origin = require "moonlit.run.origin"
local results = require "moonlit.run.results"
local version = require "moonlit.version"
local must = files.must

local record = {}

-- the recipe being run, if there is one
local function recipe_source()
  local path = _G.arg and _G.arg[0]
  return type(path) == "string" and path:find("%.lua$") and files.read(path) or nil
end

--- The time as the logs write it.
function record.now() return os.date("!%Y-%m-%dT%H:%M:%SZ") end

--- What a result may depend on, and when it began.
function record.environment()
  local blas = package.loaded["moonlit.blas"] -- results of another engine are its own
  return { engine = blas and blas.engine() or "moonlit", moonlit = version.moonlit,
           numerics = version.numerics, isa = core.sys.isa(), threads = core.sys.threads(),
           cpu = core.sys.cpu().name, started = record.now() }
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

-- a finished run, asked for once more, only says what it said at its end
local function repeat_last(info)
  for _, line in ipairs(info.last) do print(line) end
  os.exit(0, true)
end

local function refuse_pipeline_options()
  local name = harness.from and "from" or harness.only and "only"
  if name then
    fail("run: --%s is for pipelines (ml.run.pipeline); this recipe is a single run", name)
  end
end

--- Open or go on with a run's directory. A finished one that is resumed ends the process here.
--- @param self table   gets dir, lock, info, resumed
--- @param path string  the default directory; --out replaces it
--- @param what table   goes into run.json; what.steps of a finished run may grow
function record.open(self, path, what)
  refuse_pipeline_options()
  if harness.scratch and what.kind ~= "run" then
    fail("check: this recipe trains nothing; there is nothing to check")
  end
  local dir = harness.scratch or files.choose(path, harness.out, harness.resume)
  self.dir, self.place = dir, harness.out or path
  if harness.scratch then harness.quiet, harness.resume = true, false end
  local resumed = harness.resume and files.exists(dir .. "/run.json")
  files.mkdir(dir)
  self.lock = files.lock(dir)
  if not resumed and files.exists(dir .. "/run.json") and not harness.scratch then
    fail("run: another process began a run in %s just now", dir)
  end
  files.clean(dir)
  self.info = record.environment()
  for _, name in ipairs(options.keys(what)) do self.info[name] = what[name] end
  self.info.status, self.info.last = "running", json.array {}
  local own = true -- what is resumed stays what it was: a recipe from elsewhere is not signed
  if resumed then
    own = origin.own(dir)
    local info = must(json.load(dir .. "/run.json"))
    check_config(dir)
    if info.status == "finished" and info.steps == what.steps then repeat_last(info) end
    self.info.started, self.resumed = info.started, true
  else
    local source = recipe_source()
    if source then must(ckpt.write(dir .. "/recipe.lua", source)) end
  end
  must(json.save(dir .. "/config.json", harness.config))
  self.info.origin = own and origin.sign(dir) or nil
  record.write_info(self)
end

function record.write_info(self) must(json.save(self.dir .. "/run.json", self.info)) end

--- The options of a run that must be whole numbers.
function record.whole(o, name, least, who, level)
  if math.type(o[name]) ~= "integer" or o[name] < least then
    error(("%s: %s must be an integer, %d or more, got %s"):format(who, name, least,
                                                                   tostring(o[name])), level + 1)
  end
end

--- Add a line to log.txt.
function record.note(self, format, ...)
  if not self.text_log then self.text_log = must(io.open(self.dir .. "/log.txt", "ab")) end
  self.text_log:write(record.now(), " ", format:format(...), "\n")
  self.text_log:flush()
end

--- The end: `last` are the lines to print, and to print again when it is resumed once more.
function record.finish(self, last)
  self.info.status, self.info.last = "finished", json.array(last)
  self.info.finished = record.now()
  record.write_info(self)
  record.note(self, "finished")
  record.close(self)
  for _, line in ipairs(last) do print(line) end
end

function record.close(self)
  if self.text_log then self.text_log:close() end
  self.lock:close()
end

-- ---- methods of every kind of run ----

record.methods = {}

--- Print a line (without tearing the progress line) and keep it in log.txt.
function record.methods:say(line)
  if self.progress then self.progress:clear() end
  if not harness.quiet then
    io.stdout:write(line, "\n")
    io.stdout:flush()
  end
  record.note(self, "%s", line)
end

--- A file's name inside the run's directory; the folders on the way to it are made.
--- @param name string  "data/train.jsonl"
function record.methods:path(name)
  local path = self.dir .. "/" .. name
  files.mkdir(path:match("^(.*)/"))
  return path
end

--- Remove something of the run's directory that was only needed on the way.
function record.methods:remove(name) files.remove(self.dir .. "/" .. name) end

--- Write results.json: what the report shows of this run. See moonlit.run.results.
--- @param values {stage: string?, title: string?, metrics: table[]?, samples: table[]?,
---        notes: string[]?}
function record.methods:results(values)
  must(json.save(self.dir .. "/results.json", results(values, self.dir)))
end

return record
