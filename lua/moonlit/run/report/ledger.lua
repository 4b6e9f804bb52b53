--- A ledger.json as the rows of a table: what each rule was given, what it let through, and why.
local options = require "moonlit.options"

local function count(t, key)
  local v = type(t) == "table" and t[key]
  return type(v) == "number" and v or 0
end

-- { reason = { documents =, bytes = } or a number } as a list, the most frequent first
local function reasons(why)
  local out = {}
  for _, reason in ipairs(type(why) == "table" and options.keys(why) or {}) do
    local v = why[reason]
    local n = type(v) == "number" and v or count(v, "documents")
    out[#out + 1] = { reason = tostring(reason), documents = n }
  end
  table.sort(out, function(a, b)
    if a.documents ~= b.documents then return a.documents > b.documents end
    return a.reason < b.reason
  end)
  return out
end

--- @param t table|nil  what ml.data.ledger():save wrote
--- @return table[]|nil  { name, source, documents_in, documents_out, bytes_in, bytes_out, why }
return function(t)
  if not t then return nil end
  local rows = {}
  for i, step in ipairs(type(t.steps) == "table" and t.steps or {}) do
    rows[i] = { name = tostring(step.name), source = tostring(step.kind or ""),
                documents_in = count(step["in"], "documents"), bytes_in = count(step["in"], "bytes"),
                documents_out = count(step.out, "documents"), bytes_out = count(step.out, "bytes"),
                why = reasons(step.why) }
  end
  return rows
end
