--- moonlit verify RUN: is everything in a run's directory what was written? Every file of every
--- checkpoint is read and hashed, of a pipeline those of all stages. No code of the run is loaded.
---
--- --replay N and --segments K run its recipe again, for steps it has run, and compare the bits:
--- moonlit.run.replay says where that happens.
local argparse = require "argparse"
local core = require "moonlit.core"
local fail = require "moonlit.fail"
local printable = require "moonlit.text.printable"
local replay = require "moonlit.run.replay"
local subject = require "moonlit.cli.subject"
local verify = require "moonlit.run.verify"

local command = { summary = "check the hashes of a run, or run steps of it again" }

local function parser()
  local p = argparse("moonlit verify", "Read and hash every file of a run or a pipeline; or run "
    .. "steps of a run again, where it was started, and compare their bits.")
  p:argument("run", "its directory")
  p:mutex(p:option("--replay", "run the last N steps that follow a checkpoint again"):argname "N",
          p:option("--segments", "run K stretches between checkpoints again"):argname "K")
  p:option("--seed", "which stretches", "1")
  p:option("--threads", "kernel threads"):argname "N"
  p:option("--minutes", "that each stretch may take", "60")
  p:option("--memory", "GB for a recipe that was written elsewhere", "16")
  return p
end

local function say(line) print(printable(line)) end

local function hash(dir)
  local found = verify(dir)
  for _, line in ipairs(found.good) do print("ok   " .. line) end
  for _, line in ipairs(found.bad) do print("BAD  " .. line) end
  if #found.bad > 0 then
    fail("%s: %d of %d are not what was written", dir, #found.bad, #found.bad + #found.good)
  end
  print(("%s: all is as it was written: %d files, %.1f MB"):format(dir, found.count,
                                                                  found.bytes / 1e6))
end

local function whole(o, name, least)
  return o[name] and math.tointeger(subject.number(o[name], "--" .. name, least, "integer"))
end

local function again(o)
  local threads = whole(o, "threads", 1)
  if threads then core.sys.threads(threads) end
  local minutes, gigabytes = subject.number(o.minutes, "--minutes", 0.01),
                             subject.number(o.memory, "--memory", 0.1)
  local d = replay(o.run, { steps = whole(o, "replay", 1), segments = whole(o, "segments", 1),
                            seed = whole(o, "seed", 0), seconds = math.ceil(minutes * 60),
                            memory = math.ceil(gigabytes * 1e9), say = say })
  local bad = 0
  for _, part in ipairs(d.parts) do
    local where = ("steps %d to %d"):format(part.from + 1, part.to)
    if part.bad then
      bad = bad + 1
      say(("BAD  %s: %s"):format(where, part.bad))
      if part.output then say(part.output) end
    else
      say(("ok   %s: %d lines of hashes.log, every bit alike"):format(where, part.lines))
    end
  end
  if bad > 0 then fail("%s: %d of %d stretches are not what it logged", o.run, bad, #d.parts) end
  print(o.segments and ("%s: %d stretches, picked with seed %s"):format(o.run, #d.parts, o.seed)
        or o.run .. ": it does what it logged")
end

--- @param args string[]
function command.run(args)
  local o = parser():parse(args)
  if o.replay or o.segments then again(o) else hash(o.run) end
end

return command
