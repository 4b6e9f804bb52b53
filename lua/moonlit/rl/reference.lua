--- What a reference model says of fixed rows, computed once and kept on disk: training then holds
--- one model.
---
---   local ref = ml.load "runs/sft"
---   assert(ml.rl.reference(ref, rows, { dir = "cache" }))        -- rows[i].ref, along its ids
---   ref = nil
---
--- A file's name is made of the weights, the model's options and the rows: another model or other
--- rows never read it. Log-probabilities are kept id by id, so that a sum over a batch's rows adds
--- up as the policy's own does, to the same bits.
local ckpt = require "moonlit.ckpt"
local core = require "moonlit.core"
local json = require "moonlit.json"
local options = require "moonlit.options"
local rl_batch = require "moonlit.rl.batch"
local tensor = require "moonlit.tensor"

local WHO = "rl.reference"

--- dir: where the files lie; batch: rows of a forward
local defaults = { dir = options.required, batch = 16, temperature = 1 }

local function plain(t)
  local copy = {}
  for k, v in pairs(t) do copy[k] = type(v) == "table" and json.array { table.unpack(v) } or v end
  return copy
end

local function packed(list)
  local parts = { string.pack("<i8", #list) }
  for first = 1, #list, 64 do
    local n = math.min(64, #list - first + 1)
    parts[#parts + 1] = string.pack(("<" .. ("i8"):rep(n)),
                                    table.unpack(list, first, first + n - 1))
  end
  return table.concat(parts)
end

local function key_of(model, rows, o)
  local weights = {}
  for _, p in ipairs(model:state()) do
    weights[#weights + 1] = p.name
    weights[#weights + 1] = p.tensor
  end
  local ids = {}
  for i, row in ipairs(rows) do ids[i] = packed(row.ids) end
  return core.sys.sha256(core.sys.sha256(weights), json.encode(plain(model:config())),
                         core.sys.sha256(ids), ("%.17g"):format(o.temperature))
end

-- one tensor a row, as long as its ids; a batch at a time, so that no more than one is held
local function compute(model, rows, o)
  local out, bare = {}, {}
  for i, row in ipairs(rows) do bare[i] = { ids = row.ids, mask = row.mask } end
  core.autograd.no_grad(function()
    for first = 1, #rows, o.batch do
      local last = math.min(first + o.batch - 1, #rows)
      local b = rl_batch.batch(table.move(bare, first, last, 1, {}))
      local logprobs <close> = model:logprobs(b, { temperature = o.temperature })
      for i = first, last do
        out[i] = logprobs:select(1, i - first + 1):narrow(1, 1, #rows[i].ids):clone()
      end
    end
  end)
  return out
end

local function write(path, list)
  local lengths = {}
  for i, t in ipairs(list) do lengths[i] = t:numel() end
  return ckpt.save(path, { logprobs = core.cat(list),
                           lengths = tensor.tensor(lengths, { dtype = "i64" }) })
end

-- the same out of a file; nil where it is not one of ours
local function read(path, rows)
  local held = ckpt.load(path)
  if not held or not held.logprobs or not held.lengths then return nil end
  local list, at, total = {}, 0, held.logprobs:numel()
  for i, n in ipairs(held.lengths:table()) do
    if not rows[i] or #rows[i].ids ~= n or at + n > total then return nil end
    list[i] = held.logprobs:narrow(1, at + 1, n)
    at = at + n
  end
  return #list == #rows and at == total and list or nil
end

--- Gives every row its `ref`: a list of log p(id | those before), 0 for the first.
--- @param model Model     the reference
--- @param rows table[]    { ids =, mask = }: samples, or both sides of the pairs, one after another
--- @param opt {dir: string, batch: integer?, temperature: number?}
--- @return {path: string, cached: boolean}|nil, string? message, string? code  cached: read, no
---         forward was run; nil where nothing can be written
return function(model, rows, opt)
  local o = options(opt, defaults, WHO)
  if type(rows) ~= "table" or #rows == 0 then
    error(WHO .. ": expected a list of rows, got " ..
          (type(rows) == "table" and "none" or type(rows)), 2)
  end
  local path = ("%s/%s.safetensors"):format(o.dir, key_of(model, rows, o):sub(1, 32))
  local list = read(path, rows)
  local cached = list ~= nil
  if not cached then
    local ok, err, code = core.sys.mkdir(o.dir)
    if not ok then return nil, err, code end
    list = compute(model, rows, o)
    ok, err, code = write(path, list)
    if not ok then return nil, err, code end
  end
  for i, row in ipairs(rows) do row.ref = list[i]:table() end
  return { path = path, cached = cached }
end
