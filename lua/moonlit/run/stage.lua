--- A stage of a pipeline: its arguments, the key of all that its result depends on, and what it
--- left behind. A stage is a recipe run as a process of its own, with --out DIR.
local ckpt = require "moonlit.ckpt"
local core = require "moonlit.core"
local fail = require "moonlit.fail"
local files = require "moonlit.run.files"
local json = require "moonlit.json"
local lfs = require "lfs"
local options = require "moonlit.options"
local version = require "moonlit.version"
local must = files.must

local stage = {}

-- ---- arguments ----

-- the text that ml.knobs reads as this value, or nil
local function text_of(v)
  if type(v) == "string" or type(v) == "boolean" then return tostring(v) end
  if math.type(v) == "integer" then return ("%d"):format(v) end
  if type(v) == "number" and v == v then return json.encode(v) end
  if type(v) ~= "table" or #v == 0 then return nil end
  local parts = {}
  for i, x in ipairs(v) do
    parts[i] = type(x) ~= "table" and text_of(x) or nil
    if not parts[i] or parts[i]:find(",", 1, true) then return nil end
  end
  return table.concat(parts, ",")
end

local function flatten(knobs, prefix, into, who)
  for _, name in ipairs(options.keys(knobs)) do
    local path, v = prefix .. tostring(name), knobs[name]
    if not path:find("^[%a_][%w_.%-]*$") then
      error(('%s: "%s" is not the name of a knob'):format(who, path), 4)
    end
    if type(v) == "table" and #v == 0 and next(v) ~= nil then
      flatten(v, path .. ".", into, who)
    else
      into[path] = text_of(v)
      if not into[path] then
        error(("%s: %s must be a number, a boolean, a string or a list of them, got %s"):format(
          who, path, type(v)), 4)
      end
    end
  end
  return into
end

--- Knobs as texts: { ["train.lr"] = "0.001" }.
function stage.knobs(knobs, who) return flatten(knobs, "", {}, who) end

--- The recipe's arguments, sorted: knobs, and inputs as knobs that name directories.
function stage.arguments(knobs, inputs)
  local list = {}
  for _, name in ipairs(options.keys(knobs)) do list[#list + 1] = name .. "=" .. knobs[name] end
  for _, name in ipairs(options.keys(inputs)) do
    list[#list + 1] = name .. "=" .. inputs[name].path
  end
  table.sort(list)
  return list
end

--- SHA-256 of what the result depends on: never of where it lies or of how it is computed.
--- @param source string  the recipe's text
function stage.key(source, knobs, inputs)
  local digests = {}
  for name, input in pairs(inputs) do digests[name] = input.sha256 end
  return core.sys.sha256(json.encode { recipe = core.sys.sha256(source), knobs = knobs,
    inputs = digests, numerics = version.numerics, moonlit = version.moonlit })
end

-- ---- what is in a directory ----

-- of a run: what describes the process, differs from time to time, or is only for going on
local aside = { ["run.json"] = true, ["config.json"] = true, ["log.txt"] = true, lock = true,
                ["metrics.jsonl"] = true, ["hashes.log"] = true, ["samples.jsonl"] = true,
                ["events.out.tfevents.moonlit"] = true, ["stage.json"] = true,
                ["recipe.lua"] = true, ckpt = true }
local to_go_on = { ["state.json"] = true, ["optim.safetensors"] = true }
-- results are checked like the rest, but who takes this stage as input does not read them
local not_input = { ["results.json"] = true }

local function stat(path)
  local a = lfs.attributes(path)
  return a and { bytes = a.size, modified = a.modification }
end

local function same_stat(a, b) return a and a.bytes == b.bytes and a.modified == b.modified end

-- hash a file, unless `known` has a hash of one that looked the same
local function describe(path, known)
  local now = stat(path)
  local before = known[path]
  if before and now and same_stat(now, before) then
    now.sha256 = before.sha256
    return now
  end
  now = now or {}
  now.sha256 = must(ckpt.hash_file(path))
  known[path] = now
  return now
end

local function walk(dir, prefix, skip, known, into, depth)
  if depth > 32 then fail("pipeline: %s: folders in folders without end", dir) end
  for _, name in ipairs(files.entries(dir)) do
    local path = dir .. "/" .. name
    local folder = lfs.attributes(path, "mode") == "directory"
    if folder and not skip[name] then
      walk(path, prefix .. name .. "/", {}, known, into, depth + 1)
    elseif not folder and not skip[name] then
      into[prefix .. name] = describe(path, known)
    end
  end
end

-- the newest checkpoint's files, by the hashes it was written with
local function add_checkpoint(dir, into)
  local latest = files.read(dir .. "/ckpt/latest")
  if not latest then return end
  local prefix = "ckpt/" .. latest:match("^[^\n]*") .. "/"
  local manifest = must(json.load(dir .. "/" .. prefix .. "manifest.json"))
  for _, name in ipairs(options.keys(manifest.files)) do
    if not to_go_on[name] then
      local f = stat(dir .. "/" .. prefix .. name)
      if not f or f.bytes ~= manifest.files[name].bytes then
        fail("pipeline: %s/%s%s is not what was written", dir, prefix, name)
      end
      f.sha256 = manifest.files[name].sha256
      into[prefix .. name] = f
    end
  end
end

--- The files others may use: name -> { sha256, bytes, modified }.
--- @param path string  a run's directory, any other, or a file
--- @param known table  path -> the same, of files hashed before; filled
function stage.files(path, known)
  local list = {}
  local mode = lfs.attributes(path, "mode")
  if mode == "directory" then
    local is_run = files.exists(path .. "/run.json")
    walk(path, "", is_run and aside or {}, known, list, 1)
    if is_run then add_checkpoint(path, list) end
  elseif mode then
    list[""] = describe(path, known)
  end
  return list
end

--- One hash for files: of their names and contents.
function stage.digest(list)
  local lines = {}
  for _, name in ipairs(options.keys(list)) do
    if not not_input[name] then lines[#lines + 1] = name .. " " .. list[name].sha256 .. "\n" end
  end
  return core.sys.sha256(lines)
end

--- Is a finished stage's directory as it was left? Files that look the same are not read. Returns
--- nil and the name of one that is not.
function stage.intact(dir, info)
  for _, name in ipairs(options.keys(info.files)) do
    local path, want = dir .. "/" .. name, info.files[name]
    local now = stat(path)
    if not now or now.bytes ~= want.bytes then return nil, name end
    if now.modified ~= want.modified and ckpt.hash_file(path) ~= want.sha256 then
      return nil, name
    end
  end
  return true
end

--- What stage.json says, or nil.
function stage.load(dir)
  local info = files.exists(dir .. "/stage.json") and json.load(dir .. "/stage.json")
  return type(info) == "table" and info.key and info or nil
end

function stage.save(dir, info) must(json.save(dir .. "/stage.json", info)) end

return stage
