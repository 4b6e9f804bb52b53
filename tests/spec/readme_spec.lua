-- The README's example is a program that runs.
local files = require "moonlit.run.files"

describe("README", function()
  it("has an example that trains and samples", function()
    local place = os.tmpname()
    os.remove(place)
    assert(require("moonlit.core").sys.mkdir(place))
    local example = assert(files.read("README.md")):match("```lua\n(.-)```")
    local file <close> = assert(io.open(place .. "/first.lua", "w"))
    file:write(example)
    file:flush()
    local pipe = io.popen(("lua5.4 %s/first.lua steps=30 --quiet --out %s/run 2>&1; echo $?")
      :format(place, place))
    local out = pipe:read("a")
    pipe:close()
    assert.matches("\n0\n$", out)
    assert.is_true(#out > 50, out) -- a sample of 100 characters, stopped by the context
    assert.matches('"status": ?"finished"', assert(files.read(place .. "/run/run.json")))
    files.remove(place)
  end)
end)
