--- Options tables: defaults filled in, an unknown key refused with the nearest known name.
---
---   local o = options(opt, { lr = 3e-3, clip = options.optional }, "fit")
local options = {}

--- In a table of defaults: the key is known, and nil unless given.
options.optional = setmetatable({}, { __name = "moonlit.optional" })
--- In a table of defaults: the key must be given.
options.required = setmetatable({}, { __name = "moonlit.required" })

-- Damerau-Levenshtein (adjacent letters swapped count one): "lyaers" is one away from "layers"
local function distance(a, b)
  local rows = {}
  for i = 0, #a do rows[i] = { [0] = i } end
  for j = 0, #b do rows[0][j] = j end
  for i = 1, #a do
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      local d = math.min(rows[i - 1][j] + 1, rows[i][j - 1] + 1,
                         rows[i - 1][j - 1] + (same and 0 or 1))
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        d = math.min(d, rows[i - 2][j - 2] + 1)
      end
      rows[i][j] = d
    end
  end
  return rows[#a][#b]
end

--- The known name nearest to a wrong one, or nil when none is near.
--- @param name string
--- @param known string[]  in any order: ties go to the first in alphabetical order
function options.nearest(name, known)
  local sorted = table.move(known, 1, #known, 1, {})
  table.sort(sorted)
  local best, least
  for _, k in ipairs(sorted) do
    local d = distance(name:lower(), k:lower())
    -- a name that merely continues the other is near too: "hea" for "heads"
    if k:find(name, 1, true) == 1 then d = math.min(d, 1) end
    if not least or d < least then best, least = k, d end
  end
  if least and least <= math.max(1, #name // 2) then return best end
end

--- ` "x"; did you mean "y"?`, the end of every message about an unknown name.
function options.unknown(name, known)
  local near = options.nearest(tostring(name), known)
  return ('"%s"%s'):format(tostring(name), near and ('; did you mean "%s"?'):format(near) or "")
end

-- the keys of a table, sorted: no result may depend on the order of pairs()
local function sorted_keys(t)
  local keys = {}
  for k in pairs(t) do keys[#keys + 1] = k end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end
options.keys = sorted_keys

--- A filled copy of `given`.
--- @param given table|nil
--- @param defaults table  options.optional and options.required stand for values
--- @param who? string     named in messages
--- @param level? integer  whom to blame, as error() counts from here; 3 by default: whoever
---                        called the function that called options
function options.fill(given, defaults, who, level)
  level = level or 3
  who = who and who .. ": " or ""
  if given ~= nil and type(given) ~= "table" then
    error(("%soptions must be a table, got %s"):format(who, type(given)), level)
  end
  local filled = {}
  for _, k in ipairs(sorted_keys(given or {})) do
    if defaults[k] == nil then
      error(who .. "unknown option " .. options.unknown(k, sorted_keys(defaults)), level)
    end
    filled[k] = given[k]
  end
  for _, k in ipairs(sorted_keys(defaults)) do
    if filled[k] == nil then
      if defaults[k] == options.required then
        error(('%soption "%s" is needed'):format(who, k), level)
      elseif defaults[k] ~= options.optional then
        filled[k] = defaults[k]
      end
    end
  end
  return filled
end

-- a tail call, so that it adds no level of its own
return setmetatable(options, { __call = function(_, ...) return options.fill(...) end })
