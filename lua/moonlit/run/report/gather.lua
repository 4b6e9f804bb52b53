--- What a run's directory, or a pipeline's with its stages NN-name, says about itself: one table
--- that every form of the report is made from. Files may be missing; one that is there and broken
--- is an error, with its name.
local ckpt = require "moonlit.ckpt"
local files = require "moonlit.run.files"
local json = require "moonlit.json"
local ledger = require "moonlit.run.report.ledger"
local lfs = require "lfs"
local options = require "moonlit.options"

-- a broken file ends the gathering from wherever it is read
local Broken = {}
local function broken(form, ...)
  error(setmetatable({ message = "report: " .. form:format(...) }, Broken), 0)
end

local function read_json(path)
  if not files.exists(path) then return nil end
  local value, err = json.load(path)
  if type(value) == "table" then return value end
  broken("%s", err or path .. ": expected an object, got " .. type(value))
end

-- ---- fields of a table from a file: of the type asked for, or nil ----

local function field(t, key, kind)
  local v = type(t) == "table" and t[key]
  if type(v) == kind then return v end
end
local function text(t, key) return field(t, key, "string") end
local function number(t, key) return field(t, key, "number") end
local function list(t, key) return field(t, key, "table") or {} end

-- ---- one stage ----

local function metric(m, path, i)
  if not (text(m, "name") and number(m, "value")) then
    broken("%s: metric %d: expected a name and a value", path, i)
  end
  local better = text(m, "better")
  return { name = m.name, title = text(m, "title") or m.name, value = m.value,
           low = number(m, "low"), high = number(m, "high"), n = number(m, "n"),
           unit = text(m, "unit"), better = better == "lower" and "lower" or "higher" }
end

local function sample(s)
  return { prompt = text(s, "prompt") or "", reply = text(s, "reply") or "",
           answer = text(s, "answer"), score = number(s, "score") }
end

local function read_results(stage)
  local path = stage.dir .. "/results.json"
  local results = read_json(path)
  stage.title = text(results, "title") or stage.name
  stage.metrics, stage.samples, stage.notes = {}, {}, {}
  for i, m in ipairs(list(results, "metrics")) do stage.metrics[i] = metric(m, path, i) end
  for i, s in ipairs(list(results, "samples")) do stage.samples[i] = sample(s) end
  for i, note in ipairs(list(results, "notes")) do stage.notes[i] = tostring(note) end
end

-- whole lines of a file of JSON objects; a last line without its end is still being written
local function each_record(path, fn)
  local n = 0
  for line in (files.read(path) or ""):gmatch("([^\n]*)\n") do
    n = n + 1
    local record, err = json.decode(line)
    if type(record) ~= "table" then broken("%s:%d: %s", path, n, err or "expected an object") end
    fn(record)
  end
end

-- what the loop wrote by itself, when nobody gave the report samples
local function read_written(stage)
  if #stage.samples > 0 then return end
  each_record(stage.dir .. "/samples.jsonl", function(record)
    if text(record, "text") then
      table.insert(stage.samples, { prompt = "", reply = record.text, step = record.step })
    end
  end)
  local n = #stage.samples
  stage.samples = table.move(stage.samples, math.max(1, n - 1), n, 1, {})
end

-- numbers over steps: { { name =, points = { { step, value } } } }, the loss first
local function read_series(stage)
  local points = {}
  each_record(stage.dir .. "/metrics.jsonl", function(record)
    local step = number(record, "step")
    for _, name in ipairs(step and options.keys(record) or {}) do
      if name == "seconds" then stage.seconds = record.seconds
      elseif name ~= "step" and number(record, name) then
        points[name] = points[name] or {}
        table.insert(points[name], { step, record[name] })
      end
    end
    stage.steps = step or stage.steps
  end)
  stage.series = {}
  for _, name in ipairs(options.keys(points)) do
    local at = name == "loss" and 1 or #stage.series + 1
    table.insert(stage.series, at, { name = name, points = points[name] })
  end
end

