local function command(line)
  local pipe = io.popen("lua5.4 lua/moonlit/cli/main.lua " .. line .. " 2>&1; echo $?")
  local text, code = pipe:read("a"):match("^(.-)(%d+)\n$")
  pipe:close()
  return math.tointeger(tonumber(code)), text
end

describe("moonlit", function()
  it("says its version", function()
    for _, line in ipairs { "--version", "version" } do
      local code, text = command(line)
      assert.are.equal(0, code)
      assert.matches("^moonlit %S+ %(det%-1", text)
    end
  end)

  it("lists its commands", function()
    for _, line in ipairs { "--help", "" } do
      local code, text = command(line)
      assert.are.equal(0, code)
      assert.matches("run a recipe", text)
      assert.matches("repl", text)
    end
  end)

  it("refuses an unknown command", function()
    local code, text = command "trian"
    assert.are_not.equal(0, code)
    assert.matches("trian", text)
  end)

  it("runs a recipe with its knobs", function()
    local path = os.tmpname() .. ".lua"
    local file = io.open(path, "w")
    file:write('local ml = require "moonlit"\nlocal cfg = ml.knobs { n = 1 }\nprint(cfg.n, arg[0])')
    file:close()
    local code, text = command("run " .. path .. " n=7")
    assert.are.equal(0, code)
    assert.are.equal("7\t" .. path .. "\n", text)
    code, text = command("run " .. path .. " m=7")
    assert.are.equal(1, code)
    assert.are.equal('moonlit: knobs: unknown knob "m"; did you mean "n"?\n', text)
    os.remove(path)
    code, text = command("run " .. path)
    assert.are.equal(1, code)
    assert.matches("cannot open", text)
  end)

  it("reads, evaluates, prints", function()
    local path = os.tmpname()
    local file = io.open(path, "w")
    file:write "1 + 1\nx = _ + 40\nx\nfor i = 1, 2 do\n  print(i)\nend\n"
    file:write "error 'oops'\n)\nml.version\n"
    file:close()
    local code, text = command("repl <" .. path)
    os.remove(path)
    assert.are.equal(0, code)
    for _, part in ipairs { "2\n", "42\n", "1\n2\n", "oops", "unexpected symbol", "dev\n" } do
      assert.matches(part, text, 1, true)
    end
  end)

  it("helps", function()
    local path = os.tmpname()
    local file = io.open(path, "w")
    file:write "?softmax\n? ml.zeros\n?sofmax\n"
    file:close()
    local code, text = command("repl <" .. path)
    os.remove(path)
    assert.are.equal(0, code)
    for _, part in ipairs { "Tensor:softmax(dim)", "--> { 0.2689, 0.7311 }", "core.zeros(...)",
                            'no help on "sofmax"; did you mean "softmax"?' } do
      assert.matches(part, text, 1, true)
    end
  end)
end)
