-- disturb.lua -- what the crash tests share: run a recipe with something happening to it (shim.c),
-- and look at what is left. A run counts as unharmed when its last line (the hash of its weights)
-- and its logs are those of the run nobody disturbed.
local checkpoint = require "moonlit.run.checkpoint"
local ckpt = require "moonlit.ckpt"
local core = require "moonlit.core"
local files = require "moonlit.run.files"
local json = require "moonlit.json"
local manifest = require "moonlit.ckpt.manifest"

local disturb = {}

disturb.recipe = "tests/crash/recipe.lua"

-- a kill loses nothing that was written, so memory will do, and spares the disk
function disturb.place()
  local base = files.exists("/dev/shm") and "/dev/shm" or "/tmp"
  local name = ("%s/moonlit-crash-%s"):format(base, os.tmpname():match("[^/]*$"))
  assert(core.sys.mkdir(name))
  return name
end

local function shim() return (os.getenv("LUA_CPATH"):match("^(.*)/%?%.so")) .. "/tests/shim.so" end

--- Run a recipe.
--- @param how {dir: string, arguments: string?, recipe: string?, before: string?, seconds: number?}
---        and of the shim kill, torn, full, trace, clock; before: of the command, such as
---        "nice -n 19"; seconds: kill -9 after so many
--- @return integer, string  exit code (128 + signal), what it printed
function disturb.run(how)
  local environment, any = {}, false
  for _, name in ipairs { "kill", "torn", "full", "trace", "clock" } do
    if how[name] then
      any = true
      environment[#environment + 1] = ("MOONLIT_IO_%s=%s"):format(name:upper(), how[name])
    end
  end
  if any then
    environment[#environment + 1] = ("MOONLIT_IO_DIR=%s LD_PRELOAD=%s"):format(
      how.dir:match("^(.*)/"), shim())
  end
  local command = ("%s env %s timeout -s KILL %s lua5.4 %s --quiet --threads 1 --out %s %s"):format(
    how.before or "", table.concat(environment, " "), how.seconds or 300,
    how.recipe or disturb.recipe, how.dir, how.arguments or "")
  local pipe = io.popen(("exec 2>&1; ( %s ); echo $?"):format(command))
  local text, code = pipe:read("a"):match("^(.-)(%d+)\n$")
  pipe:close()
  return math.tointeger(tonumber(code)), text
end

--- The same once more, to its end.
function disturb.resume(how)
  local again = { dir = how.dir, recipe = how.recipe,
                  arguments = (how.arguments or "") .. " --resume" }
  return disturb.run(again)
end

function disturb.last_line(text) return text:match("([^\n]*)\n$") end

-- what differs from run to run by nature
local function deterministic(text) return (text:gsub('"seconds":[%d.e-]+', "")) end

-- the weights that whoever takes this run as input reads
local function handed_on(dir)
  local m, err = manifest.read(ckpt.resolve(dir))
  return m and "handed on: weights " .. m.weights or err
end

--- The hash of the weights as a run says it, the one it hands on, which checkpoints it keeps, and
--- its logs.
function disturb.outcome(dir, text)
  local list = { disturb.last_line(text) or "", handed_on(dir),
                 "kept: " .. table.concat(checkpoint.steps(dir), " ") }
  for _, name in ipairs { "metrics.jsonl", "hashes.log", "samples.jsonl" } do
    list[#list + 1] = deterministic(files.read(dir .. "/" .. name) or "missing")
  end
  return table.concat(list, "\n")
end

--- Checkpoints that verify, and their number.
function disturb.whole(dir)
  local list = {}
  for _, step in ipairs(checkpoint.steps(dir)) do
    if not checkpoint.fault(("%s/ckpt/step-%d"):format(dir, step)) then list[#list + 1] = step end
  end
  return list, #list
end

--- Was a checkpoint finished before this run ended, as its trace says? Its directory has its name,
--- as the call after the renaming began.
function disturb.published(trace)
  local at = select(2, (files.read(trace) or ""):find("rename 0 [^\n]*/ckpt/step%-%d+\n"))
  return at ~= nil and files.read(trace):find("fsync 0 [^\n]*/ckpt\n", at) ~= nil
end

--- Kill a run at its n-th call, look, go on to the end. Returns what is wrong, or nil; and whether
--- it was killed at all (there may be fewer calls).
--- @param how table    as for disturb.run, with kill
--- @param want string  the outcome of the run nobody disturbed
function disturb.kill_and_resume(how, want)
  how.trace = how.dir .. ".trace"
  local code, text = disturb.run(how)
  local killed = code == 128 + 9
  if not killed and code ~= 0 then return "exit code " .. code .. ": " .. text, false end
  local wrong
  local _, n = disturb.whole(how.dir)
  if disturb.published(how.trace) and n == 0 then wrong = "no checkpoint verifies" end
  if killed and not wrong then
    code, text = disturb.resume(how)
    if code ~= 0 then wrong = "the resume ends with " .. code .. ": " .. text end
  end
  if not wrong and disturb.outcome(how.dir, text) ~= want then
    wrong = "other results:\n" .. disturb.outcome(how.dir, text)
  end
  if not wrong then
    for _, name in ipairs(files.entries(how.dir .. "/ckpt")) do
      if name:find("tmp") then wrong = name .. " is left" end
    end
  end
  if not wrong then files.remove(how.dir) end
  os.remove(how.trace)
  return wrong, killed
end

-- ---- the disk is full ----

-- a run that stopped for want of room says so, and what it saved is whole; with room it goes on
local function after_full(how, code, text, want)
  local stopped = code ~= 0
  if stopped and (code ~= 1 or text:find("traceback", 1, true)
                  or not text:find("No space left on device", 1, true)) then
    return ("stops with %d: %s"):format(code, text), true
  end
  for _, step in ipairs(checkpoint.steps(how.dir)) do
    local wrong = checkpoint.fault(("%s/ckpt/step-%d"):format(how.dir, step))
    if wrong then return wrong, stopped end
  end
  if stopped then
    if how.room then how.room() end
    local again = files.exists(how.dir .. "/run.json")
    code, text = (again and disturb.resume or disturb.run) { dir = how.dir,
                                                             arguments = how.arguments }
    if code ~= 0 then return "the resume ends with " .. code .. ": " .. text, stopped end
  end
  if disturb.outcome(how.dir, text) ~= want then return "other results", stopped end
  return nil, stopped
end

--- Run until the disk is full, then with room again. Returns what is wrong, or nil; and whether it
--- stopped.
--- @param how table  as for disturb.run, with full
function disturb.fill_and_resume(how, want)
  local code, text = disturb.run(how)
  local wrong, stopped = after_full(how, code, text, want)
  if not wrong then files.remove(how.dir) end
  return wrong, stopped
end

local DISK = 8192 -- KiB

--- The same on a file system that another process fills up in the first step but for so many KiB.
--- nil, message where none can be mounted, which takes root.
--- @return table|nil {wrong: string?, stopped: boolean}, string?
function disturb.full_disk(place, left, arguments, want)
  local disk = place .. "/disk-of-its-own"
  assert(core.sys.mkdir(disk))
  if not os.execute(("mount -t tmpfs -o size=%dk tmpfs %s 2>/dev/null"):format(DISK, disk)) then
    return nil, "no tmpfs can be mounted"
  end
  local _ <close> = setmetatable({}, { __close = function() os.execute("umount " .. disk) end })
  local how = { dir = disk .. "/run", arguments = arguments }
  function how.room()
    files.remove(disk .. "/filler")
    local config = assert(json.load(how.dir .. "/config.json"))
    config.leave = -1 -- as the resume has it
    assert(json.save(how.dir .. "/config.json", config))
  end
  local code, text = disturb.run { dir = how.dir, arguments = ("%s leave=%d"):format(arguments,
                                                                                     left) }
  local wrong, stopped = after_full(how, code, text, want)
  return { wrong = wrong, stopped = stopped }
end

-- ---- the disk forgets ----

local function patch(path, at, bytes)
  local file = assert(io.open(path, "r+b"))
  file:seek("set", at)
  file:write(bytes)
  file:close()
end

--- Flip a bit of a checkpoint's file, look, and put it back. Returns whether it was seen.
function disturb.flip(dir, name, text, bit)
  local at = bit // 8
  local byte = text:byte(at + 1)
  patch(dir .. "/" .. name, at, string.char(byte ~ (1 << bit % 8)))
  local wrong = checkpoint.fault(dir)
  patch(dir .. "/" .. name, at, string.char(byte))
  return wrong ~= nil
end

--- Cut a checkpoint's file to its first bytes, look, and put it back.
function disturb.cut(dir, name, text, bytes)
  local path = dir .. "/" .. name
  assert(core.sys.truncate(path, bytes))
  local wrong = checkpoint.fault(dir)
  patch(path, bytes, text:sub(bytes + 1))
  return wrong ~= nil
end

--- The files of a checkpoint: name -> bytes.
function disturb.files(dir)
  local list = {}
  for _, name in ipairs(files.entries(dir)) do
    list[#list + 1] = { name = name, text = files.read(dir .. "/" .. name) }
  end
  return list
end

--- Bits of the part of a file that says what the rest is: all of it, but for tensors' data.
function disturb.header_bits(file)
  local bytes = #file.text
  if file.name:find "%.safetensors$" then bytes = 8 + string.unpack("<I8", file.text) end
  return bytes * 8
end

return disturb
