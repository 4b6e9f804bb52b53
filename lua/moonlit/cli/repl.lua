--- moonlit repl: Lua with `ml` at hand. A line that is an expression shows its value, `_` is the
--- last one; an unfinished statement goes on on the next line; ?name tells what a function of the
--- core does.
local meta = require "moonlit.meta"
local options = require "moonlit.options"
local reader = require "moonlit.cli.reader"

local repl = { summary = "Lua with ml at hand" }

-- the chunk of a text, or nil, message, and whether more lines could complete it
local function compile(text, env)
  local chunk = load("return " .. text, "=repl", "t", env)
  if chunk then return chunk end
  local err
  chunk, err = load(text, "=repl", "t", env)
  return chunk, err, not chunk and err:find("<eof>", 1, true) ~= nil
end

local function show(env, ok, ...)
  if not ok then
    io.stderr:write(tostring((...)), "\n")
  elseif select("#", ...) > 0 then
    env._ = ...
    print(...)
  end
end

local function help(name)
  local entry = meta.find(name)
  if entry then print(meta.text(entry))
  else print("no help on " .. options.unknown(name, meta.names())) end
end

-- a whole statement: run it; else say so
local function evaluate(env, text)
  local chunk, err, unfinished = compile(text, env)
  if chunk then show(env, xpcall(chunk, tostring))
  elseif not unfinished then io.stderr:write(err, "\n") end
  return not unfinished
end

--- @param _ string[]     arguments: none
--- @param read? fun(prompt: string): string|nil  where lines come from
function repl.run(_, read)
  local env = setmetatable({ ml = require "moonlit" }, { __index = _G })
  read = read or reader()
  local text = ""
  while true do
    local line = read(text == "" and "> " or ">> ")
    if not line then break end
    local asked = text == "" and line:match("^%s*%?%s*([%w_.:]+)%s*$")
    if asked then
      help(asked)
    else
      text = text == "" and line or text .. "\n" .. line
      if evaluate(env, text) then text = "" end
    end
  end
end

return repl
