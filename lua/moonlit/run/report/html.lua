--- report.html: one file that loads nothing and runs nothing. Everything that came from files goes
--- through esc() on its way into the page: what a model writes is nobody's word.
local format = require "moonlit.run.report.format"
local printable = require "moonlit.text.printable"
local style = require "moonlit.run.report.style"
local svg = require "moonlit.run.report.svg"
local version = require "moonlit.version"

local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;",
                   ["'"] = "&#39;" }

local function esc(s) return (printable(tostring(s)):gsub("[&<>\"']", entities)) end

-- a page under construction: page(form, ...) adds a line; %s takes what is markup already
local function new_page()
  local lines = {}
  return setmetatable({ lines = lines }, { __call = function(_, form, ...)
    lines[#lines + 1] = select("#", ...) > 0 and form:format(...) or form
  end })
end

local function label(stage) return esc(stage.title) end

-- ---- the table of results ----

-- the scale of a row's whiskers: shares from nothing to all, others over what is there
local function scale(row)
  if row.unit == "%" then return 0, 1 end
  local low, high = math.huge, -math.huge
  for _, c in ipairs(row.cells) do
    low, high = math.min(low, c.low or c.value), math.max(high, c.high or c.value)
  end
  local room = (high - low) * 0.05
  return low - room, high + room
end

local function cell(page, row, c, stage, low, high)
  local interval = c.low and c.high
    and ('<span class="interval num">%s</span>'):format(esc(format.interval(c.low, c.high,
                                                                            row.unit))) or ""
  page('<td data-label="%s"><div><span class="value num%s">%s</span>%s%s</div></td>',
       label(stage), c.best and " best" or "", esc(format.value(c.value, row.unit)), interval,
       #row.cells > 1 and svg.whisker(c, low, high) or "")
end

local function change(page, row)
  local a, b = row.cells[1], row.cells[#row.cells]
  if not row.change then
    page '<td class="empty"></td>'
    return
  end
  page('<td data-label="change"><div><span class="change num %s">%s</span>'
       .. '<span class="interval num">%s → %s</span></div></td>', row.change,
       esc(format.change(a.value, b.value, row.unit)), esc(format.number(a.value, row.unit)),
       esc(format.number(b.value, row.unit)))
end

local function columns(data, rows)
  local out, used = {}, {}
  for _, row in ipairs(rows) do
    for _, c in ipairs(row.cells) do used[c.stage] = true end
  end
  for s in ipairs(data.stages) do
    if used[s] then out[#out + 1] = s end
  end
  return out
end

-- which way is good, and how many were measured
local function about(row)
  local text, n = row.better == "lower" and "lower is better" or "higher is better", row.cells[1].n
  for _, c in ipairs(row.cells) do n = c.n == n and n or nil end
  return n and ("%s, n = %s"):format(text, format.count(n)) or text
end

local function metric_row(page, data, row, shown)
  local low, high = scale(row)
  local by_stage = {}
  for _, c in ipairs(row.cells) do by_stage[c.stage] = c end
  page('<tr><th scope="row">%s<span class="interval">%s</span></th>', esc(row.title),
       about(row))
  for _, s in ipairs(shown) do
    if by_stage[s] then cell(page, row, by_stage[s], data.stages[s], low, high)
    else page '<td class="empty soft">–</td>' end
  end
  if #shown > 1 then change(page, row) end
  page "</tr>"
end

local function comparison(page, data, rows)
  local shown = columns(data, rows)
  page '<div class="card scroll"><table class="fold"><thead><tr><th scope="col">metric</th>'
  for _, s in ipairs(shown) do page('<th scope="col">%s</th>', label(data.stages[s])) end
  if #shown > 1 then page '<th scope="col">before → after</th>' end
  page "</tr></thead><tbody>"
  for _, row in ipairs(rows) do metric_row(page, data, row, shown) end
  page "</tbody></table></div>"
end

-- what only one stage measures: the stage is a column
local function singles(page, data, rows)
  page '<div class="card scroll" style="margin-top:16px"><table><thead><tr>'
  page '<th scope="col">stage</th><th scope="col">metric</th><th scope="col">value</th>'
  page "</tr></thead><tbody>"
  for _, row in ipairs(rows) do
    local c = row.cells[1]
    page('<tr><td class="soft">%s</td>', label(data.stages[c.stage]))
    page('<th scope="row">%s<span class="interval">%s</span></th>', esc(row.title), about(row))
    cell(page, row, c, data.stages[c.stage], scale(row))
    page "</tr>"
  end
  page "</tbody></table></div>"
end

local function results(page, data)
  if #data.rows == 0 then return end
  page '<h2 id="results">Results</h2>'
  local several, one = format.split(data)
  if #several > 0 then comparison(page, data, several) end
  if #one > 0 then singles(page, data, one) end
  page '<p class="soft small" style="margin-top:8px">Bold: the best of a row. Below a value: its '
  page '95 % interval. A change in grey lies within the intervals.</p>'
end

-- ---- curves ----

local function first_last(points)
  return format.number(points[1][2]), format.number(points[#points][2])
end

local VALIDATION = { val_loss = true, valid_loss = true, validation_loss = true }

local function figure(page, title, series, beside)
  local first, last = first_last(series.points)
  local lines = { { points = series.points, raw = true } }
  local keys = ""
  if beside then
    lines[2] = { points = beside.points, class = "second" }
    keys = ('<span><span class="key">%s</span> &ensp;<span class="key second">%s</span></span>')
      :format(esc(series.name), esc(beside.name))
  end
  page('<figure class="card"><figcaption><b>%s</b><span class="num">%s → %s</span>%s</figcaption>',
       title, first, last, keys)
  page(svg.chart(lines, ("%s from %s to %s"):format(title, first, last)))
  page "</figure>"
end

local function find(stage, wanted)
  for _, series in ipairs(stage.series) do
    if wanted(series.name) then return series end
  end
end

local function is_loss(name) return name == "loss" end
local function is_validation(name) return VALIDATION[name] end

-- all that the first figure does not show
local function rest_of(stage)
  local first, rest = find(stage, is_loss) or stage.series[1], {}
  for _, series in ipairs(stage.series) do
    local shown = series == first or is_validation(series.name) and is_loss(first.name)
    if not shown then rest[#rest + 1] = series end
  end
  return rest
end

local function curves(page, data)
  local any
  for _, stage in ipairs(data.stages) do
    local loss = find(stage, is_loss) or stage.series[1]
    if loss then
      if not any then page '<h2 id="curves">Curves</h2><div class="grid">' end
      any = true
      figure(page, ("%s: %s"):format(label(stage), esc(loss.name)), loss,
             is_loss(loss.name) and find(stage, is_validation))
    end
    if #data.stages == 1 then -- there is room for all
      for _, series in ipairs(rest_of(stage)) do figure(page, esc(series.name), series) end
    end
  end
  if any then page "</div>" end
end

local function other_curves(page, stage)
  local rest = rest_of(stage)
  if #rest == 0 then return end
  page('<details><summary>%d more curves</summary><div class="grid">', #rest)
  for _, series in ipairs(rest) do figure(page, esc(series.name), series) end
  page "</div></details>"
end

-- ---- samples ----

local function said(page, class, who, text)
  page('<div class="said %s"><b>%s</b><pre dir="auto">%s</pre></div>', class, who, esc(text))
end

-- prompts that more than one stage answered, in order; prompt -> replies
local function shared(data)
  local list, by_prompt = {}, {}
  for s, stage in ipairs(data.stages) do
    for _, sample in ipairs(stage.samples) do
      local entry = by_prompt[sample.prompt]
      if not entry and sample.prompt ~= "" then
        entry = { prompt = sample.prompt }
        by_prompt[sample.prompt], list[#list + 1] = entry, entry
      end
      if entry and not (entry[#entry] and entry[#entry].stage == s) then
        entry[#entry + 1] = { stage = s, sample = sample }
      end
    end
  end
  local out = {}
  for _, entry in ipairs(list) do
    if #entry > 1 then out[#out + 1] = entry end
  end
  return out
end

local function mark(sample)
  if not sample.score then return "" end
  return sample.score >= 1 and " · right" or sample.score <= 0 and " · wrong"
         or (" · scored %.2f"):format(sample.score)
end

local function side_by_side(page, data, entries)
  page '<div class="grid wide">'
  for _, entry in ipairs(entries) do
    page '<div class="card">'
    said(page, "", "prompt", entry.prompt)
    for _, e in ipairs(entry) do
      said(page, "reply", label(data.stages[e.stage]) .. mark(e.sample), e.sample.reply)
    end
    local answer = entry[1].sample.answer
    if answer then said(page, "", "expected", answer) end
    page "</div>"
  end
  page "</div>"
end

local function pair(page, sample)
  page '<div class="pair">'
  if sample.prompt ~= "" then said(page, "", "prompt", sample.prompt) end
  said(page, "reply", (sample.step and ("step %s"):format(esc(sample.step)) or "reply")
       .. mark(sample), sample.reply)
  if sample.answer then said(page, "", "expected", sample.answer) end
  page "</div>"
end

local function samples(page, data)
  local any = false
  for _, stage in ipairs(data.stages) do any = any or #stage.samples > 0 end
  if not any then return end
  page '<h2 id="samples">Samples</h2>'
  local entries, covered = shared(data), {}
  if #entries > 0 then side_by_side(page, data, entries) end
  for _, entry in ipairs(entries) do covered[entry.prompt] = true end
  page '<div class="grid wide" style="margin-top:16px">'
  for _, stage in ipairs(data.stages) do
    local own = {}
    for _, s in ipairs(stage.samples) do
      if not covered[s.prompt] then own[#own + 1] = s end
    end
    if #own > 0 then
      page('<div class="card"><h3>%s</h3>', label(stage))
      for _, s in ipairs(own) do pair(page, s) end
      page "</div>"
    end
  end
  page "</div>"
end

-- ---- the ledger ----

local function why(step)
  local parts = {}
  for i, w in ipairs(step.why) do
    parts[i] = ("%s: %s"):format(esc(w.reason), format.count(w.documents))
  end
  return table.concat(parts, "<br>")
end

local function pair_of(documents, bytes)
  return ('%s<span class="interval">%s</span>'):format(format.count(documents),
                                                       format.bytes(bytes))
end

local function ledger_row(page, step, most)
  local kept = step.documents_out / most
  local bar = svg.bar { { class = "kept", share = kept },
                        { class = "dropped", share = step.documents_in / most - kept } }
  page('<tr><th scope="row">%s<span class="interval">%s</span></th>', esc(step.name),
       esc(step.kind))
  page('<td class="num" data-label="in"><div>%s</div></td>',
       pair_of(step.documents_in, step.bytes_in))
  page('<td class="num" data-label="out"><div>%s</div></td>',
       pair_of(step.documents_out, step.bytes_out))
  page('<td data-label="kept"><div>%s</div></td>', bar)
  page('<td class="%s" data-label="why"><div class="small">%s</div></td></tr>',
       #step.why == 0 and "empty" or "", why(step))
end

-- a document that each reason dropped
local function examples(page, steps)
  local any
  for _, step in ipairs(steps) do
    for _, w in ipairs(step.why) do
      if w.example then
        if not any then page "<details><summary>what was dropped, for example</summary><div>" end
        any = true
        said(page, "", esc(step.name .. ": " .. w.reason), w.example)
      end
    end
  end
  if any then page "</div></details>" end
end

local function ledger(page, data)
  local any
  for _, stage in ipairs(data.stages) do
    if stage.ledger and #stage.ledger > 0 then
      if not any then page '<h2 id="ledger">Data ledger</h2><div class="stack">' end
      any = true
      local most = 1
      for _, step in ipairs(stage.ledger) do most = math.max(most, step.documents_in) end
      page('<div class="card"><h3>%s</h3><table class="fold"><thead><tr><th scope="col">rule</th>'
           .. '<th scope="col">documents in</th><th scope="col">out</th>'
           .. '<th scope="col" style="width:26%%">kept and dropped</th>'
           .. '<th scope="col">dropped or changed, why</th></tr></thead><tbody>', label(stage))
      for _, step in ipairs(stage.ledger) do ledger_row(page, step, most) end
      page "</tbody></table>"
      examples(page, stage.ledger)
      page "</div>"
    end
  end
  if any then page "</div>" end
end

-- ---- stages and environment ----

local function pairs_list(page, entries)
  page "<dl>"
  for _, e in ipairs(entries) do
    page('<dt>%s</dt><dd class="num">%s</dd>', esc(e.name), esc(e.value))
  end
  page "</dl>"
end

local function facts(stage, total)
  local out = {}
  local function add(name, value) out[#out + 1] = value and { name = name, value = value } end
  add("status", stage.status)
  local part = total > 0 and (" (%.0f %%)"):format((stage.seconds or 0) / total * 100) or ""
  add("time", stage.seconds and format.seconds(stage.seconds) .. part)
  add("steps", stage.steps and format.count(stage.steps))
  add("tokens", stage.tokens and format.count(stage.tokens))
  add("speed", stage.rate and format.count(stage.rate) .. " tokens a second")
  add("of peak", stage.peak
                 and ("%.0f %% of the processor's multiply-adds"):format(stage.peak * 100))
  add("weights", stage.weights)
  add("model file", stage.weights_file)
  add("contents", stage.digest)
  for _, input in ipairs(stage.inputs) do add("from " .. input.name, input.value) end
  return out
end

-- before: seconds of the stages before it
local function one_stage(page, stage, before, total, alone)
  page('<div class="card"><h3>%s</h3>', label(stage))
  if stage.seconds and total > 0 then
    page(svg.bar { { class = "track", share = before / total },
                   { class = "point", share = stage.seconds / total } })
  end
  page '<div style="margin-top:10px">'
  pairs_list(page, facts(stage, total))
  page "</div>"
  if #stage.notes > 0 then
    page "<ul>"
    for _, note in ipairs(stage.notes) do page("<li>%s</li>", esc(note)) end
    page "</ul>"
  end
  if #stage.knobs > 0 then
    page('<details><summary>%d knobs</summary>', #stage.knobs)
    pairs_list(page, stage.knobs)
    page "</details>"
  end
  if stage.command then
    page('<details><summary>command</summary><pre class="command">%s</pre></details>',
         esc(stage.command))
  end
  if not alone then other_curves(page, stage) end
  page "</div>"
end

local function stages(page, data)
  page('<h2 id="stages">%s</h2><div class="grid wide">', #data.stages > 1 and "Stages" or "Run")
  local before, alone = 0, #data.stages == 1
  for _, stage in ipairs(data.stages) do
    one_stage(page, stage, before, alone and 0 or data.seconds, alone)
    before = before + (stage.seconds or 0)
  end
  page "</div>"
end

local function environment(page, data)
  if #data.environment == 0 then return end
  page '<h2 id="environment">Environment</h2><div class="card">'
  pairs_list(page, data.environment)
  page "</div>"
end

-- ---- the page ----

local function top(page, data)
  page '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
  page '<meta name="viewport" content="width=device-width, initial-scale=1">'
  -- a browser that finds markup in the text of a model, should esc() ever fail, must not obey it
  page('<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
       .. "style-src 'unsafe-inline'; img-src data:\">")
  page '<link rel="icon" href="data:,">'
  page('<title>%s · moonlit</title>', esc(data.title))
  page("<style>\n" .. style .. "</style></head><body>")
  page('<header><h1>%s</h1><p class="lead">%s%s</p>', esc(data.title),
       #data.stages > 1 and ("%d stages"):format(#data.stages) or "one run",
       data.seconds > 0 and " · " .. format.seconds(data.seconds) or "")
  if data.command then page('<pre class="command">%s</pre>', esc(data.command)) end
end

local SECTIONS = { { "results", results }, { "curves", curves }, { "samples", samples },
                   { "ledger", ledger, "data ledger" }, { "stages", stages },
                   { "environment", environment } }

--- @param data table  what gather gave
--- @return string
return function(data)
  local page, body, links = new_page(), new_page(), {}
  for _, section in ipairs(SECTIONS) do
    local before = #body.lines
    section[2](body, data)
    if #body.lines > before then
      links[#links + 1] = ('<a href="#%s">%s</a>'):format(section[1], section[3] or section[1])
    end
  end
  top(page, data)
  page("<nav>" .. table.concat(links, "") .. "</nav></header><main>")
  page(table.concat(body.lines, "\n"))
  page("</main><footer>Written by moonlit %s (%s). This page loads nothing and runs nothing."
       .. "</footer></body></html>", esc(version.moonlit), esc(version.numerics))
  return table.concat(page.lines, "\n") .. "\n"
end
