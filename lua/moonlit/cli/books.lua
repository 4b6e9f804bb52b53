--- moonlit inspect RUN, of a run that curated: what came in, what each step let through, and what
--- it dropped, for which reason, with the documents that the ledger kept as examples.
---
---   moonlit inspect runs/curate --rows 1     -- examples of a reason
---
--- On a terminal what stayed is green and what went red.
local harmless = require "moonlit.cli.harmless"
local json = require "moonlit.json"

local books = {}

local RED, GREEN, SOFT, PLAIN = "\27[31m", "\27[32m", "\27[2m", "\27[0m"

-- so many bytes, for people
local function size(n)
  for _, unit in ipairs { "bytes", "kB", "MB", "GB" } do
    if n < 1000 or unit == "GB" then
      return ((math.type(n) == "integer" and "%d %s" or "%.1f %s"):format(n, unit))
    end
    n = n / 1000
  end
end

local function share(part, whole)
  return whole > 0 and ("%.1f %%"):format(100 * part / whole) or "-"
end

local function tell_examples(say, list, rows, ink)
  for i = 1, math.min(rows, #list) do
    local e = list[i]
    say("      %s: %s%s", harmless(tostring(e.id)), ink(SOFT, harmless(e.excerpt or "")),
        e.detail and " (" .. harmless(e.detail) .. ")" or "")
  end
end

local function tell_clusters(say, c, rows)
  say("  %9d documents in %d cluster%s", c.documents, c.clusters, c.clusters == 1 and "" or "s")
  for i = 1, math.min(rows, #c.largest) do
    local one, copies = c.largest[i], {}
    for k, id in ipairs(one.copies) do copies[k] = harmless(tostring(id)) end
    say("      %d, of which %s stays: %s%s", one.documents, harmless(tostring(one.stays)),
        table.concat(copies, ", "), one.documents > #copies + 1 and ", ..." or "")
  end
end

local function tell_step(say, step, rows, ink)
  local kept = step.out.documents
  say("%-18s %9d -> %s   %s of the bytes", harmless(step.name), step["in"].documents,
      ink(GREEN, ("%9d"):format(kept)), share(step.out.bytes, step["in"].bytes))
  for _, r in ipairs(step.reasons) do
    say("  %s %s  %s, %s", ink(RED, ("%9d"):format(r.documents)), harmless(r.reason),
        share(r.documents, step["in"].documents), size(r.bytes))
    tell_examples(say, r.examples, rows, ink)
  end
  if step.clusters then tell_clusters(say, step.clusters, rows) end
  local kinds = {}
  for kind, n in pairs(step.counts) do kinds[#kinds + 1] = ("%s %d"):format(harmless(kind), n) end
  table.sort(kinds)
  if step.changed.documents > 0 then
    say("  %9d changed%s", step.changed.documents,
        #kinds > 0 and ": " .. table.concat(kinds, ", ") or "")
    tell_examples(say, step.changes, rows, ink)
  end
end

--- The books of a directory, or nil where it has none; nil and a message where they are damaged.
function books.load(dir)
  local file = io.open(dir .. "/data/ledger.json", "rb")
  if not file then return nil end
  file:close()
  local b, err = json.load(dir .. "/data/ledger.json")
  if not b then return nil, err end
  if type(b.steps) ~= "table" or type(b.out) ~= "table" then
    return nil, dir .. "/data/ledger.json: expected the books of a curation, got something else"
  end
  return b
end

--- @param b table     from load
--- @param opt {rows: integer, colour: boolean?}  rows: examples of a reason
--- @param say fun(format: string, ...)  takes a line
function books.report(b, opt, say)
  local function ink(colour, s) return opt.colour and colour .. s .. PLAIN or s end
  local came, left = b["in"], b.out
  say("%d documents came, %s; %s stayed, %s (%s of the bytes)", came.documents, size(came.bytes),
      ink(GREEN, ("%d"):format(left.documents)), size(left.bytes), share(left.bytes, came.bytes))
  for _, step in ipairs(b.steps) do
    -- reading drops nothing but what is broken
    if step.kind ~= "read" or #step.reasons > 0 then tell_step(say, step, opt.rows, ink) end
  end
end

return books
