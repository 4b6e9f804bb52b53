-- moonlit check: every planted mistake is found, with the lines of check_snapshots.txt, and the
-- shipped recipe has none. "loose" ones hold numbers of the machine, shown as N.
local check = require "moonlit.run.check"
local files = require "moonlit.run.files"

local RECIPE = "tests/spec/run/check_recipe.lua"

local function moonlit(arguments)
  local pipe = io.popen(("lua5.4 lua/moonlit/cli/main.lua check %s 2>&1; echo $?"):format(arguments))
  local text, code = pipe:read("a"):match("^(.-)(%d+)\n$")
  pipe:close()
  return math.tointeger(tonumber(code)), text
end

local function said(text)
  local lines = {}
  for line in text:gmatch("[^\n]+") do
    if line:find "^mistake:" or line:find "^warning:" or line:find "^  fix:" then
      lines[#lines + 1] = line
    end
  end
  return table.concat(lines, "\n") .. "\n"
end

describe("moonlit check", function()
  it("finds every planted mistake, with one line of cause and one of fix", function()
    local n = 0
    for loose, arguments, want in files.read("tests/spec/cli/check_snapshots.txt")
      :gmatch("%$ (l?o?o?s?e? ?)(mistake=[^\n]+)\n([^$]+\n)") do
      local code, text = moonlit(RECIPE .. " " .. arguments)
      local got = said(text)
      if loose ~= "" then got = got:gsub("[%d.]+", "N") end
      assert.are.equal(want:gsub("\n+$", "\n"), got, arguments)
      assert.are.equal(got:find "mistake:" and 1 or 0, code, arguments)
      assert.is_nil(text:find("traceback", 1, true))
      n = n + 1
    end
    assert.is_true(n >= 40, n)
  end)

  it("says what a training takes, and finds nothing in a shipped recipe", function()
    for _, preset in ipairs { "nanogpt", "speedrun" } do
      local code, text = moonlit("recipes/shakespeare.lua preset=" .. preset)
      assert.are.equal(0, code, text)
      assert.matches("step    12 rows of 64: 768 tokens, [%d.]+ GFLOP", text)
      assert.matches("run     2000 steps: 1.54 million tokens, [%d.]+ TFLOP, about", text)
      assert.matches("\ndisk    [69].%d+ MB a checkpoint, 2 kept", text)
      assert.matches("\nno mistake found\n$", text)
      local expected, measured = text:match("memory  ([%d.]+) MB expected while it trains, ([%d.]+) MB")
      assert.is_true(math.abs(expected / measured - 1) < 0.1, text)
    end
  end)

  it("warns of a dtype that is imitated", function()
    local core = require "moonlit.core"
    local code, text = moonlit(RECIPE .. " mistake=slow_tier")
    assert.are.equal(0, code, text)
    if core.sys.native "bf16" and core.sys.native "bf16-amx" then return end
    assert.matches("this machine is not made for dtype bf16[amx-]*: it is imitated, slowly\n"
                   .. '  fix: dtype = "f32"', text)
  end)

  it("finds nothing where nothing is planted, and writes nothing", function()
    local before = files.entries "runs"
    local code, text = moonlit(RECIPE)
    assert.are.equal(0, code, text)
    assert.matches("\nno mistake found\n$", text)
    assert.are.same(before, files.entries "runs")
  end)

  it("says that a recipe which does not train has nothing to check", function()
    local path = os.tmpname()
    os.rename(path, path .. ".lua")
    local file = io.open(path .. ".lua", "w")
    file:write('print "hello"\n')
    file:close()
    local code, text = moonlit(path .. ".lua")
    os.remove(path .. ".lua")
    assert.are.equal(1, code)
    assert.matches("has no training loop", text, 1, true)
    assert.is_nil(text:find("traceback", 1, true))
  end)

  it("is begun by every training", function()
    local place = os.tmpname()
    os.remove(place)
    local pipe = io.popen(("lua5.4 %s mistake=betas --out %s 2>&1"):format(RECIPE, place))
    local text = pipe:read "a"
    pipe:close()
    files.remove(place)
    assert.matches("run: beta 2 of AdamW is 9.99", text, 1, true)
    assert.matches("fix: betas = { 0.9, 0.95 }", text, 1, true)
  end)

  it("has a file for every mistake", function()
    local list = {}
    for _, name in ipairs(files.entries "lua/moonlit/run/check") do
      name = name:gsub("%.lua$", "")
      if name ~= "init" and name ~= "context" then list[#list + 1] = name end
    end
    assert.are.same(list, check.names())
  end)
end)