-- "2026-11-23T12:46:28Z" in seconds; days are counted in years that begin in March
local function instant(s)
  local found = { tostring(s):match "^(%d+)-(%d+)-(%d+)T(%d+):(%d+):(%d+)Z$" }
  if #found < 6 then return nil end
  local t = {}
  for i, digits in ipairs(found) do t[i] = math.tointeger(tonumber(digits)) end
  local year, month = t[1] - (t[2] < 3 and 1 or 0), (t[2] + 9) % 12
  local days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * month + 2) // 5 + t[3]
  return ((days * 24 + t[4]) * 60 + t[5]) * 60 + t[6]
end

local function between(from, to)
  local a, b = instant(from), instant(to)
  return a and b and b - a
end

local function read_weights(stage)
  local manifest = read_json(ckpt.resolve(stage.dir) .. "/manifest.json")
  local file = list(list(manifest, "files"), "model.safetensors")
  stage.weights_file = text(file, "sha256")
  for _, line in ipairs(list(stage.run, "last")) do
    stage.weights = stage.weights or tostring(line):match "^weights sha256 (%x+)$"
  end
end

local function quoted(word)
  if word:find "^[%w_./=:,+%-]+$" then return word end
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

local function knob(value)
  if type(value) ~= "table" then return tostring(value) end
  local parts = {}
  for i, v in ipairs(value) do parts[i] = tostring(v) end
  return table.concat(parts, ",")
end

