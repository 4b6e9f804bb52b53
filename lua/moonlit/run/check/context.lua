--- What the checks look at: numbers of a run that is about to begin.
local checkpoint = require "moonlit.run.checkpoint"
local core = require "moonlit.core"
local files = require "moonlit.run.files"
local options = require "moonlit.options"
local tracked = require "moonlit.run.tracked"

local context = {}

-- bytes a thread of the kernels works in, with its stack
local WORKSPACE = 2e6

-- bytes of "Name:  123 kB" in a file of /proc
local function kilobytes(path, name)
  local n = (files.read(path) or ""):match(name .. ":%s*(%d+) kB")
  return n and math.tointeger(tonumber(n)) * 1024
end

--- Anonymous memory of this process, in bytes, or nil.
function context.anonymous() return kilobytes("/proc/self/status", "RssAnon") end

--- The most of it there has been.
function context.peak()
  local all = kilobytes("/proc/self/status", "VmHWM")
  local mapped = kilobytes("/proc/self/status", "RssFile")
  return all and mapped and all - mapped
end

local function free_memory()
  local free = kilobytes("/proc/meminfo", "MemAvailable")
  local limit = tonumber((files.read "/sys/fs/cgroup/memory.max" or ""):match "^%d+")
  local used = tonumber((files.read "/sys/fs/cgroup/memory.current" or ""):match "^%d+")
  if free and limit and used then return math.min(free, limit - used) end
  return free
end

-- free bytes where a directory lies, or will
local function free_disk(dir)
  while not files.exists(dir) and dir:find "/" do dir = dir:match "^(.*)/" end
  if not files.exists(dir) then dir = "." end
  local pipe = io.popen(("df -Pk -- '%s' 2>/dev/null"):format((dir:gsub("'", "'\\''"))))
  local text = pipe and pipe:read "a" or ""
  if pipe then pipe:close() end
  local kb = text:match "\n%S+%s+%d+%s+%d+%s+(%d+)"
  return kb and math.tointeger(tonumber(kb)) * 1024
end

local function number_of(object, method)
  local f = type(object) == "table" and object[method]
  local n = f and f(object)
  return math.type(n) == "integer" and n or nil
end

-- how often the data are read: windows know their ids, packed rows their rows
local function epochs(run, data)
  if type(data) ~= "table" or math.type(data.batch) ~= "integer" then return nil end
  if type(data.ids) == "userdata" and data.length then
    return run.total * data.batch * data.length / data.ids:size(1)
  end
  local rows = number_of(data, "rows")
  return rows and rows > 0 and run.total * data.batch / rows
end

-- bytes of a tensor list
local function bytes(list)
  local sum = 0
  for _, p in ipairs(list) do
    sum = sum + p.tensor:numel() * (p.tensor:dtype() == "f64" and 8 or 4)
  end
  return sum
end

-- moments are as large as the parameters they belong to, twice for AdamW
local function moments(c)
  local sum, sizes = 0, {}
  for _, p in ipairs(c.parameters) do sizes[p.name] = bytes { p } end
  for _, g in ipairs(c.groups) do
    for _, name in ipairs(g.names) do
      sum = sum + (sizes[name] or 0) * (g.kind == "adamw" and 2 or 1)
    end
  end
  return sum
end

-- what Muon makes its updates in: two copies of every matrix, and two squares of its short side
local function muon_room(c)
  local held, sum = {}, 0
  for _, g in ipairs(c.groups) do
    for _, name in ipairs(g.kind == "muon" and g.names or {}) do held[name] = true end
  end
  for _, p in ipairs(c.parameters) do
    if held[p.name] then
      local short = math.min(p.tensor:size(1), p.tensor:size(2))
      sum = sum + 2 * bytes { p } * (1 + short * short / p.tensor:numel())
    end
  end
  return sum
end

-- gradients of the other models that are tracked: a critic's
local function other_gradients(things)
  local sum = 0
  for _, name in ipairs(options.keys(things)) do
    local thing = things[name]
    if name ~= "model" and type(thing) == "table" and thing.parameters and thing.memory then
      sum = sum + bytes(thing:parameters())
    end
  end
  return sum
end

