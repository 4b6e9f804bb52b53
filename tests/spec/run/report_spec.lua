-- The report of a made-up pipeline: every number of the files in every form, nothing of the text
-- in them acted on.
local core = require "moonlit.core"
local files = require "moonlit.run.files"
local fixture = require "run.pipeline_fixture"
local json = require "moonlit.json"
local report = require "moonlit.run.report"
local svg = require "moonlit.run.report.svg"

local function fresh()
  local dir = os.tmpname()
  os.remove(dir)
  assert(core.sys.mkdir(dir))
  return dir
end

local function has(text, part)
  assert(text:find(part, 1, true), "not found: " .. part)
end

local function hasnt(text, part)
  assert(not text:find(part, 1, true), "found: " .. part)
end

-- elements of the page are closed in the order in which they were opened
local VOID = { meta = true, link = true, br = true }
local function check_nesting(html)
  local open = {}
  html = html:gsub("<style>.-</style>", ""):gsub("<!doctype html>", "")
  for close, name, rest in html:gmatch "<(/?)(%a%w*)([^>]*)>" do
    if close == "/" then
      assert.are.equal(open[#open], name)
      open[#open] = nil
    elseif not VOID[name] and rest:sub(-1) ~= "/" then
      open[#open + 1] = name
    end
  end
  assert.are.same({}, open)
end

describe("report of a pipeline", function()
  local dir, out, md, html, data

  setup(function()
    dir = fresh()
    fixture(dir)
    out = assert(report(dir))
    md, html = files.read(out.md), files.read(out.html)
    data = assert(json.load(out.json))
  end)
  teardown(function() files.remove(dir) end)

  it("is three files in the directory", function()
    assert.are.same({ dir .. "/report.md", dir .. "/report.json", dir .. "/report.html" },
                    { out.md, out.json, out.html })
  end)

  it("has a cell for every metric and stage, the best in bold", function()
    local row = data.rows[2]
    assert.are.equal("summaries right", row.title)
    assert.are.equal(5, #row.cells)
    local best = row.cells[4]
    assert.are.same({ 5, 0.945, 200, true }, { best.stage, best.value, best.n, best.best })
    has(md, "| metric | BASE | MID | SFT | DPO | GRPO | before → after |")
    has(md, "**94.5 %** (91.0 to 98.0)")
    has(md, "0.0 → 94.0 (+94.0)")
    has(html, '<span class="value num best">94.5 %</span>')
    has(html, '<span class="interval num">91.0 to 98.0</span>')
  end)

  it("knows that less may be better", function()
    local row = data.rows[1]
    assert.are.equal("better", row.change)
    assert.is_true(row.cells[2].best)
    assert.is_false(row.cells[1].best)
  end)

  it("has the ledger, times, hashes, environment and commands", function()
    for _, part in ipairs { "16240", "too few words: 2310", "email: 31", ("ab12"):rep(16),
                            "1 m 40 s", "avx512" } do has(md, part) end
    for _, part in ipairs { "16\u{202f}240", "duplicate: 4\u{202f}229", ("cd34"):rep(16),
                            "8 m 33 s", "01-curate " .. ("ef56"):rep(16),
                            "41\u{202f}234 tokens a second", "41 % of the processor",
                            "A Processor &lt;2.7 GHz&gt;",
                            "&#39;name=it&#39;\\&#39;&#39;s&#39; seed=1 steps=1000" } do
      has(html, part)
    end
    has(md, "    lua5.4 recipes/quickstart.lua size=full 'name=it'\\''s'\n")
    assert.are.equal(12.5, data.stages[1].seconds)
    assert.are.equal(100, data.stages[2].seconds)
  end)

  it("loads nothing and runs nothing", function()
    check_nesting(html)
    for _, part in ipairs { "<script", "<img", "<iframe", "@import", "url(", "\27", "\u{202e}" } do
      hasnt(html, part)
    end
    for _, attribute in ipairs { "src", "onerror", "onload", "style=\"background" } do
      assert.is_nil(html:find("<[^>]*%s" .. attribute .. "="), attribute)
    end
    has(html, "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;")
    has(html, "\\x1b[31m")
    has(html, "\\u{202e}gnirts")
    for link in html:gmatch 'href="([^"]*)"' do assert.matches("^[#d]", link) end
  end)

  it("keeps what a model wrote inside its block of Markdown", function()
    has(md, "\n    <script>alert('x')")
    has(md, "\n    # heading\n    | a | b |\n")
    hasnt(md, "\27")
    hasnt(md, "trained on <12>")
  end)

  it("leaves out a last line that is still being written", function()
    assert.are.equal(1000, data.stages[2].steps)
  end)

  it("thins curves and keeps their spikes", function()
    for _, series in ipairs(data.stages[2].series) do assert(#series.points <= 400) end
    local spike = false
    for _, p in ipairs(data.stages[2].series[1].points) do spike = spike or p[1] == 703 end
    assert.is_true(spike)
    for points in html:gmatch 'points="([^"]*)"' do
      assert(select(2, points:gsub(",", "")) <= 400)
    end
  end)

  it("is the same each time", function()
    local again = assert(report(dir))
    for _, form in ipairs { "md", "json", "html" } do
      assert.are.equal(files.read(out[form]), files.read(again[form]))
    end
  end)

  it("fits a card of 100 columns", function()
    local card = report.card(out.data)
    for line in card:gmatch "[^\n]+" do assert(utf8.len(line) <= 100, line) end
    assert.matches("summaries right +BASE +0%.0  %->  GRPO +94%.0  %% +%+94%.0  %(90%.5 to 97%.5%)",
                   card)
  end)
end)

describe("a card", function()
  it("cuts what is long and spells out what acts", function()
    local card = report.card { title = "t\27[2J", seconds = 0, rows = {
      { title = ("long "):rep(40), unit = "\27]0;x\7", better = "higher",
        cells = { { stage = 1, value = 0.5 }, { stage = 2, value = 1e300, low = -1e300,
                                                high = 1e300 } } } },
      stages = { { title = ("s"):rep(300) }, { title = "b" } } }
    assert.is_nil(card:find "[\27\7]")
    for line in card:gmatch "[^\n]+" do assert(utf8.len(line) <= 100, line) end
  end)
end)

describe("report of a run", function()
  local dir
  before_each(function() dir = fresh() end)
  after_each(function() files.remove(dir) end)

  local function save(name, text) assert(core.sys.write(dir .. "/" .. name, text)) end

  it("needs no more than run.json", function()
    save("run.json", '{"status": "running", "steps": 5}')
    local out = assert(report(dir))
    check_nesting(files.read(out.html))
    has(report.card(out.data), "no metrics")
    assert.is_nil(files.read(out.html):find "NaN")
  end)

  it("shows what the run said at its end, and all its curves", function()
    save("run.json", '{"last": ["validation loss 1.9", "weights sha256 ab"]}')
    save("metrics.jsonl", '{"step": 1, "loss": 2, "lr": 1}\n{"step": 2, "loss": 1, "lr": 1}\n')
    local out = assert(report(dir))
    assert.matches("\n  validation loss 1%.9\n$", report.card(out.data))
    local html = files.read(out.html)
    has(html, "<li>validation loss 1.9</li>")
    assert.are.equal(2, select(2, html:gsub("<figure", "")))
    hasnt(html, "more curves")
  end)

  it("draws one point, and a curve that is flat", function()
    save("run.json", "{}")
    save("metrics.jsonl", '{"step": 1, "loss": 2, "a": 0}\n{"step": 2, "a": 0}\n')
    local html = files.read(assert(report(dir)).html)
    check_nesting(html)
    has(html, "<circle")
    for _, bad in ipairs { "nan", "inf" } do
      assert.is_nil(html:find('="' .. "[^\"]*%f[%a]" .. bad .. "%f[%A]"))
    end
  end)

  it("shows what the loop wrote when there are no other samples", function()
    save("run.json", "{}")
    save("samples.jsonl", '{"step": 1, "text": "one"}\n{"step": 2, "text": "two"}\n'
                          .. '{"step": 3, "text": "three"}\n')
    local md = files.read(assert(report(dir)).md)
    has(md, "    two\n")
    has(md, "    three\n")
    hasnt(md, "    one\n")
  end)

  it("says which file is broken", function()
    local out, err, code = report(dir)
    assert.is_nil(out)
    assert.are.equal("format", code)
    assert.are.equal("report: " .. dir .. ": expected a run (run.json) or a pipeline's stages "
                     .. "(01-name)", err)
    save("run.json", "{}")
    save("metrics.jsonl", '{"step": 1}\nnonsense\n')
    has(select(2, report(dir)), dir .. "/metrics.jsonl:2: ")
    save("metrics.jsonl", "")
    save("results.json", '{"metrics": [{"name": "x"}]}')
    has(select(2, report(dir)), dir .. "/results.json: metric 1: expected a name and a value")
    save("results.json", "[")
    has(select(2, report(dir)), dir .. "/results.json: ")
    assert.has_error(function() report(7) end, "run.report: expected a directory, got number")
  end)

  it("bears values of the wrong kind", function()
    save("run.json", '{"last": 3, "cpu": {}, "threads": null, "started": 5}')
    save("results.json", '{"title": 4, "samples": [{"prompt": null}], "notes": [1], "metrics": '
                         .. '[{"name": "x", "value": 1, "low": "a", "unit": null}]}')
    assert(core.sys.mkdir(dir .. "/data"))
    save("data/ledger.json", '{"steps": [{"in": 3, "reasons": [{"examples": 4}]}], "sources": 1}')
    check_nesting(files.read(assert(report(dir)).html))
  end)
end)

describe("curves", function()
  it("smooth without a lag", function()
    local points = {}
    for i = 1, 600 do points[i] = { i, 3 * i } end
    local smooth = svg.smooth(points)
    for i = 1, 590 do assert.is_near(3 * i, smooth[i][2], 1e-9) end
    assert.is_near(3 * 595, smooth[600][2], 1e-9) -- of itself and the ten before
  end)
end)
