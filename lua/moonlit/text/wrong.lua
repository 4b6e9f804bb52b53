--- What is wrong with a file travels as an error with a mark, to the one place that catches it.
---
---   local fine, spec, message, code = wrong.catch(read, t)
---   wrong.format("merges: number %d is not of two tokens", 3)
local json = require "moonlit.json"

local wrong = {}
local Wrong = {}

--- The file is broken.
function wrong.format(form, ...)
  error(setmetatable({ text = form:format(...), code = "format" }, Wrong), 0)
end

--- The file is right, but of a kind that is not known here.
function wrong.unsupported(form, ...)
  error(setmetatable({ text = form:format(...), code = "unsupported" }, Wrong), 0)
end

--- What fn(...) returns; nil, message, code if it said what is wrong.
function wrong.catch(fn, ...)
  local fine, made = pcall(fn, ...)
  if fine then return made end
  if getmetatable(made) == Wrong then return nil, made.text, made.code end
  error(made, 0)
end

function wrong.is_null(v) return v == nil or v == json.null end
function wrong.is_set(v) return not wrong.is_null(v) and v ~= "" and v ~= false and v ~= 0 end

--- A value as a message shows it: a part by its type.
function wrong.shown(v)
  if wrong.is_null(v) then return "null" end
  if type(v) == "table" then return type(v.type) == "string" and v.type or "a table" end
  return tostring(v)
end

--- v, an array, whether or not it has elements.
function wrong.list(v, what)
  if type(v) == "table" and (#v > 0 or next(v) == nil) then return v end
  wrong.format("%s: expected an array, got %s", what,
               type(v) == "table" and "an object" or wrong.shown(v))
end

--- v, a string.
function wrong.string(v, what)
  if type(v) == "string" then return v end
  wrong.format("%s: expected a string, got %s", what, wrong.shown(v))
end

return wrong
