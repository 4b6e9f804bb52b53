-- Runs tests/spec/run/recipe.lua as a child process, ends it in every way, and resumes it.
local files = require "moonlit.run.files"
local json = require "moonlit.json"
local kit = require "kit"

local place

local function recipe(arguments, environment)
  local pipe = io.popen(("%s MOONLIT_RUN=%s/run lua5.4 tests/spec/run/recipe.lua %s 2>&1; echo $?")
    :format(environment or "", place, arguments or ""))
  local out = pipe:read("a")
  pipe:close()
  local text, code = out:match("^(.-)(%d+)\n$")
  return math.tointeger(tonumber(code)), text
end

local function last_line(text) return text:match("([^\n]*)\n$") end

-- a log without what differs from run to run
local function log(dir, name)
  return (assert(files.read(place .. "/" .. dir .. "/" .. name)):gsub('"seconds":[%d.e-]+,', ""))
end

describe("a run", function()
  local whole -- the last line of a run nobody disturbed, in run "whole"

  setup(function()
    place = kit.folder()
    local code, text = recipe("--quiet --out " .. place .. "/whole")
    assert.are.equal(0, code, text)
    whole = last_line(text)
    assert.matches("^weights sha256 %x+$", whole)
  end)
  teardown(function() files.remove(place) end)

  -- resume until it is done; the same weights, the same logs
  local function goes_on(dir)
    local code, text = recipe("--resume --quiet --out " .. place .. "/" .. dir)
    assert.are.equal(0, code, text)
    assert.are.equal(whole, last_line(text))
    for _, name in ipairs { "metrics.jsonl", "hashes.log", "samples.jsonl" } do
      assert.are.equal(log("whole", name), log(dir, name))
    end
  end

  it("leaves a directory that says what happened", function()
    local dir = place .. "/whole"
    local info = assert(json.load(dir .. "/run.json"))
    assert.are.equal("finished", info.status)
    assert.are.equal(whole, info.last[1])
    assert.are.equal(20, assert(json.load(dir .. "/config.json")).steps)
    assert.are.equal(files.read("tests/spec/run/recipe.lua"), files.read(dir .. "/recipe.lua"))
    assert.are.equal("step-20\n", files.read(dir .. "/ckpt/latest"))
    assert.are.same({ "latest", "step-15", "step-20" }, files.entries(dir .. "/ckpt"))
    assert.are.same({ "config.json", "manifest.json", "model.safetensors", "optim.safetensors",
                      "state.json", "tokenizer.json" }, files.entries(dir .. "/ckpt/step-20"))
    local n = 0
    for line in log("whole", "metrics.jsonl"):gmatch("[^\n]+") do
      n = n + 1
      assert.are.equal(n, assert(json.decode(line)).step)
    end
    assert.are.equal(20, n)
    assert.matches("^1 %x%x%x%x%x%x%x%x %x%x%x%x%x%x%x%x\n", log("whole", "hashes.log"))
    assert.matches("\n20 " .. whole:gsub("sha256 ", "") .. "\n$", log("whole", "hashes.log"))
  end)

  it("gives the same bits once more", function()
    local code, text = recipe("--quiet --threads 1 --out " .. place .. "/again")
    assert.are.equal(0, code)
    assert.are.equal(whole, last_line(text))
    assert.are.equal(log("whole", "metrics.jsonl"), log("again", "metrics.jsonl"))
  end)

  it("checkpoints on SIGTERM, exits with 75, and goes on to the same bits", function()
    local code, text = recipe("--out " .. place .. "/term", "MOONLIT_CRASH=7:term")
    assert.are.equal(75, code, text)
    assert.matches("stopped at step 7", text)
    assert.are.equal("stopped", assert(json.load(place .. "/term/run.json")).status)
    goes_on "term"
  end)

  it("stops at once on the second signal, and goes on from the checkpoint before", function()
    local code = recipe("--quiet --out " .. place .. "/term2", "MOONLIT_CRASH=8:term2")
    assert.are.equal(128 + 15, code)
    goes_on "term2"
  end)

  it("goes on after SIGKILL and after an exit, more than once", function()
    local out = "--quiet --out " .. place .. "/kill"
    assert.are.equal(128 + 9, (recipe(out, "MOONLIT_CRASH=3:kill"))) -- before any checkpoint
    assert.are.equal(3, (recipe(out .. " --resume", "MOONLIT_CRASH=13:exit")))
    assert.are.equal(128 + 9, (recipe(out .. " --resume", "MOONLIT_CRASH=19:kill")))
    goes_on "kill"
  end)

  it("falls back when the newest checkpoint was damaged", function()
    local out = "--quiet --out " .. place .. "/damaged"
    assert.are.equal(3, (recipe(out, "MOONLIT_CRASH=13:exit")))
    local path = place .. "/damaged/ckpt/step-10/model.safetensors"
    local s = files.read(path)
    local file = io.open(path, "wb")
    file:write(s:sub(1, -2), string.char(s:byte(-1) ~ 1))
    file:close()
    local code, text = recipe(out .. " --resume")
    assert.are.equal(0, code, text)
    assert.matches("step%-10 cannot be used: model.safetensors is not what was written", text)
    assert.are.equal(whole, last_line(text))
  end)

  it("stops at a loss that is no number", function()
    local code, text = recipe("--quiet --out " .. place .. "/nan", "MOONLIT_CRASH=7:nan")
    assert.are.equal(1, code)
    assert.matches("loss is %-?nan at step 7; the last checkpoint is of step 5", text)
  end)

  it("prints its last lines again when it is finished", function()
    local code, text = recipe("--resume --out " .. place .. "/whole")
    assert.are.equal(0, code)
    assert.are.equal(whole .. "\n", text)
  end)

  it("does not write over another run", function()
    local code, text = recipe("--out " .. place .. "/whole")
    assert.are.equal(1, code)
    assert.matches("holds a run; add --resume", text, 1, true)
    assert.is_nil(text:find("traceback", 1, true))
    assert.are.equal(0, (recipe("steps=1 --quiet")))
    assert.are.equal(0, (recipe("steps=1 --quiet")))
    assert.is_true(files.exists(place .. "/run/run.json"))
    assert.is_true(files.exists(place .. "/run-2/run.json"))
  end)

  it("refuses to resume with other knobs", function()
    local code, text = recipe("lr=0.5 --resume --out " .. place .. "/again")
    assert.are.equal(1, code)
    assert.matches("lr was 0.01 in", text)
  end)

  it("says what its knobs are", function()
    local code, text = recipe("--help")
    assert.are.equal(0, code)
    assert.matches("What run_spec runs", text)
    assert.matches("save_every=5", text)
    assert.matches("--resume", text, 1, true)
  end)

  it("shows progress: loss, gradient norm, speed", function()
    local code, text = recipe("steps=3 --out " .. place .. "/loud")
    assert.are.equal(0, code)
    assert.matches("step 1/3  33%%  loss %d", text)
    assert.matches("step 3/3 100%%  loss [%d.]+  norm [%d.]+  [%d.]+k? tok/s [^\n]-rss %d+ MB",
                   text)
  end)

  it("loads as a model and its tokenizer", function()
    local ml = require "moonlit"
    local model, tok = assert(ml.load(place .. "/whole"))
    assert.are.equal(whole, "weights sha256 " .. ml.ckpt.hash(model:parameters()))
    assert.are.equal("a", tok:decode(tok:encode "a"))
    assert(model:save(place .. "/saved", tok))
    local again = assert(ml.load(place .. "/saved"))
    assert.are.equal(ml.ckpt.hash(model:parameters()), ml.ckpt.hash(again:parameters()))
    local nothing, message, code = ml.load(place .. "/nowhere")
    assert.is_nil(nothing)
    assert.matches("nowhere/config.json", message)
    assert.are.equal("io", code)
  end)
end)
