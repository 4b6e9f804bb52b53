local core = require "moonlit.core"
local files = require "moonlit.run.files"
local fixture = require "run.pipeline_fixture"

local function command(line)
  local pipe = io.popen("lua5.4 lua/moonlit/cli/main.lua report " .. line .. " 2>&1; echo $?")
  local text, code = pipe:read("a"):match("^(.-)(%d+)\n$")
  pipe:close()
  return math.tointeger(tonumber(code)), text
end

describe("moonlit report", function()
  it("writes the report and shows the card", function()
    local dir = os.tmpname()
    os.remove(dir)
    assert(core.sys.mkdir(dir))
    fixture(dir)
    local code, text = command(dir)
    assert.are.equal(0, code, text)
    assert.matches("summaries right", text)
    assert.are.equal(dir .. "/report.html", text:match "([^\n]*)\n$")
    for _, form in ipairs { "md", "json", "html" } do
      assert.is_true(files.exists(dir .. "/report." .. form))
    end
    code, text = command(dir .. "/04-sft") -- a stage alone is a run
    assert.are.equal(0, code, text)
    assert.matches("93%.0", text)
    files.remove(dir)
  end)

  it("says what is wrong", function()
    local code, text = command "/nowhere"
    assert.are.equal(1, code)
    assert.are.equal("moonlit: report: /nowhere: expected a run (run.json) or a pipeline's stages "
                     .. "(01-name)\n", text)
    assert.are_not.equal(0, (command ""))
  end)
end)
