--- The progress of a run on stderr: one line that rewrites itself on a terminal, else a plain line
--- every few seconds, so that a log stays short.
local core = require "moonlit.core"

local progress = {}
progress.__index = progress

local EVERY_TERMINAL, EVERY_PLAIN = 0.1, 5 -- seconds

-- 12345 -> "12.3k"
local function short(n)
  if n >= 1e6 then return ("%.1fM"):format(n / 1e6) end
  if n >= 1e3 then return ("%.1fk"):format(n / 1e3) end
  return ("%.0f"):format(n)
end

local function duration(s)
  s = math.floor(s + 0.5)
  if s >= 3600 then return ("%dh%02dm"):format(s // 3600, s % 3600 // 60) end
  if s >= 60 then return ("%dm%02ds"):format(s // 60, s % 60) end
  return ("%ds"):format(s)
end

--- @param total integer  steps
--- @param first integer  steps done before (a resumed run)
--- @param quiet boolean
--- @param cost? number    seconds a token takes at the machine's peak (moonlit.run.speed)
function progress.new(total, first, quiet, cost)
  return setmetatable({ total = total, first = first, quiet = quiet, cost = cost,
                        started = core.sys.clock(), shown = -math.huge, width = 0,
                        terminal = not quiet and os.execute("test -t 2") == true }, progress)
end

local function number(name, form, value)
  return type(value) == "number" and ("  %s " .. form):format(name, value) or ""
end

-- the line for a step; tokens: learned from by this process so far
function progress:line(step, values, tokens)
  local elapsed = core.sys.clock() - self.started
  local done = step - self.first
  local out = ("step %d/%d %3d%%"):format(step, self.total, step * 100 // math.max(1, self.total))
    .. number("loss", "%.4f", values.loss) .. number("lr", "%.2e", values.lr)
    .. number("norm", "%.3f", values.norm)
  if tokens > 0 and elapsed > 0 then
    local rate = tokens / elapsed
    out = out .. ("  %s tok/s"):format(short(rate))
    if self.cost then out = out .. (" (%.0f%% of peak)"):format(100 * rate * self.cost) end
  end
  out = out .. ("  rss %.0f MB"):format(core.sys.rss() / 1e6)
  if done > 0 and step < self.total then
    out = out .. "  eta " .. duration(elapsed / done * (self.total - step))
  end
  return out
end

--- Show a step, if it is time to.
function progress:update(step, values, tokens)
  if self.quiet then return end
  local now = core.sys.clock()
  local due = now - self.shown >= (self.terminal and EVERY_TERMINAL or EVERY_PLAIN)
  if not due and step < self.total then return end
  self.shown = now
  local line = self:line(step, values, tokens)
  if self.terminal then
    io.stderr:write("\r", line, (" "):rep(self.width - #line))
    self.width = #line
  else
    io.stderr:write(line, "\n")
  end
  io.stderr:flush()
end

--- Make room for other output: the rewriting line is gone until the next update.
function progress:clear()
  if not self.terminal or self.width == 0 then return end
  io.stderr:write("\r", (" "):rep(self.width), "\r")
  io.stderr:flush()
  self.width, self.shown = 0, -math.huge
end

--- Leave the line where it is and go on below it.
function progress:close()
  if self.terminal and self.width > 0 then io.stderr:write("\n") end
  self.width = 0
end

return progress
