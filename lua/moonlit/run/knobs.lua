--- Knobs: a recipe's defaults, changed by key=value on the command line; dotted for nested tables.
---
---   local cfg = ml.knobs { data = "", steps = 2000, train = { lr = 3e-3 } }
---   $ lua5.4 recipe.lua steps=100 train.lr=1e-3 --out runs/mine
---
--- The harness's own options: --out DIR, --resume, --threads N, --quiet, --help. An unknown knob is
--- refused with the nearest name. A value takes the type of its default.
local core = require "moonlit.core"
local fail = require "moonlit.fail"
local harness = require "moonlit.run.harness"
local options = require "moonlit.options"

-- a table with positions is one value (1,2,3); any other is a group of knobs
local function is_group(v)
  return type(v) == "table" and v ~= options.optional and #v == 0
end

-- "train.lr" -> { value =, table that holds it, its key }, in alphabetical order
local function flatten(t, prefix, into)
  for _, key in ipairs(options.keys(t)) do
    local path = prefix .. tostring(key)
    if is_group(t[key]) then flatten(t[key], path .. ".", into)
    else
      into[#into + 1] = { path = path, default = t[key], home = t, key = key }
      into[path] = into[#into]
    end
  end
  return into
end

local function copy(t)
  local c = {}
  for k, v in pairs(t) do c[k] = is_group(v) and copy(v) or v end
  return c
end

local words = { ["true"] = true, ["false"] = false, yes = true, no = false, ["1"] = true,
                ["0"] = false }

-- text -> value of the default's type; nil and what was expected
local function convert(text, default)
  local kind = type(default)
  if kind == "number" then
    local v = tonumber(text)
    if math.type(default) == "integer" then return v and math.tointeger(v), "an integer" end
    return v and v - v == 0 and v + 0.0, "a number"
  elseif kind == "boolean" then
    return words[text], "true or false"
  elseif kind == "table" and default ~= options.optional then
    local list = {}
    for part in (text .. ","):gmatch("([^,]*),") do
      local v, expected = convert(part, default[1])
      if v == nil then return nil, "a list like 1,2: each " .. expected end
      list[#list + 1] = v
    end
    return list
  end
  return text
end

local function show(v)
  if v == options.optional then return "" end
  if type(v) ~= "table" then return tostring(v) end
  local parts = {}
  for i, x in ipairs(v) do parts[i] = tostring(x) end
  return table.concat(parts, ",")
end

-- the comment a recipe opens with says what it is for
local function recipe_header(path)
  local file = path and io.open(path)
  local out = {}
  for line in (file and file:lines() or function() end) do
    if not line:find("^%-%-") then break end
    out[#out + 1] = line:gsub("^%-+ ?", "")
  end
  if file then file:close() end
  return table.concat(out, "\n")
end

local function help(args, list)
  print(recipe_header(args[0]))
  print("\nknobs (key=value):")
  for _, knob in ipairs(list) do print(("  %s=%s"):format(knob.path, show(knob.default))) end
  print "\noptions:"
  for _, line in ipairs(harness.help) do print("  " .. line) end
  os.exit(0, true)
end

local function set(list, text)
  local path, value = text:match("^([%w_.%-]+)=(.*)$")
  if not path then
    fail('knobs: expected key=value or an option, got "%s" (--help lists them)', text)
  end
  local knob = list[path]
  if not knob then
    local known = {}
    for i, k in ipairs(list) do known[i] = k.path end
    fail("knobs: unknown knob %s", options.unknown(path, known))
  end
  local v, expected = convert(value, knob.default)
  if v == nil then fail('knobs: %s must be %s, got "%s"', path, expected, value) end
  knob.home[knob.key] = v
end

--- @param defaults table
--- @param args? string[]  the command line; the global `arg` unless given
--- @return table the values
return function(defaults, args)
  if type(defaults) ~= "table" then
    error("knobs: expected a table of defaults, got " .. type(defaults), 2)
  end
  args = args or _G.arg or {}
  local cfg = copy(defaults)
  local list = flatten(cfg, "", {})
  harness.reset()
  local i = 1
  while i <= #args do
    local used = harness.take(args, i)
    if used == 0 then
      set(list, args[i])
      used = 1
    end
    i = i + used
  end
  if harness.help_asked then help(args, list) end
  for _, knob in ipairs(list) do
    if knob.home[knob.key] == options.optional then knob.home[knob.key] = nil end
    harness.config[knob.path] = knob.home[knob.key]
  end
  if harness.threads then core.sys.threads(harness.threads) end
  return cfg
end