-- the recipe is beside its results, so this runs wherever the directory goes
local function rebuilt(stage)
  if not files.exists(stage.dir .. "/recipe.lua") then return nil end
  local words = { "lua5.4", quoted(stage.dir .. "/recipe.lua") }
  for _, k in ipairs(stage.knobs) do words[#words + 1] = quoted(k.name .. "=" .. k.value) end
  return table.concat(words, " ")
end

local function command_of(t)
  local words = {}
  for i, word in ipairs(list(t, "command")) do words[i] = quoted(tostring(word)) end
  return text(t, "command") or #words > 0 and table.concat(words, " ") or nil
end

local function read_knobs(stage)
  local config, out = read_json(stage.dir .. "/config.json") or list(stage.about, "knobs"), {}
  for _, name in ipairs(options.keys(config)) do
    out[#out + 1] = { name = tostring(name), value = knob(config[name]) }
  end
  return out
end

-- what a pipeline gave the stage: { path =, digest = } by name
local function read_inputs(stage)
  local inputs, out = list(stage.about, "inputs"), {}
  for _, name in ipairs(options.keys(inputs)) do
    local path = text(inputs[name], "path") or ""
    out[#out + 1] = { name = tostring(name),
                      value = (path:match "([^/]+)/*$" or path) .. " "
                              .. (text(inputs[name], "digest") or "") }
  end
  return out
end

local function read_stage(dir, name, index)
  local stage = { dir = dir, name = name, number = index,
                  run = read_json(dir .. "/run.json") or {},
                  about = read_json(dir .. "/stage.json") or {} }
  read_results(stage)
  read_series(stage)
  read_written(stage)
  read_weights(stage)
  stage.ledger = ledger(read_json(dir .. "/data/ledger.json"))
  stage.knobs = read_knobs(stage)
  stage.status = text(stage.run, "status") or text(stage.about, "status")
  stage.steps = number(stage.run, "step") or stage.steps
  stage.seconds = number(stage.about, "seconds") or number(stage.run, "seconds") or stage.seconds
                  or between(stage.run.started, stage.run.finished)
  stage.command = command_of(stage.run) or command_of(stage.about) or rebuilt(stage)
  for _, line in ipairs(list(stage.run, "last")) do -- what it printed at its end
    line = tostring(line)
    if not line:find "^weights sha256" then stage.notes[#stage.notes + 1] = line end
  end
  stage.tokens = number(stage.run, "tokens")
  stage.rate, stage.peak = number(stage.run, "tokens_per_second"), number(stage.run, "peak_share")
  stage.digest = text(stage.about, "digest")
  stage.inputs = read_inputs(stage)
  return stage
end

-- ---- all stages ----

local function stage_dirs(dir)
  local out = {}
  for _, entry in ipairs(files.entries(dir)) do
    local index, name = entry:match "^(%d%d+)%-(.+)$"
    if index and lfs.attributes(dir .. "/" .. entry, "mode") == "directory" then
      out[#out + 1] = { dir = dir .. "/" .. entry, name = name, number = tonumber(index) }
    end
  end
  table.sort(out, function(a, b)
    if a.number ~= b.number then return a.number < b.number end
    return a.name < b.name
  end)
  return out
end

local function is_run(dir)
  for _, name in ipairs { "run.json", "results.json", "data/ledger.json", "metrics.jsonl" } do
    if files.exists(dir .. "/" .. name) then return true end
  end
end

-- every metric, in the order in which stages first name it, with a cell for each stage that has it
local function tabulate(stages)
  local rows, by_name = {}, {}
  for s, stage in ipairs(stages) do
    for _, m in ipairs(stage.metrics) do
      local row = by_name[m.name]
      if not row then
        row = { name = m.name, title = m.title, unit = m.unit, better = m.better, cells = {} }
        by_name[m.name], rows[#rows + 1] = row, row
      end
      table.insert(row.cells, { stage = s, value = m.value, low = m.low, high = m.high, n = m.n })
    end
  end
  return rows
end

-- which cells are best (equal ones all are), and what became of the first
local function judge(row)
  local best = row.cells[1].value
  for _, cell in ipairs(row.cells) do
    best = row.better == "lower" and math.min(best, cell.value) or math.max(best, cell.value)
  end
  for _, cell in ipairs(row.cells) do cell.best = #row.cells > 1 and cell.value == best end
  local a, b = row.cells[1], row.cells[#row.cells]
  if #row.cells < 2 then return end
  local apart = not (a.low and a.high and b.low and b.high) or a.high < b.low or b.high < a.low
  if a.value == b.value or not apart then row.change = "same"
  else row.change = (b.value > a.value) == (row.better == "higher") and "better" or "worse" end
end

local ENVIRONMENT = { { "cpu", "processor" }, { "isa", "instructions" }, { "threads", "threads" },
                      { "engine", "engine" }, { "moonlit", "moonlit" },
                      { "numerics", "numerics" }, { "seed", "seed" } }

-- what the stages agree on is said once; where they differ, every value
local function environment(stages, about)
  local out, sources = {}, { about }
  for _, stage in ipairs(stages) do
    sources[#sources + 1] = stage.run
    sources[#sources + 1] = stage.about
  end
  for _, entry in ipairs(ENVIRONMENT) do
    local values, seen = {}, {}
    for _, source in ipairs(sources) do
      local v = source[entry[1]]
      v = (type(v) == "string" or type(v) == "number") and tostring(v)
      if v and not seen[v] then
        seen[v], values[#values + 1] = true, v
      end
    end
    if #values > 0 then out[#out + 1] = { name = entry[2], value = table.concat(values, ", ") } end
  end
  return out
end

local function gather(dir)
  local dirs = stage_dirs(dir)
  local about = #dirs > 0 and (read_json(dir .. "/pipeline.json") or {}) or {}
  local data = { dir = dir, pipeline = #dirs > 0, stages = {}, seconds = 0.0,
                 title = text(about, "title") or dir:match "([^/]+)/*$" or dir }
  if #dirs == 0 then
    if not is_run(dir) then
      broken("%s: expected a run (run.json) or a pipeline's stages (01-name)", dir)
    end
    dirs[1] = { dir = dir, name = data.title, number = 1 }
  end
  for i, d in ipairs(dirs) do
    data.stages[i] = read_stage(d.dir, d.name, d.number)
    data.seconds = data.seconds + (data.stages[i].seconds or 0)
  end
  data.rows = tabulate(data.stages)
  for _, row in ipairs(data.rows) do judge(row) end
  data.environment = environment(data.stages, about)
  data.command = command_of(about) or not data.pipeline and data.stages[1].command or nil
  return data
end

--- @param dir string  a run's directory, or a pipeline's
--- @return table|nil, string? message, string? code
return function(dir)
  local ok, data = pcall(gather, dir)
  if ok then return data end
  if getmetatable(data) ~= Broken then error(data, 0) end
  return nil, data.message, "format"
end
