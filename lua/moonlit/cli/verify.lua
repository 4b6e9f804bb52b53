--- moonlit verify RUN: is everything in a run's directory what was written? Every file of every
--- checkpoint is read and hashed, of a pipeline those of all stages. No code of the run is loaded.
local argparse = require "argparse"
local fail = require "moonlit.run.fail"
local verify = require "moonlit.run.verify"

local command = { summary = "check the hashes of a run or a pipeline" }

local function parser()
  local p = argparse("moonlit verify", "Read and hash every file of a run or a pipeline.")
  p:argument("run", "its directory")
  return p
end

--- @param args string[]
function command.run(args)
  local dir = parser():parse(args).run
  local found = verify(dir)
  for _, line in ipairs(found.good) do print("ok   " .. line) end
  for _, line in ipairs(found.bad) do print("BAD  " .. line) end
  if #found.bad > 0 then
    fail("%s: %d of %d are not what was written", dir, #found.bad, #found.bad + #found.good)
  end
  print(("%s: all is as it was written: %d files, %.1f MB"):format(dir, found.count,
                                                                  found.bytes / 1e6))
end

return command
