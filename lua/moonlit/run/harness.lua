--- What the command line said to the harness itself: ml.knobs fills it in, ml.run reads it.
--- A program that calls ml.run without ml.knobs gets the defaults.
local fail = require "moonlit.fail"
local options = require "moonlit.options"

local harness = {
  scratch = nil, -- moonlit check: the directory that a run gets, whatever it asks for
  stop_at = nil, -- a replay: the step to end the process after
  help = { "--out DIR     the run's directory", "--resume      go on with the run that is there",
           "--threads N   kernel threads", "--quiet       no progress",
           "--from NAME   a pipeline's: this stage and those after it anew",
           "--only NAME   a pipeline's: this stage anew, no other", "--help        this" },
}

function harness.reset()
  harness.out, harness.threads, harness.resume, harness.quiet = nil, nil, false, false
  harness.from, harness.only, harness.help_asked = nil, nil, false
  harness.config = {} -- path -> value of every knob
end
harness.reset()

local valued = { out = true, threads = true, from = true, only = true }

local function count(text)
  local n = math.tointeger(tonumber(text))
  if not n or n < 1 or n > 64 then
    fail('--threads must be an integer from 1 to 64, got "%s"', text)
  end
  return n
end

--- Understand args[i]; returns how many arguments it took, 0 when it is no option.
function harness.take(args, i)
  local name, value = args[i]:match("^%-%-?([%w-]+)=?(.*)$")
  if not name then return 0 end
  if name == "help" or name == "h" then harness.help_asked = true return 1 end
  if name == "resume" then harness.resume = true return 1 end
  if name == "quiet" then harness.quiet = true return 1 end
  if not valued[name] then
    fail("unknown option %s", options.unknown("--" .. name, { "--out", "--resume", "--threads",
                                                             "--quiet", "--from", "--only",
                                                             "--help" }))
  end
  local used = args[i]:find("=", 1, true) and 1 or 2
  if used == 2 then value = args[i + 1] end
  if not value or value == "" then fail("--%s needs a value", name) end
  harness[name] = name == "threads" and count(value) or value
  if harness.from and harness.only then fail("--from and --only exclude each other") end
  return used
end

return harness
