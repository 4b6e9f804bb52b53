--- The report of a run, or of a pipeline whose stages lie in NN-name: report.md, report.json and
--- one report.html that needs nothing beside it.
---
---   local out = assert(ml.run.report "runs/quickstart")     -- { md =, json =, html = } (paths)
---   io.write(ml.run.report.card(assert(ml.run.report.gather "runs/quickstart")))
local card = require "moonlit.run.report.card"
local core = require "moonlit.core"
local gather = require "moonlit.run.report.gather"
local html = require "moonlit.run.report.html"
local json = require "moonlit.json"
local markdown = require "moonlit.run.report.markdown"
local svg = require "moonlit.run.report.svg"

local report = { gather = gather, card = card }

local function check(dir, who)
  if type(dir) ~= "string" then
    error(("%s: expected a directory, got %s"):format(who, type(dir)), 3)
  end
end

-- lists stay lists when they are empty, and curves are as thin as those drawn
local function plain(value, key)
  if type(value) ~= "table" or value == json.null then return value end
  if key == "points" then value = svg.thin(value) end
  local copy = {}
  for k, v in pairs(value) do copy[k] = plain(v, k) end
  return (#value > 0 or next(value) == nil) and json.array(copy) or copy
end

local function as_json(data)
  local copy = plain(data)
  for _, stage in ipairs(copy.stages) do stage.run, stage.about = nil, nil end
  return json.encode(copy) .. "\n"
end

--- Write the report into the directory it is about.
--- @param dir string
--- @return {md: string, json: string, html: string, data: table}|nil, string? message, string? code
---   paths of what was written, and the numbers behind it, for report.card
function report.write(dir)
  check(dir, "run.report")
  local data, err, code = gather(dir)
  if not data then return nil, err, code end
  local out = { data = data }
  for _, form in ipairs { { "md", markdown }, { "json", as_json }, { "html", html } } do
    local name, make = table.unpack(form)
    out[name] = dir .. "/report." .. name
    local ok
    ok, err, code = core.sys.write(out[name], make(data))
    if not ok then return nil, err, code end
  end
  return out
end

return setmetatable(report, { __call = function(_, dir) return report.write(dir) end })
