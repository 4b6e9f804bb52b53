--- moonlit compare A B: what two runs were given that differs, the first step at which they part,
--- and the first module. No code of theirs is run. Exit code 1 where they differ.
local argparse = require "argparse"
local compare = require "moonlit.run.compare"
local printable = require "moonlit.text.printable"

local command = { summary = "where two runs part" }

local function say(name, format, ...)
  print(printable(("%-8s"):format(name) .. format:format(...)))
end

local function pairs_of(name, list)
  for _, d in ipairs(list) do say(name, "%s: %s | %s", d[1], d[2], d[3]) end
end

local function describe(m)
  if m.missing then return m.name .. ", which one of them does not have" end
  if m.shapes then return ("%s, %s | %s"):format(m.name, m.shapes[1], m.shapes[2]) end
  return ("%s, %d of %d elements, %.3g of its size apart"):format(m.name, m.differ, m.of,
                                                                  m.relative)
end

local function tell_weights(d)
  if d.same_weights then say("weights", "logged alike at step %d", d.same_weights) end
  if d.other_weights then say("weights", "logged differently at step %d", d.other_weights) end
  local w = d.weights
  if not w then return end
  say("module", "checkpoint of step %d, first: %s", w.step, describe(w.first))
  if w.furthest ~= w.first then say("module", "furthest apart: %s", describe(w.furthest)) end
  say("module", "%d modules differ", w.count)
end

local function tell(d)
  pairs_of("knob", d.knobs)
  if d.recipe then say("recipe", "the texts differ") end
  pairs_of("data", d.data)
  pairs_of("process", d.process)
  if d.metrics then pairs_of(("step %d"):format(d.metrics.step), d.metrics.values) end
  local s = d.step
  if s and s.loss then say(("step %d"):format(s.step), "loss: %s | %s", s.loss[1], s.loss[2]) end
  if s and s.norm then
    say(("step %d"):format(s.step), "gradient norm: %s | %s", s.norm[1], s.norm[2])
  end
  tell_weights(d)
  if d.equal then say("same", "every step both have, up to %d, and every weight", d.last) end
end

--- @param args string[]
function command.run(args)
  local p = argparse("moonlit compare", "Say where two runs part.")
  p:argument("a", "a run's directory")
  p:argument("b", "another's")
  local o = p:parse(args)
  local d = compare(o.a, o.b)
  tell(d)
  if not d.equal then os.exit(1, true) end
end

return command
