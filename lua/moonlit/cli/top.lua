--- moonlit top RUN [NAME ...]: the curves of a run in the terminal, in braille, as it goes on;
--- where there is no terminal, once. Reads metrics.jsonl and run.json; Ctrl-C ends it, and so does
--- the run's end.
local argparse = require "argparse"
local core = require "moonlit.core"
local fail = require "moonlit.fail"
local files = require "moonlit.run.files"
local json = require "moonlit.json"
local options = require "moonlit.options"
local plot = require "moonlit.text.braille"
local printable = require "moonlit.text.printable"

local top = { summary = "a run's curves in the terminal" }

-- ---- reading what was added ----

-- a log that is read piece by piece; cut back by a resume, it is read again
local Tail = {}
Tail.__index = Tail

function Tail.new(path) return setmetatable({ path = path, at = 0, rest = "", rows = {} }, Tail) end

-- whole lines of what was added; false where they do not continue those before
local function take(self, text)
  local whole = text:match "^.*\n" or ""
  self.rest = text:sub(#whole + 1)
  for line in whole:gmatch "[^\n]+" do
    local row, before = json.decode(line), self.rows[#self.rows]
    if type(row) ~= "table" or math.type(row.step) ~= "integer"
       or before and row.step < before.step then return false end
    self.rows[#self.rows + 1] = row
  end
  return true
end

function Tail:read()
  local file <close> = io.open(self.path, "rb")
  if not file then return end
  for _ = 1, 2 do
    if file:seek "end" < self.at then self.at, self.rest, self.rows = 0, "", {} end
    file:seek("set", self.at)
    local new = file:read "a"
    self.at = self.at + #new
    if take(self, self.rest .. new) then return end
    self.at = math.huge -- cut back and grown again: all of it once more
  end
end

-- ---- showing ----

local own = { step = true, seconds = true, from = true, left_out = true }
local early = { loss = 1, lr = 3, norm = 2 } -- these first, the others by name

local function curves_of(rows)
  local seen = {}
  for _, row in ipairs(rows) do
    for k, v in pairs(row) do if type(v) == "number" and not own[k] then seen[k] = true end end
  end
  local names = options.keys(seen)
  table.sort(names, function(a, b)
    local x, y = early[a] or 4, early[b] or 4
    if x ~= y then return x < y end
    return a < b
  end)
  return names
end

local function points(rows, name)
  local list = {}
  for _, row in ipairs(rows) do
    if type(row[name]) == "number" then list[#list + 1] = { row.step, row[name] } end
  end
  return list
end

local function headline(dir, info, rows)
  local last = rows[#rows] or { step = 0 }
  local parts = { dir, tostring(info.status or "?"),
                  ("step %d of %s"):format(last.step, tostring(info.steps or "?")) }
  if type(last.seconds) == "number" and last.seconds > 0 and last.step > 0 then
    parts[#parts + 1] = ("%.3g s a step"):format(last.seconds / last.step)
    if math.type(info.steps) == "integer" and info.status == "running" then
      parts[#parts + 1] = ("%.0f s left"):format((info.steps - last.step) * last.seconds
                                                 / last.step)
    end
  end
  return table.concat(parts, "  ")
end

-- looked at before the log: the last lines of a run that is over are there then
local function read_info(dir) return json.load(dir .. "/run.json") or {} end

--- The picture of a run.
--- @param dir string
--- @param info table    what run.json says
--- @param rows table[]  of metrics.jsonl
--- @param size {width: integer, height: integer}  of the terminal
--- @param only? string[]  names of the curves to show
--- @return string[] lines
function top.lines(dir, info, rows, size, only)
  local out = { headline(dir, info, rows) }
  local names = only and #only > 0 and only or curves_of(rows)
  if #names == 0 or #rows == 0 then out[2] = "nothing is logged yet" return out end
  local room = math.max(3, (size.height - 2) // math.min(#names, 4) - 2)
  for i = 1, math.min(#names, math.max(1, (size.height - 1) // (room + 2))) do
    for _, line in ipairs(plot(points(rows, names[i]), { title = names[i], width = size.width,
                                                         height = room })) do
      out[#out + 1] = line
    end
  end
  if #names > 4 and not (only and #only > 0) then
    out[#out + 1] = "more: " .. table.concat(names, " ", 5) .. " (moonlit top RUN NAME ...)"
  end
  for i, line in ipairs(out) do out[i] = printable(line) end
  return out
end

local function terminal_size()
  local pipe = io.popen "stty size 2>/dev/null </dev/tty"
  local rows, columns = (pipe and pipe:read "a" or ""):match "(%d+) (%d+)"
  if pipe then pipe:close() end
  return { height = tonumber(rows) or 24, width = tonumber(columns) or 80 }
end

-- ---- the command ----

local function parser()
  local p = argparse("moonlit top", "Show a run's curves, and go on as it does.")
  p:argument("run", "its directory")
  p:argument("curves", "names, such as loss; all unless given"):args "*"
  p:option("--every", "seconds between two looks"):default "1":convert(function(s)
    local v = tonumber(s)
    if v and v >= 0.1 and v <= 3600 then return v end
    return nil, ("--every must be from 0.1 to 3600, got %q"):format(s)
  end)
  p:flag("--once", "show it once")
  p:option("--width", "columns; the terminal's unless given"):convert(tonumber)
  p:option("--height", "lines; the terminal's unless given"):convert(tonumber)
  return p
end

local function show(lines, again)
  if again then io.stdout:write "\27[H\27[J" end
  io.stdout:write(table.concat(lines, "\n"), "\n")
  io.stdout:flush()
end

-- until Ctrl-C or the end of the run
local function follow(dir, tail, o, size)
  core.sys.signals(true)
  local _ <close> = setmetatable({}, { __close = function() core.sys.signals(false) end })
  repeat
    local info = read_info(dir)
    tail:read()
    show(top.lines(dir, info, tail.rows, size(), o.curves), true)
    local over = info.status ~= "running"
    if not over then core.sys.spawn { "sleep", ("%g"):format(o.every) } end
  until over or core.sys.signal()
end

--- @param args string[]
function top.run(args)
  local o = parser():parse(args)
  if not files.exists(o.run .. "/run.json") then
    fail("top: %s is not the directory of a run", o.run)
  end
  local function size()
    local found = terminal_size()
    return { width = math.max(20, o.width or found.width),
             height = math.max(6, o.height or found.height) }
  end
  local tail = Tail.new(o.run .. "/metrics.jsonl")
  if o.once or os.execute "test -t 1" ~= true then
    local info = read_info(o.run)
    tail:read()
    return show(top.lines(o.run, info, tail.rows, size(), o.curves))
  end
  follow(o.run, tail, o, size)
end

return top
