--- Where two runs part. Reads config.json, run.json, metrics.jsonl, hashes.log and the checkpoints;
--- runs no code of either.
---
---   local d = compare("runs/a", "runs/b")
---   d.step   -- the first step whose loss or gradient norm has other bits, or nil
---   d.weights.first, d.weights.furthest   -- the modules, in the first checkpoint that differs
local checkpoint = require "moonlit.run.checkpoint"
local ckpt = require "moonlit.ckpt"
local core = require "moonlit.core"
local fail = require "moonlit.fail"
local files = require "moonlit.run.files"
local json = require "moonlit.json"
local must = require "moonlit.must" "compare"
local options = require "moonlit.options"

-- ---- reading ----

local function open(dir)
  if files.exists(dir .. "/pipeline.json") then
    fail("compare: %s is a pipeline; compare its stages one by one", dir)
  elseif not files.exists(dir .. "/run.json") then
    fail("compare: %s is not the directory of a run", dir)
  end
  return { dir = dir, info = files.must(json.load(dir .. "/run.json")),
           config = json.load(dir .. "/config.json") or {} }
end

-- step -> { loss bits, norm bits }, step -> hash of the weights; and the last step
local function read_hashes(dir)
  local steps, weights, last = {}, {}, 0
  for step, a, b in (files.read(dir .. "/hashes.log") or ""):gmatch "(%d+) (%S+) (%S+)\n" do
    local n = math.tointeger(tonumber(step))
    if a == "weights" then weights[n] = b else
      steps[n] = { a, b }
      last = math.max(last, n)
    end
  end
  return steps, weights, last
end

-- step -> the line
local function read_metrics(dir)
  local lines = {}
  for text in (files.read(dir .. "/metrics.jsonl") or ""):gmatch "[^\n]+" do
    local line = json.decode(text)
    if type(line) == "table" and math.type(line.step) == "integer" then lines[line.step] = line end
  end
  return lines
end

-- ---- what goes in ----

local function shown(v)
  if v == nil or v == json.null then return "nothing" end
  return type(v) == "table" and json.encode(v) or tostring(v)
end

