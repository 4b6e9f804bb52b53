--- report.md: the tables and samples as Markdown. Text from files cannot leave its cell or its
--- indented block.
local format = require "moonlit.run.report.format"
local printable = require "moonlit.text.printable"

-- within a line: whatever Markdown or HTML would act on is escaped
local function esc(s)
  return (printable(tostring(s)):gsub("[\n\t]+", " ")
    :gsub("[\\`*_{}%[%]<>#|&~!]", "\\%0"))
end

local function row_of(cells) return "| " .. table.concat(cells, " | ") .. " |" end

local function add_table(out, head, rows)
  local rule = {}
  for i in ipairs(head) do rule[i] = "---" end
  out[#out + 1] = row_of(head)
  out[#out + 1] = row_of(rule)
  for _, row in ipairs(rows) do out[#out + 1] = row_of(row) end
  out[#out + 1] = ""
end

local function add_block(out, text)
  for line in (printable(text) .. "\n"):gmatch "([^\n]*)\n" do out[#out + 1] = "    " .. line end
  out[#out + 1] = ""
end

local function cell(c, unit)
  local value = format.value(c.value, unit)
  value = c.best and "**" .. esc(value) .. "**" or esc(value)
  if c.low and c.high then value = value .. " (" .. format.interval(c.low, c.high, unit) .. ")" end
  return value
end

local function comparison(out, data, several)
  local head, place, rows, used = { "metric" }, {}, {}, {}
  for _, row in ipairs(several) do
    for _, c in ipairs(row.cells) do used[c.stage] = true end
  end
  for s, stage in ipairs(data.stages) do
    if used[s] then
      head[#head + 1] = esc(stage.title)
      place[s] = #head
    end
  end
  head[#head + 1] = "before → after"
  for i, row in ipairs(several) do
    local line = { esc(row.title) }
    for k = 2, #head do line[k] = "" end
    for _, c in ipairs(row.cells) do line[place[c.stage]] = cell(c, row.unit) end
    if row.change then
      local a, b = row.cells[1].value, row.cells[#row.cells].value
      line[#head] = ("%s → %s (%s)"):format(format.number(a, row.unit), format.number(b, row.unit),
                                            format.change(a, b, row.unit))
    end
    rows[i] = line
  end
  add_table(out, head, rows)
end

local function singles(out, data, one)
  local rows = {}
  for i, row in ipairs(one) do
    local c = row.cells[1]
    rows[i] = { esc(data.stages[c.stage].title), esc(row.title), cell(c, row.unit) }
  end
  add_table(out, { "stage", "metric", "value" }, rows)
end

local function results(out, data)
  if #data.rows == 0 then return end
  out[#out + 1] = "## Results\n"
  local several, one = format.split(data)
  if #several > 0 then comparison(out, data, several) end
  if #one > 0 then singles(out, data, one) end
  out[#out + 1] = "Bold: the best of a row. In brackets: 95 % intervals.\n"
end

local function samples(out, data)
  for _, stage in ipairs(data.stages) do
    if #stage.samples > 0 then
      out[#out + 1] = "## Samples: " .. esc(stage.title) .. "\n"
      for _, s in ipairs(stage.samples) do
        if s.prompt ~= "" then
          out[#out + 1] = "Prompt:\n"
          add_block(out, s.prompt)
        end
        out[#out + 1] = "Reply:\n"
        add_block(out, s.reply)
      end
    end
  end
end

local function ledger(out, data)
  for _, stage in ipairs(data.stages) do
    local rows = {}
    for i, step in ipairs(stage.ledger or {}) do
      local why = {}
      for k, w in ipairs(step.why) do why[k] = ("%s: %d"):format(esc(w.reason), w.documents) end
      rows[i] = { esc(step.name), esc(step.kind), ("%d"):format(step.documents_in),
                  ("%d"):format(step.documents_out), format.bytes(step.bytes_in),
                  format.bytes(step.bytes_out), table.concat(why, ", ") }
    end
    if #rows > 0 then
      out[#out + 1] = "## Data ledger: " .. esc(stage.title) .. "\n"
      add_table(out, { "step", "kind", "documents in", "out", "bytes in", "out", "why" }, rows)
    end
  end
end

local function stages(out, data)
  local rows = {}
  for i, stage in ipairs(data.stages) do
    rows[i] = { esc(stage.title), stage.status and esc(stage.status) or "",
                stage.steps and ("%d"):format(stage.steps) or "",
                stage.seconds and format.seconds(stage.seconds) or "",
                esc(stage.weights or stage.weights_file or "") }
  end
  out[#out + 1] = "## Stages\n"
  add_table(out, { "stage", "status", "steps", "time", "weights sha256" }, rows)
  for _, stage in ipairs(data.stages) do
    for _, note in ipairs(stage.notes) do
      out[#out + 1] = ("- %s: %s"):format(esc(stage.title), esc(note))
    end
  end
  out[#out + 1] = ""
end

--- @param data table  what gather gave
--- @return string
return function(data)
  local out = { "# " .. esc(data.title), "" }
  if data.command then add_block(out, data.command) end
  results(out, data)
  stages(out, data)
  ledger(out, data)
  samples(out, data)
  if #data.environment > 0 then
    out[#out + 1] = "## Environment\n"
    for _, e in ipairs(data.environment) do
      out[#out + 1] = ("- %s: %s"):format(esc(e.name), esc(e.value))
    end
  end
  return (table.concat(out, "\n"):gsub("\n\n\n+", "\n\n"):gsub("\n+$", "")) .. "\n"
end
