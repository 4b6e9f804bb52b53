--- moonlit check RECIPE.lua [key=value ...]: what a training will take, and the mistakes in it,
--- before it is begun. Two steps are run; nothing is kept.
local argparse = require "argparse"
local core = require "moonlit.core"
local fail = require "moonlit.fail"
local files = require "moonlit.run.files"
local harness = require "moonlit.run.harness"
local mistakes = require "moonlit.run.check"

local command = { summary = "what a recipe will take, and the mistakes in it" }

local function parser()
  local p = argparse("moonlit check", "Run two steps of a recipe and keep nothing.")
  p:argument("recipe", "a Lua file that trains"):args(1)
  p:argument("knobs", "key=value, --out DIR (whose disk counts), --threads N"):args("*")
  return p
end

local function units(n, names)
  local i = 1
  while n >= 1000 and i < #names do n, i = n / 1000, i + 1 end
  return ("%.3g %s"):format(n, names[i])
end
local function bytes(n) return units(n, { "B", "kB", "MB", "GB", "TB" }) end
local function many(n) return units(n, { "", "thousand", "million", "billion", "trillion" }) end
local function flop(n) return units(n, { "FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP",
                                         "EFLOP" }) end

local function duration(s)
  if s < 60 then return ("%.1f s"):format(s) end
  s = math.floor(s + 0.5)
  if s < 3600 then return ("%d min %02d s"):format(s // 60, s % 60) end
  return ("%d h %02d min"):format(s // 3600, s % 3600 // 60)
end

-- what it takes, as far as it is known
local function tell(c, say)
  local params = 0
  for _, p in ipairs(c.parameters) do params = params + p.tensor:numel() end
  say("model", "%d parameters, %s", params, bytes(c.weights))
  local fixed = c.batch and c.length
  local tokens = fixed and c.batch * c.length or c.step_tokens or 0
  if tokens > 0 then
    say("step", "%s: %d tokens%s", fixed and ("%d rows of %d"):format(c.batch, c.length)
        or ("%d passes of the first"):format(c.passes), tokens,
        c.flops and ", " .. flop(c.flops * tokens) or "")
    say("run", "%d steps: %s tokens%s%s", c.total, many(tokens * c.total),
        c.flops and ", " .. flop(c.flops * tokens * c.total) or "",
        c.eta and ", about " .. duration(c.eta) or "")
  end
  if c.memory.now then
    say("memory", "%s expected while it trains%s, %s while data were prepared; %s are free",
        bytes(c.memory.now + c.memory.more),
        c.measured and (", %s measured"):format(bytes(c.measured)) or "",
        bytes(c.memory.before or 0), bytes(c.memory.free or 0))
  end
  say("disk", "%s a checkpoint, %d kept; %s are free", bytes(c.disk.checkpoint), c.disk.kept,
      bytes(c.disk.free or 0))
end

local function tell_found(found)
  local severe = 0
  for _, m in ipairs(found) do
    if m.severe then severe = severe + 1 end
    print(("%s: %s\n  fix: %s"):format(m.severe and "mistake" or "warning", m.cause, m.fix))
  end
  print(#found == 0 and "no mistake found"
        or ("%d mistakes, %d warnings"):format(severe, #found - severe))
  return severe
end

-- an error of the recipe, as something found
local function explained(err)
  local known = mistakes.explain(tostring(err))
  if known then return { known } end
  return { { severe = true, cause = tostring(err):match "^[^\n]*",
             fix = "moonlit run shows where" } }
end

local function attempt(recipe, rest)
  local chunk, err = loadfile(recipe, "t")
  if not chunk then fail("%s", err) end
  rest[0] = recipe
  _G.arg = rest
  local ok
  ok, err = pcall(chunk, table.unpack(rest))
  if type(err) == "table" and err[1] == mistakes.done then return err[2], err[3] end
  if ok then fail("%s has no training loop (run:steps); there is nothing to check", recipe) end
  if tostring(err):find "^check: " then error(err, 0) end
  return nil, explained(err)
end

--- @param args string[]
function command.run(args)
  if #args == 0 or args[1]:sub(1, 1) == "-" then return parser():parse(args) end
  local scratch = os.tmpname()
  os.remove(scratch)
  assert(core.sys.mkdir(scratch))
  harness.scratch = scratch
  local fine, c, found = pcall(attempt, args[1], table.move(args, 2, #args, 1, {}))
  files.remove(scratch)
  if not fine then error(c, 0) end
  if c then tell(c, function(name, format, ...) print(("%-8s"):format(name)
                                                      .. format:format(...)) end) end
  if tell_found(found) > 0 then os.exit(1, true) end
end

return command
