--- Tensors to and from files, by extension: .safetensors (any number, named) and .npy (one).
---
---   assert(ml.ckpt.save("w.safetensors", { a = x, b = y }, { note = "mine" }))
---   local t, metadata = assert(ml.ckpt.load("w.safetensors"))      -- t.a, t.b
---
--- A missing or corrupt file is nil, message, code. Files are replaced whole or not at all.
local core = require "moonlit.core"
local json = require "moonlit.json"
local lfs = require "lfs"
local manifest = require "moonlit.ckpt.manifest"
local options = require "moonlit.options"

local ckpt = { write = core.sys.write, hash_file = core.ckpt.hash_file,
               begin = core.ckpt.begin }

local function is_npy(path) return path:find("%.npy$") ~= nil end

-- { name = tensor } or a list of { name =, tensor = } -> the list, and whether its order counts
local function as_list(tensors, who)
  if type(tensors) ~= "table" then
    error(who .. ": expected a table of tensors, got " .. type(tensors), 3)
  end
  if tensors[1] ~= nil then return tensors, true end
  local list = {}
  for _, name in ipairs(options.keys(tensors)) do
    list[#list + 1] = { name = name, tensor = tensors[name] }
  end
  return list, false
end

--- @param path string
--- @param tensors table   { name = tensor }, written in the format's own order, or a list of
---                        { name =, tensor = }, written in that order; for .npy the tensor itself
--- @param metadata? table<string, string>
--- @return true|nil, string? message, string? code
function ckpt.save(path, tensors, metadata)
  if type(path) ~= "string" then
    error("ckpt.save: path must be a string, got " .. type(path), 2)
  end
  if is_npy(path) and type(tensors) == "userdata" then
    return core.ckpt.save(path, { { name = "", tensor = tensors } }, {}, true)
  end
  local list, ordered = as_list(tensors, "ckpt.save")
  local meta = {}
  for i, key in ipairs(options.keys(metadata or {})) do meta[i] = { key, metadata[key] } end
  return core.ckpt.save(path, list, meta, ordered)
end

--- The tensors in the order of the file.
--- @return {name: string, tensor: Tensor}[]|nil, table metadata
function ckpt.list(path) return core.ckpt.load(path) end

--- @return table<string, Tensor>|nil, table metadata
function ckpt.load(path)
  local list, meta, code = core.ckpt.load(path)
  if not list then return nil, meta, code end
  if is_npy(path) then return list[1].tensor, meta end
  local tensors = {}
  for _, entry in ipairs(list) do tensors[entry.name] = entry.tensor end
  return tensors, meta
end

--- SHA-256 of tensors' elements, in order, as little-endian f32.
--- @param list table  tensors, or { tensor = } entries such as model:parameters() gives
--- @return string hex
function ckpt.hash(list)
  local tensors = {}
  for i, entry in ipairs(list) do
    local t = type(entry) == "table" and entry.tensor or entry
    tensors[i] = t:dtype() == "f32" and t or t:to("f32")
  end
  return core.sys.sha256(tensors)
end

-- { "k" = plain value } of anything that a config may hold
local function plain(value)
  if type(value) ~= "table" then return value end
  local copy = {}
  for k, v in pairs(value) do copy[k] = plain(v) end
  return #value > 0 and json.array(copy) or copy
end

--- The text of a model's config.json.
function ckpt.config(model)
  return json.encode(plain(model:config()), { pretty = true }) .. "\n"
end

--- A model as a directory: config.json, model.safetensors and, if given, tokenizer.json.
--- @param dir string
--- @param model table  anything with config() and state()
--- @param tok? table   anything with save(path)
--- @return true|nil, string? message, string? code
function ckpt.save_model(dir, model, tok)
  local ok, err, code = core.sys.mkdir(dir)
  if ok then ok, err, code = core.sys.write(dir .. "/config.json", ckpt.config(model)) end
  if ok then
    ok, err, code = ckpt.save(dir .. "/model.safetensors", model:state(), { format = "pt" })
  end
  if ok and tok then ok, err, code = tok:save(dir .. "/tokenizer.json") end
  return ok, err, code
end

local function is_there(path) return lfs.attributes(path, "mode") ~= nil end

-- the newest of a run's checkpoints, for one that ended before it could name its first
local function newest(path)
  local most
  for name in lfs.dir(path .. "/ckpt") do
    local step = math.tointeger(tonumber(name:match "^step%-(%d+)$"))
    if step and step > (most or -1) then most = step end
  end
  return most and ("step-%d"):format(most)
end

--- A run's directory stands for its latest checkpoint, any other for itself.
--- @return string dir  of a run that has none yet: where it will be
function ckpt.resolve(path)
  if lfs.attributes(path .. "/ckpt", "mode") ~= "directory" then return path end
  local file = io.open(path .. "/ckpt/latest", "rb")
  local name = file and file:read("l")
  if file then file:close() end
  if not (name and name:find "^step%-%d+$") then name = newest(path) or "latest" end
  return path .. "/ckpt/" .. name
end

-- what a model is read from
local MODEL = { ["config.json"] = true, ["model.safetensors"] = true, ["tokenizer.json"] = true }

--- What save_model wrote, in parts: { config =, state =, tokenizer = path or nil }.
--- A checkpoint's files must be what its manifest says.
--- @param path string  a model's directory, or a run's
function ckpt.load_model(path)
  local dir = ckpt.resolve(path)
  if dir ~= path and not is_there(dir .. "/model.safetensors") then
    return nil, ("%s has no checkpoint yet"):format(path), "io"
  end
  local wrong = is_there(dir .. "/manifest.json") and manifest.fault(dir, MODEL)
  if wrong then return nil, ("%s cannot be used: %s"):format(dir, wrong), "format" end
  local config, err, code = json.load(dir .. "/config.json")
  if not config then return nil, err, code end
  local state
  state, err, code = ckpt.list(dir .. "/model.safetensors")
  if not state then return nil, err, code end
  local tokenizer = dir .. "/tokenizer.json"
  return { config = config, state = state, tokenizer = is_there(tokenizer) and tokenizer or nil }
end

return ckpt
