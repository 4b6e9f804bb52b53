--- The file work of a run's directory: which directory, logs that a resume cuts back, removal.
local core = require "moonlit.core"
local fail = require "moonlit.fail"
local lfs = require "lfs"
local must = require "moonlit.must" "run"

local files = { must = must }

function files.exists(path) return lfs.attributes(path, "mode") ~= nil end

--- Bytes of a file, 0 where there is none.
function files.size(path) return lfs.attributes(path, "size") or 0 end

function files.mkdir(path) return must(core.sys.mkdir(path)) end

--- Entries of a directory in alphabetical order; none if it is not there.
function files.entries(dir)
  local list = {}
  if lfs.attributes(dir, "mode") ~= "directory" then return list end
  for name in lfs.dir(dir) do
    if name ~= "." and name ~= ".." then list[#list + 1] = name end
  end
  table.sort(list)
  return list
end

--- Remove a file, or a directory and what is in it. A link is removed, never followed.
function files.remove(path)
  if lfs.symlinkattributes(path, "mode") == "directory" then
    for _, name in ipairs(files.entries(path)) do files.remove(path .. "/" .. name) end
    lfs.rmdir(path)
  else
    os.remove(path)
  end
end

--- Remove what a process that was killed left half written in a directory.
function files.clean(dir)
  for _, name in ipairs(files.entries(dir)) do
    if name:find "%.tmp$" or name:find("%." .. ("%x"):rep(16) .. "$") then
      files.remove(dir .. "/" .. name)
    end
  end
end

--- A file's text, or nil; with last, its last so many bytes.
function files.read(path, last)
  local file = io.open(path, "rb")
  if not file then return nil end
  if last then file:seek("set", math.max(0, file:seek("end") - last)) end
  local text = file:read("a")
  file:close()
  return text
end

--- Cut a log back to its first `bytes` bytes.
function files.truncate(path, bytes)
  local size = files.size(path)
  if size > bytes then must(core.sys.truncate(path, bytes)) end
  if size < bytes then
    fail("run: %s has %d bytes, the checkpoint knows of %d; it was cut by someone else", path, size,
         bytes)
  end
end

local function holds_run(dir) return files.exists(dir .. "/run.json") end

local function numbered(path, n) return n == 1 and path or ("%s-%d"):format(path, n) end

--- The directory of a run: `out` if given, which must not hold a run unless it is resumed; else
--- `path`, or path-2, path-3 ... where that is taken (the last one taken, to resume).
function files.choose(path, out, resume)
  if out then
    if holds_run(out) and not resume then
      fail("run: %s holds a run; add --resume to go on with it, or choose another --out", out)
    end
    return out
  end
  local n = 1
  while holds_run(numbered(path, n)) do n = n + 1 end
  return numbered(path, resume and math.max(1, n - 1) or n)
end

--- Hold the directory for this process; nobody else may write there until it ends.
function files.lock(dir)
  local file = must(io.open(dir .. "/lock", "w"))
  if not lfs.lock(file, "w") then fail("run: another process is writing in %s", dir) end
  return file
end

return files