-- names whose values differ, of two tables: { { name, a, b } }
local function differing(a, b, skip)
  local names, list = {}, {}
  for _, t in ipairs { a, b } do
    for k in pairs(t) do names[k] = true end
  end
  for _, name in ipairs(options.keys(names)) do
    local x, y = shown(a[name]), shown(b[name])
    if x ~= y and not (skip and skip[name]) then list[#list + 1] = { name, x, y } end
  end
  return list
end

-- what identifies the data of a checkpoint: all of its position but where it stands
local standing = { step = true, seed = true, owed = true }
local function fingerprint(v, prefix, into)
  for _, name in ipairs(options.keys(type(v) == "table" and v or {})) do
    local path = prefix .. tostring(name)
    if type(v[name]) == "table" then fingerprint(v[name], path .. ".", into)
    elseif not standing[name] then into[path] = v[name] end
  end
  return into
end

local function data_of(dir)
  local steps = checkpoint.steps(dir)
  local state = #steps > 0 and json.load(("%s/ckpt/step-%d/state.json"):format(dir, steps[#steps]))
  return state and fingerprint(state.objects.data or {}, "", {}) or {}
end

-- ---- what comes out ----

local function float(hex)
  if #hex ~= 8 or hex:find "%X" then return hex end
  local bits = hex:gsub("%x%x", function(two) return string.char(tonumber(two, 16)) end)
  return ("%.9g"):format((string.unpack(">f", bits)))
end

-- the first step that both logged with other bits, or nil and the last step both have
local function first_step(a, b)
  local x, wx, last_a = read_hashes(a.dir)
  local y, wy, last_b = read_hashes(b.dir)
  local found, last = nil, math.min(last_a, last_b)
  for step = 1, last do
    local p, q = x[step], y[step]
    if p and q and (p[1] ~= q[1] or p[2] ~= q[2]) then
      found = { step = step, loss = p[1] ~= q[1] and { float(p[1]), float(q[1]) } or nil,
                norm = p[2] ~= q[2] and { float(p[2]), float(q[2]) } or nil }
      break
    end
  end
  return found, last, wx, wy
end

-- the last step whose weights were logged alike, and the first where they were not
local function logged_weights(x, y)
  local same, other
  for _, step in ipairs(options.keys(x)) do
    if y[step] == x[step] then same = math.max(same or 0, step)
    elseif y[step] then other = math.min(other or step, step) end
  end
  return same, other
end

-- the first numbers of metrics.jsonl that differ, beside loss and norm
local apart = { seconds = true, step = true, loss = true, norm = true }
local function first_metrics(a, b)
  local x, y = read_metrics(a.dir), read_metrics(b.dir)
  for _, step in ipairs(options.keys(x)) do
    local list = y[step] and differing(x[step], y[step], apart) or {}
    if #list > 0 then return { step = step, values = list } end
  end
end

-- how far apart two tensors are: { name, elements that differ, of, distance over size }
local function distance(name, s, t)
  if not t then return { name = name, missing = true, relative = math.huge } end
  if table.concat(s:shape(), " ") ~= table.concat(t:shape(), " ") then
    return { name = name, shapes = { table.concat(s:shape(), " x "),
                                     table.concat(t:shape(), " x ") }, relative = math.huge }
  end
  if core.sys.sha256(s) == core.sys.sha256(t) then return nil end
  local p, q = s:to "f64", t:to "f64"
  local far, size = (p - q):norm():item(), p:norm():item()
  return { name = name, differ = math.tointeger(p:ne(q):to("f64"):sum():item()), of = p:numel(),
           relative = far == 0 and 0 or size > 0 and far / size or math.huge }
end

local function compare_tensors(x, y)
  local have, list = {}, {}
  for _, e in ipairs(y) do have[e.name] = e.tensor end
  for _, e in ipairs(x) do
    list[#list + 1] = distance(e.name, e.tensor, have[e.name])
    have[e.name] = nil
  end
  for _, name in ipairs(options.keys(have)) do
    list[#list + 1] = { name = name, missing = true, relative = math.huge }
  end
  return list
end

local function tensors(dir, step)
  local path = ("%s/ckpt/step-%d/model.safetensors"):format(dir, step)
  local list = must(ckpt.list(path))
  return list
end

-- NaN is far, too
local function further(a, b) return a.relative > b.relative or a.relative ~= a.relative end

-- the first checkpoint both have in which a module differs
local function first_weights(a, b)
  local has = {}
  for _, step in ipairs(checkpoint.steps(b.dir)) do has[step] = true end
  for _, step in ipairs(checkpoint.steps(a.dir)) do
    local list = has[step] and compare_tensors(tensors(a.dir, step), tensors(b.dir, step)) or {}
    if #list > 0 then
      local most = list[1]
      for _, d in ipairs(list) do if further(d, most) then most = d end end
      return { step = step, count = #list, first = list[1], furthest = most }
    end
  end
end

local process = { moonlit = true, numerics = true, engine = true, isa = true, threads = true }

--- @param dir_a string  a run's directory
--- @param dir_b string
--- @return table { knobs, data, process: { name, a, b }[]; recipe: boolean (differs); step, last,
---         metrics, same_weights, other_weights, weights: see above; equal: boolean }
return function(dir_a, dir_b)
  local a, b = open(dir_a), open(dir_b)
  local d = { knobs = differing(a.config, b.config), process = {},
              data = differing(data_of(dir_a), data_of(dir_b)),
              recipe = files.read(dir_a .. "/recipe.lua") ~= files.read(dir_b .. "/recipe.lua") }
  for _, entry in ipairs(differing(a.info, b.info)) do
    if process[entry[1]] then d.process[#d.process + 1] = entry end
  end
  local wx, wy
  d.step, d.last, wx, wy = first_step(a, b)
  d.same_weights, d.other_weights = logged_weights(wx, wy)
  d.metrics, d.weights = first_metrics(a, b), first_weights(a, b)
  d.equal = not (d.step or d.metrics or d.weights or d.other_weights)
  return d
end
