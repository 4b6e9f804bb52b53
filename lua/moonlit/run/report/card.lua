--- The report as a few lines for the end of a run: each metric before -> after, in at most 100
--- columns.
local format = require "moonlit.run.report.format"
local printable = require "moonlit.text.printable"

local WIDTH = 100

local function clean(s, width)
  return format.cut((printable(s):gsub("[\n\t]+", " ")), width)
end

-- printf counts bytes, a terminal characters
local function pad(s, width, right)
  local gap = (" "):rep(width - (utf8.len(s) or #s))
  return right and gap .. s or s .. gap
end

local function cell(data, c, row)
  return clean(data.stages[c.stage].title, 8), clean(format.number(c.value, row.unit), 10)
end

-- the parts of a metric's line
local function parts_of(data, row)
  local a, b = row.cells[1], row.cells[#row.cells]
  local out = { title = clean(row.title, 30), unit = clean(row.unit or "", 9), change = "",
                interval = "" }
  out.first, out.before = cell(data, a, row)
  out.last, out.after = "", ""
  if #row.cells > 1 then
    out.last, out.after = cell(data, b, row)
    out.change = format.change(a.value, b.value, row.unit)
  end
  if b.low and b.high then
    out.interval = "(" .. clean(format.interval(b.low, b.high, row.unit), 20) .. ")"
  end
  return out
end

local ORDER = { { "title" }, { "first" }, { "before", true }, { "arrow" }, { "last" },
                { "after", true }, { "unit" }, { "change", true }, { "interval" } }

local function lines_of(rows)
  local widths, out = {}, {}
  for _, row in ipairs(rows) do
    row.arrow = row.last ~= "" and "->" or ""
    for _, column in ipairs(ORDER) do
      local name = column[1]
      widths[name] = math.max(widths[name] or 0, utf8.len(row[name]))
    end
  end
  for i, row in ipairs(rows) do
    local parts = {}
    for _, column in ipairs(ORDER) do
      local name = column[1]
      if widths[name] > 0 then parts[#parts + 1] = pad(row[name], widths[name], column[2]) end
    end
    local line = "  " .. table.concat(parts, "  ")
    out[i] = format.cut((line:gsub(" +$", "")), WIDTH)
  end
  return out
end

--- @param data table  what report.gather gave
--- @return string  lines, the last one ended too
return function(data)
  local out = { clean(data.title, 60) }
  if #data.stages > 1 then out[1] = out[1] .. ("  %d stages"):format(#data.stages) end
  if data.seconds > 0 then out[1] = out[1] .. "  " .. format.seconds(data.seconds) end
  local rows = {}
  for i, row in ipairs(data.rows) do rows[i] = parts_of(data, row) end
  table.move(lines_of(rows), 1, #rows, 2, out)
  if #rows == 0 then -- then what a run printed at its end
    local notes = data.stages[1].notes
    for i, note in ipairs(notes or {}) do out[1 + i] = "  " .. clean(note, WIDTH - 2) end
    out[2] = out[2] or "  no metrics"
  end
  return table.concat(out, "\n") .. "\n"
end
