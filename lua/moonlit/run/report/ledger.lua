--- A ledger.json as the rows of a table: what each step was given, what it let through, and why;
--- then all of it from first to last, by source where there are several.
local options = require "moonlit.options"

local function number(t, key)
  local v = type(t) == "table" and t[key]
  return type(v) == "number" and v or 0
end

local function list(t, key)
  local v = type(t) == "table" and t[key]
  return type(v) == "table" and v or {}
end

-- why documents were dropped, then what was counted in those that were changed
local function reasons(step)
  local out = {}
  for _, r in ipairs(list(step, "reasons")) do
    local example = list(list(r, "examples"), 1).excerpt
    out[#out + 1] = { reason = tostring(r.reason), documents = number(r, "documents"),
                      bytes = number(r, "bytes"), example = example and tostring(example) }
  end
  local counts = list(step, "counts")
  for _, kind in ipairs(options.keys(counts)) do
    out[#out + 1] = { reason = tostring(kind), documents = number(counts, kind), bytes = 0 }
  end
  return out
end

local function row(name, kind, t, why)
  return { name = name, kind = kind, why = why,
           documents_in = number(t["in"], "documents"), bytes_in = number(t["in"], "bytes"),
           documents_out = number(t.out, "documents"), bytes_out = number(t.out, "bytes") }
end

--- @param t table|nil  what ml.data.ledger():save wrote
--- @return table[]|nil  { name, kind, documents_in, documents_out, bytes_in, bytes_out,
---         why = { { reason, documents, bytes, example? } } }
return function(t)
  if not t then return nil end
  local rows = {}
  for i, step in ipairs(list(t, "steps")) do
    rows[i] = row(tostring(step.name), tostring(step.kind or ""), step, reasons(step))
  end
  local names = options.keys(list(t, "sources"))
  for _, name in ipairs(#names > 1 and names or {}) do
    rows[#rows + 1] = row(tostring(name), "source, first to last", t.sources[name], {})
  end
  if t["in"] then rows[#rows + 1] = row("everything", "first to last", t, {}) end
  return rows
end
