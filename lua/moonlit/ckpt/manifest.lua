--- manifest.json: what every file of a checkpoint must be, and so what is wrong with one.
---
---   local wrong, manifest = manifest.fault("runs/mine/ckpt/step-200")     -- nil: it is whole
---
--- It lists size, SHA-256 and the CRC-32C of every chunk of 1 MiB; its own last member is the
--- SHA-256 of all that stands before it. Nothing else in the directory is read.
local core = require "moonlit.core"
local json = require "moonlit.json"
local options = require "moonlit.options"

local manifest = {}

local CHUNK = 1 << 20

local function read(path)
  local file, err = io.open(path, "rb")
  if not file then return nil, err end
  local text = file:read("a")
  file:close()
  return text or ""
end

--- The manifest of a directory, or nil and what is wrong with it.
function manifest.read(dir)
  local text, err = read(dir .. "/manifest.json")
  if not text then return nil, err end
  local body, check = text:match('^(.*),\n  "check": "(%x+)"\n}\n$')
  if not body then
    return nil, "manifest.json is not what was written, or an older moonlit wrote it"
  elseif core.sys.sha256(body) ~= check then
    return nil, "manifest.json is not what was written"
  end
  return json.decode(text)
end

-- the bytes of the first chunk that differs
local function place(crcs, want, bytes)
  for at = 1, #want, 8 do
    if crcs:sub(at, at + 7) ~= want:sub(at, at + 7) then
      local from = (at - 1) // 8 * CHUNK
      return ("between bytes %d and %d"):format(from, math.min(from + CHUNK, bytes))
    end
  end
  return "everywhere"
end

-- a manifest may come from elsewhere: names stay inside the directory
local function described(name, want)
  return type(want) == "table" and math.type(want.bytes) == "integer"
         and type(want.sha256) == "string" and type(want.crc32c) == "string"
         and not name:find "[/\0]" and name ~= ".."
end

local function file_fault(dir, name, want)
  if not described(name, want) then return ("manifest.json: %q is not described"):format(name) end
  local hash, bytes, crcs = core.ckpt.hash_file(dir .. "/" .. name)
  if not hash then return bytes end
  if bytes ~= want.bytes then
    return ("%s is not what was written: %d bytes instead of %d"):format(name, bytes, want.bytes)
  elseif hash ~= want.sha256 or crcs ~= want.crc32c then
    return ("%s is not what was written: it differs %s"):format(name,
                                                                place(crcs, want.crc32c, bytes))
  end
end

--- What is wrong with a checkpoint's directory, or nil; and its manifest.
--- @param dir string
--- @param only? table<string, boolean>  look at these files alone
function manifest.fault(dir, only)
  local m, err = manifest.read(dir)
  if not m then return err end
  for _, name in ipairs({ "model.safetensors", "state.json" }) do
    if not (type(m.files) == "table" and m.files[name]) then
      return name .. " is not in its manifest", m
    end
  end
  if m.weights ~= nil and type(m.weights) ~= "string" then
    return "manifest.json: weights must be a hash", m
  end
  for _, name in ipairs(options.keys(m.files)) do
    local wrong = (not only or only[name]) and file_fault(dir, name, m.files[name])
    if wrong then return wrong, m end
  end
  return nil, m
end

return manifest
