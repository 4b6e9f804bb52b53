--- moonlit report RUN: write report.md, report.json and report.html of a run or a pipeline into its
--- directory, and show the card.
local argparse = require "argparse"
local fail = require "moonlit.fail"
local printable = require "moonlit.text.printable"
local write = require "moonlit.run.report"

local report = { summary = "write the report of a run or a pipeline" }

--- @param args string[]
function report.run(args)
  local p = argparse("moonlit report", "Write report.md, report.json and report.html into RUN.")
  p:argument("run", "a run's directory, or a pipeline's")
  local out, err = write(p:parse(args).run)
  if not out then fail("%s", err) end
  io.write(write.card(out.data))
  print(printable(out.html))
end

return report
