--- JSON: exact 64-bit integers, duplicate keys refused, sorted keys on the way out.
---
---   local t = assert(ml.json.decode(text))       -- nil, message, "format" for bad text
---   local s = ml.json.encode(t, { pretty = true })
---
--- null is ml.json.null; an empty table is written as {} unless it went through ml.json.array.
--- A float is written in the fewest digits that read back to the same number; NaN and infinities
--- have no JSON form and raise.
local core = require "moonlit.core"
local options = require "moonlit.options"

local json = { null = core.json.null, array = core.json.array, decode = core.json.decode }

--- @param value any  tables, strings (UTF-8), numbers, booleans, json.null
--- @param opt? {pretty: boolean?}
--- @return string
function json.encode(value, opt)
  if opt == nil then return core.json.encode(value) end
  local o = options(opt, { pretty = false }, "json.encode")
  return core.json.encode(value, o.pretty and 2 or 0)
end

--- The value in a file; nil, message, code when there is no such file or it is not JSON.
function json.load(path)
  local file, err = io.open(path, "rb")
  if not file then return nil, "json.load: " .. err, "io" end
  local text = file:read("a")
  file:close()
  local value, message, code = json.decode(text or "")
  if value == nil then return nil, path .. ": " .. message, code end
  return value
end

--- Write a value to a file, atomically; true, or nil, message, code.
function json.save(path, value, opt)
  return core.sys.write(path, json.encode(value, opt or { pretty = true }) .. "\n")
end

return json