-- steps a run keeps checkpoints of, at its end
local function kept(run)
  local all = run.save_every > 0 and math.max(1, run.total // run.save_every) or 1
  return run.keep > 0 and math.min(run.keep, all) or all
end

--- @param run Run  with what it tracks
function context.new(run)
  collectgarbage() -- what preparing the data left over is no part of a step
  core.sys.trim()
  local t = run.tracked
  local model, data = t.model, t.data
  local o = type(model) == "table" and model.options or {}
  local c = { run = run, total = run.total, model = model, opt = t.opt, data = data, tok = t.tok,
              vocab = o.vocab, context = o.context, tokens = number_of(t.tok, "size"),
              parameters = model and model.parameters and model:parameters() or {},
              groups = t.opt and t.opt.groups or {} }
  c.length = type(data) == "table" and math.type(data.length) == "integer" and data.length or nil
  c.batch = type(data) == "table" and math.type(data.batch) == "integer" and data.batch or nil
  c.epochs = epochs(run, data)
  c.weights, c.moments = bytes(c.parameters), moments(c)
  c.copied = tracked.bytes(t) -- by a save
  -- weights and moments are there already; gradients (as large as the weights), weights packed for
  -- bf16 (e.weights holds them), activations and workspaces are not
  local e = model and model.memory
            and model:memory { batch = c.batch or 1, length = c.length or o.context } or nil
  c.flops = model and model.flops and model:flops { length = c.length or o.context }.train
  local lua = collectgarbage "count" * 1024 -- Lua's heap may double before it is swept
  c.memory = { now = context.anonymous(), free = free_memory(),
               before = context.peak(), activations = e and e.activations,
               more = e and e.weights + e.activations + muon_room(c) + other_gradients(t) + c.copied
                            + WORKSPACE * core.sys.threads() + lua or 0 }
  c.disk = { checkpoint = c.weights + c.moments + 1e5, kept = kept(run),
             there = #checkpoint.steps(run.dir), where = run.place or run.dir,
             free = free_disk(run.place or run.dir) }
  return c
end

-- ---- after the first steps ----

-- tokens that are learned, and all, in batches; loaders never learn a row's first id
local function count(c)
  c.learned, c.positions = 0, 0
  for _, batch in ipairs(c.batches) do
    local rows, row = batch.ids:size(1), batch.ids:size(2)
    c.positions = c.positions + rows * (row - 1)
    c.learned = c.learned + (batch.mask and batch.mask:narrow(2, 2, row - 1):sum():item()
                             or rows * (row - 1))
  end
end

local function rates(c, given)
  c.rates = {}
  for _, g in ipairs(c.groups) do
    c.rates[g] = (given.lr or g.lr or 0) * (given.lr_scale or 1)
    c.rate = math.max(c.rate or 0, c.rates[g])
  end
end

-- rows of any number and length: what is learned in a step is what was learned in the first ones
-- caches: bytes of the largest keys and values a model wrote with; their room is kept, and of
-- another size than what a step takes
local function forwards(c, list, caches)
  local largest, most, tokens, passes = {}, 0, 0, 0 -- of each model; their rooms are apart
  for _, f in ipairs(list) do
    local length, before = math.max(1, f.length), largest[f.model] or 0
    local now = f.model:memory({ batch = f.rows, length = length }).activations
    largest[f.model] = math.max(before, now)
    most = most + largest[f.model] - before
    if f.step == 1 and f.model == c.model then
      tokens, passes = tokens + f.rows * length, passes + 1
    end
  end
  if most > 0 and c.memory.activations then
    c.memory.more = c.memory.more - c.memory.activations + most + caches
  end
  c.step_tokens, c.passes = tokens, passes
end

--- Add what the first steps showed.
--- @param seen {calls: table[][], forwards: table[], given: table?, updates: integer?, unchanged:
---        boolean, losses: number[], logged: boolean, seconds: number?}  calls: of each step;
---        forwards: { model =, step =, rows =, length = } of all that learns; caches: bytes
function context.after(c, seen)
  c.batches, c.scored = {}, {}
  forwards(c, seen.forwards, seen.caches)
  for _, call in ipairs(seen.calls[1] or {}) do
    if call.loss then c.batches[#c.batches + 1] = call.batch
    elseif call.updates == 0 then c.scored[#c.scored + 1] = call.batch.ids end -- PPO scores again
  end
  if #c.batches > 0 then count(c) end
  if seen.given then rates(c, seen.given) else c.rates = {} end
  local a, b = seen.calls[1] and seen.calls[1][1], seen.calls[2] and seen.calls[2][1]
  if a and b and c.total > 1 then
    local x, y = a.batch.ids, b.batch.ids
    c.same_batch = table.concat(x:shape(), " ") == table.concat(y:shape(), " ")
                   and x:eq(y):all():item()
  end
  c.updates, c.unchanged, c.logged = seen.updates, seen.unchanged, seen.logged
  c.loss = seen.losses[1]
  c.eta = seen.seconds and seen.seconds * c.total
  local schedule = package.loaded["moonlit.optim.schedule"]
  c.schedules = schedule and schedule.used() or {}
  return c
end

return context
