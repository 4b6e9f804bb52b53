--- moonlit curate data=PATH [key=value ...]: recipes/curate.lua.
local run = require "moonlit.cli.run"

return {
  summary = "make documents of raw text",
  --- @param args string[]
  run = function(args) run.recipe("curate", args) end,
}
