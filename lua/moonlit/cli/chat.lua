--- moonlit chat RUN: talk with the model of a run. Replies stream; Ctrl-C ends a reply, not the
--- session. A model without chat tokens continues what is typed.
local argparse = require "argparse"
local core = require "moonlit.core"
local dialogue = require "moonlit.cli.dialogue"
local json = require "moonlit.json"
local options = require "moonlit.options"
local printable = require "moonlit.text.printable"
local reader = require "moonlit.cli.reader"
local subject = require "moonlit.cli.subject"

local chat = { summary = "talk with a run's model" }

local SIGTERM = 15

local HELP = [[
/reset         forget the conversation
/system TEXT   begin anew with a system message; without TEXT, with none
/temp X        temperature; 0 always takes the likeliest
/save FILE     the conversation as one line of JSON
/help          this
/quit          end; so does the end of input]]

local function parser()
  local p = argparse("moonlit chat", "Talk with a run's model. In it: /help.")
  p:argument("run", "a run's directory, a model's, or a pipeline's")
  p:option("--temperature", "0 always takes the likeliest", "0.7")
  p:option("--seed", "of the sampling", "0")
  p:option("--tokens", "of a reply, at most", "256")
  p:flag("--plain", "continue text, even if the model has chat tokens")
  return p
end

-- ---- commands: function(d, argument) -> true to go on ----

local commands = {}

local function show(text)
  io.write(text)
  io.flush()
end

function commands.reset(d)
  d:reset()
  show "[forgotten]\n"
  return true
end

function commands.system(d, text)
  if d.chat then
    d:instruct(text)
    show(d.system and "[a new conversation, with this system message]\n"
         or "[a new conversation, without a system message]\n")
  else show "[this model continues text; it has no system message]\n" end
  return true
end

function commands.temp(d, text)
  local ok, value = pcall(subject.number, text, "temperature", 0)
  if ok then d.temperature = value end
  show(ok and ("[temperature %g]\n"):format(value) or ("[%s]\n"):format(printable(tostring(value))))
  return true
end

function commands.save(d, path)
  local ok, err = nil, "/save needs a file"
  if path ~= "" then
    -- what no JSON string may hold is shown, not lost
    local list = json.array {}
    for i, m in ipairs(d.messages) do
      list[i] = { role = m.role, tool_calls = m.tool_calls,
                  content = m.content and (utf8.len(m.content) and m.content
                                           or printable(m.content)) }
    end
    ok, err = core.sys.write(path, json.encode { messages = list } .. "\n")
  end
  show(ok and ("[%d messages saved]\n"):format(#d.messages) or ("[%s]\n"):format(printable(err)))
  return true
end

function commands.help()
  show(HELP .. "\n")
  return true
end

function commands.quit() return false end

-- ---- the session ----

-- false ends it
local function take(d, line)
  local name, argument = line:match "^/(%w*)%s*(.-)%s*$"
  if name then
    if commands[name] then return commands[name](d, argument) end
    show(("[no command %s; /help lists them]\n"):format(
      printable(options.unknown(name, options.keys(commands)))))
    return true
  end
  if not line:find "%S" then return true end
  local ok, err, signal = d:say(line)
  if not ok then show(("[%s]\n"):format(printable(err))) end
  if signal == SIGTERM then return false end
  if signal then show "[stopped]\n" end
  return true
end

local function start(o)
  local model, tok, dir = subject.load(o.run, "chat")
  local ml = require "moonlit"
  local talks = not o.plain and subject.converses(tok)
  local d = dialogue {
    model = model, tok = tok, chat = talks and ml.data.chat(tok) or nil, write = show,
    tools = talks and { calculator = ml.data.tools.calculator } or {},
    temperature = subject.number(o.temperature, "--temperature", 0),
    seed = subject.number(o.seed, "--seed", 0, "integer"),
    tokens = subject.number(o.tokens, "--tokens", 1, "integer"),
  }
  show(printable(("%s, %s; /help lists the commands\n"):format(dir,
    talks and "a model that talks" or "a model that continues text")))
  return d
end

--- @param args string[]
--- @param read? fun(prompt: string): string|nil  where lines come from
function chat.run(args, read)
  local d = start(parser():parse(args))
  read = read or reader()
  while true do
    local line = read "> "
    if not line then break end
    if not utf8.len(line) then show "[that is not UTF-8]\n"
    elseif not take(d, line) then break end
  end
end

chat.take = take -- a line of a session, for the specs

return chat
