-- moonlit compare on runs of tests/spec/run/compare_recipe.lua that differ in one thing each.
local files = require "moonlit.run.files"
local kit = require "kit"

local place

local function sh(command)
  local pipe = io.popen(command .. " 2>&1; echo $?")
  local text, code = pipe:read("a"):match("^(.-)(%d+)\n$")
  pipe:close()
  return math.tointeger(tonumber(code)), text
end

local function train(name, arguments, environment)
  local recipe = "lua5.4 tests/spec/run/compare_recipe.lua --quiet"
  local code, text = sh(("%s %s --out %s/%s %s"):format(environment or "", recipe, place, name,
                                                        arguments or ""))
  assert(code == 0, text)
end

local function compare(a, b)
  return sh(("lua5.4 lua/moonlit/cli/main.lua compare %s/%s %s/%s"):format(place, a, place, b))
end

describe("moonlit compare", function()
  setup(function()
    place = kit.folder()
    train "a"
  end)
  teardown(function() files.remove(place) end)

  local function parts(name, ...)
    local code, text = compare("a", name)
    assert.are.equal(1, code, text)
    for _, line in ipairs { ... } do assert.matches(line, text) end
  end

  it("says that two runs of the same knobs are the same", function()
    train("again", "--threads 1")
    local code, text = compare("a", "again")
    assert.are.equal(0, code, text)
    assert.matches("same    every step both have, up to 10, and every weight\n$", text)
  end)

  it("names a changed knob, and the step it is felt in", function()
    train("lr", "lr=0.02")
    parts("lr", "knob    lr: 0.01 | 0.02\n", "step 1  lr: 0.01 | 0.02\n", "step 2  loss: ",
          "checkpoint of step 5, first: model.embed_tokens.weight")
  end)

  it("names a changed document, and the first step", function()
    train("word", "", "MOONLIT_WORD=moon")
    parts("word", "data    hash: %x+ | %x+\n", "step %d+ +loss: ", "weights logged differently")
    assert.is_nil(select(2, compare("a", "word")):find("knob", 1, true))
  end)

  it("names the module in which a bit of a weight was flipped", function()
    train("flip", "", "MOONLIT_FLIP=5")
    parts("flip", "step 6  loss: ", "weights logged differently at step 5",
          "step 5, first: model.layers.1.mlp.up_proj.weight, 1 of %d+ elements",
          "1 modules differ")
    train("later", "", "MOONLIT_FLIP=7") -- three steps later everything differs
    parts("later", "step 8  loss: ", "checkpoint of step 10, first: model.embed_tokens.weight",
          "furthest apart: model.layers.1.mlp.up_proj.weight")
  end)

  it("names the module of a file that was changed", function()
    sh(("cp -r %s/a %s/bit"):format(place, place))
    local path = place .. "/bit/ckpt/step-10/model.safetensors"
    local text = files.read(path)
    local file = io.open(path, "wb")
    file:write(text:sub(1, -2), string.char(text:byte(-1) ~ 64))
    file:close()
    parts("bit", "logged alike at step 10", "step 10, first: lm_head.weight, 1 of ",
          "1 modules differ")
  end)

  it("runs no code of either, and refuses what is no run", function()
    sh(("cp -r %s/a %s/evil"):format(place, place))
    local file = io.open(place .. "/evil/recipe.lua", "w")
    file:write(("io.open(%q, 'w')"):format(place .. "/written"))
    file:close()
    local code, text = compare("a", "evil")
    assert.are.equal(0, code, text)
    assert.matches("recipe  the texts differ", text, 1, true)
    assert.is_false(files.exists(place .. "/written"))
    code, text = compare("a", "nothing")
    assert.are.equal(1, code)
    assert.matches("nothing is not the directory of a run", text, 1, true)
    assert.is_nil(text:find("traceback", 1, true))
  end)
end)
