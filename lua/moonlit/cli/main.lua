#!/usr/bin/env lua5.4
--- The command `moonlit`. A subcommand is a module moonlit.cli.<name> with a summary and run(args);
--- it is loaded only when it is called.
local argparse = require "argparse"

-- in the order of --help
local commands = { "run", "repl", "curate", "inspect", "chat", "eval", "report", "compare", "top",
                   "check", "verify", "version" }

local function parser()
  local p = argparse("moonlit", "Train language models from Lua.")
    :epilog("A recipe's own knobs: moonlit run RECIPE.lua --help")
  p:flag("--version -v", "print the version"):action(function()
    require("moonlit.cli.version").run()
    os.exit(0)
  end)
  p:command_target("command")
  for _, name in ipairs(commands) do
    p:command(name, require("moonlit.cli." .. name).summary)
  end
  return p
end

local function main(args)
  local name = args[1]
  for _, known in ipairs(commands) do
    -- a command reads its own arguments: those after a recipe belong to the recipe
    if name == known then
      return require("moonlit.cli." .. name).run(table.move(args, 2, #args, 1, {}))
    end
  end
  if name == nil then args = { "--help" } end
  return parser():parse(args) -- help, version, or what is wrong with the name
end

-- an error made for the reader at the shell is shown bare; any other keeps its traceback
local function explain(err)
  local meta = getmetatable(err)
  if type(meta) == "table" and meta.__name == "moonlit.Message" then return tostring(err) end
  return debug.traceback(tostring(err), 2)
end

local ok, err = xpcall(main, explain, arg)
if not ok then
  io.stderr:write("moonlit: ", err, "\n")
  os.exit(1, true)
end
