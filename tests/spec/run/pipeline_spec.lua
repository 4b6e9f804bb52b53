-- A pipeline of three tiny stages: what is done stays done, what changed runs again, what was
-- stopped or killed goes on to the same bits.
local core = require "moonlit.core"
local files = require "moonlit.run.files"
local json = require "moonlit.json"
local kit = require "kit"

local place

local function pipeline(arguments, environment)
  local pipe = io.popen(("%s lua5.4 tests/spec/run/pipeline_recipe.lua %s 2>&1; echo $?")
    :format(environment or "", arguments))
  local out = pipe:read("a")
  pipe:close()
  local text, code = out:match("^(.-)(%d+)\n$")
  local ran = {}
  for name, status in text:gmatch("stage\t(%w+)\t(%w+)") do
    ran[#ran + 1] = name .. " " .. status
  end
  return math.tointeger(tonumber(code)), text, table.concat(ran, ", ")
end

local function command(line)
  local pipe = io.popen("lua5.4 lua/moonlit/cli/main.lua " .. line .. " 2>&1; echo $?")
  local text, code = pipe:read("a"):match("^(.-)(%d+)\n$")
  pipe:close()
  return math.tointeger(tonumber(code)), text
end

local function load(dir, path) return assert(json.load(place .. "/" .. dir .. "/" .. path)) end
local function weights(dir) return load(dir, "03-sft/run.json").last[1] end

local RAN = "curate ran, base ran, sft ran"

describe("a pipeline", function()
  local whole, card -- of one that nobody disturbed

  local function out(dir) return "--quiet --out " .. place .. "/" .. dir end

  setup(function()
    place = kit.folder()
    local code, text, ran = pipeline("--out " .. place .. "/whole")
    assert.are.equal(0, code, text)
    assert.are.equal(RAN, ran)
    whole, card = weights "whole", text:match("(loss [%d.]+)\n$")
    assert.matches("^weights sha256 %x+$", whole)
  end)
  teardown(function() files.remove(place) end)

  it("leaves a directory for every stage, and says what it depends on", function()
    local info = load("whole", "03-sft/stage.json")
    assert.are.equal("finished", info.status)
    assert.are.equal(load("whole", "02-base/stage.json").digest, info.inputs.model.sha256)
    assert.are.equal(place .. "/whole/02-base", info.inputs.model.path)
    assert.are.same({ lr = "0.001", steps = "6", seed = "1" }, info.knobs)
    assert.is_nil(info.files["ckpt/step-6/optim.safetensors"])
    assert.are.equal(64, #info.files["ckpt/step-6/model.safetensors"].sha256)
    local results = load("whole", "03-sft/results.json")
    assert.are.equal("sft", results.stage)
    assert.are.equal("loss", results.metrics[1].title)
    local all = load("whole", "pipeline.json")
    assert.are.equal("finished", all.status)
    assert.are.equal("03-sft", all.stages[3].dir)
    assert.matches("lua", all.command[1])
  end)

  it("hands arguments on as they are: no shell reads them", function()
    assert.matches(" %$%(false%) b c$", files.read(place .. "/whole/01-curate/data/text.txt"))
    local nasty = "'word=;touch " .. place .. "/pwned `x` \"'"
    local code, text = pipeline(out "nasty" .. " last=no " .. nasty)
    assert.are.equal(0, code, text)
    assert.is_false(files.exists(place .. "/pwned"))
    assert.matches(";touch .* `x` \"$", files.read(place .. "/nasty/01-curate/data/text.txt"))
  end)

  it("does nothing twice", function()
    local start = core.sys.clock()
    local code, text, ran = pipeline(out "whole")
    assert.are.equal(0, code, text)
    assert.are.equal("curate unchanged, base unchanged, sft unchanged", ran)
    assert.are.equal(card, text:match("(loss [%d.]+)\n$"))
    assert.is_true(core.sys.clock() - start < 5)
  end)

  it("runs what a changed knob changes, and takes it back when it is changed back", function()
    local code, text, ran = pipeline(out "whole" .. " sft_lr=2e-3")
    assert.are.equal(0, code, text)
    assert.are.equal("curate unchanged, base unchanged, sft ran", ran)
    assert.are_not.equal(whole, weights "whole")
    ran = select(3, pipeline(out "whole"))
    assert.are.equal("curate unchanged, base unchanged, sft unchanged", ran)
    assert.are.equal(whole, weights "whole")
    ran = select(3, pipeline(out "whole" .. " bytes=2100"))
    assert.are.equal(RAN, ran)
    ran = select(3, pipeline(out "whole"))
    assert.are.equal("curate unchanged, base unchanged, sft unchanged", ran)
  end)

  it("puts a stage aside that is no longer there", function()
    local ran = select(3, pipeline(out "whole" .. " last=no"))
    assert.are.equal("curate unchanged, base unchanged", ran)
    assert.is_false(files.exists(place .. "/whole/03-sft"))
    ran = select(3, pipeline(out "whole"))
    assert.are.equal("curate unchanged, base unchanged, sft unchanged", ran)
  end)

  it("notices a file that is not what the stage wrote", function()
    local path = place .. "/whole/01-curate/data/text.txt"
    local file = assert(io.open(path, "a"))
    file:write("more")
    file:close()
    local code, text, ran = pipeline("--out " .. place .. "/whole")
    assert.are.equal(0, code)
    assert.are.equal("curate ran, base unchanged, sft unchanged", ran)
    assert.matches("data/text.txt is not what the stage wrote", text)
  end)

  it("goes on after a stage was killed, to the same weights", function()
    local code, text = pipeline(out "killed", "MOONLIT_CRASH=sft:3:KILL")
    assert.are.equal(1, code)
    assert.matches("stage sft was killed by signal 9; what is done is kept", text)
    code, text = pipeline(out "killed", "MOONLIT_CRASH=sft:5:KILL")
    assert.are.equal(1, code, text)
    local ran
    code, text, ran = pipeline(out "killed")
    assert.are.equal(0, code, text)
    assert.are.equal("curate unchanged, base unchanged, sft ran", ran)
    assert.are.equal(whole, weights "killed")
    assert.are.equal(files.read(place .. "/whole/03-sft/hashes.log"),
                     files.read(place .. "/killed/03-sft/hashes.log"))
  end)

  it("passes 75 on when a stage is stopped, and goes on", function()
    local code, text = pipeline(out "stopped", "MOONLIT_CRASH=base:7:TERM")
    assert.are.equal(75, code, text)
    assert.matches("stopped in stage base; the same command goes on there", text)
    assert.are.equal("stopped", load("stopped", "pipeline.json").status)
    local ran
    code, text, ran = pipeline(out "stopped")
    assert.are.equal(0, code, text)
    assert.are.equal("curate unchanged, base ran, sft ran", ran)
    assert.are.equal(whole, weights "stopped")
  end)

  -- a pipeline whose stage base is in its loop gets `kill -TERM to`; its exit code
  local function told(dir, to)
    return (core.sys.spawn { "sh", "-c", [[
      MOONLIT_CRASH=base:0:SLOW setsid lua5.4 tests/spec/run/pipeline_recipe.lua \
        --quiet --out "$1" >/dev/null 2>&1 &
      pid=$!
      until [ -s "$1/02-base/log.txt" ]; do kill -0 $pid || exit 99; sleep 0.02; done
      sleep 1; kill -TERM $2$pid; wait $pid]], "sh", place .. "/" .. dir, to })
  end

  it("hands a signal on to the stage, and waits for it", function()
    for _, how in ipairs { { "one", "" }, { "group", "-" } } do -- itself; both at once
      local dir = how[1]
      assert.are.equal(75, told(dir, how[2]), dir)
      assert.are.equal("stopped", load(dir, "02-base/run.json").status)
      assert.are.equal(0, (pipeline(out(dir))))
      assert.are.equal(whole, weights(dir))
    end
  end)

  it("runs from a stage on, or one alone", function()
    local code, text, ran = pipeline(out "whole" .. " --from base")
    assert.are.equal(0, code, text)
    assert.are.equal("curate kept, base ran, sft ran", ran)
    assert.are.equal(whole, weights "whole")
    code, text = pipeline("--only base --out " .. place .. "/whole")
    assert.are.equal(0, code, text)
    assert.matches("> base:", text)
    assert.is_nil(text:find("> sft:", 1, true))
    code, text = pipeline(out "whole" .. " --from bsae")
    assert.are.equal(1, code)
    assert.matches('--from: no stage "bsae"; did you mean "base"?', text, 1, true)
    code, text = pipeline(out "fresh" .. " --only sft")
    assert.are.equal(1, code)
    assert.matches("stage curate comes before sft and is not done", text)
    code, text = pipeline(out "whole" .. " --form base")
    assert.are.equal(1, code)
    assert.matches('unknown option "--form"; did you mean "--from"?', text, 1, true)
    code, text = pipeline(out "whole" .. " --from=base --only=sft")
    assert.are.equal(1, code)
    assert.matches("exclude each other", text)
  end)

  it("is not asked of a single run", function()
    local code, text = command("run tests/spec/run/task_recipe.lua --only x --out " .. place)
    assert.are.equal(1, code)
    assert.matches("--only is for pipelines", text, 1, true)
  end)

  it("runs through moonlit run", function()
    local code, text = command("run tests/spec/run/pipeline_recipe.lua " .. out "whole")
    assert.are.equal(0, code, text)
    assert.matches("sft\tunchanged", text)
    assert.are.same({ "moonlit", "run", "tests/spec/run/pipeline_recipe.lua" },
                    table.move(load("whole", "pipeline.json").command, 1, 3, 1, {}))
  end)

  it("tells what a stage did not like", function()
    local code, text = pipeline(out "bad" .. " lr=1e30")
    assert.are.equal(1, code)
    assert.matches("stage base failed with exit code 1", text)
    assert.is_nil(text:find("pipeline.lua:", 1, true))
  end)

  it("can be verified", function()
    local code, text = command("verify " .. place .. "/whole")
    assert.are.equal(0, code, text)
    assert.matches("ok   [^\n]+/02%-base/ckpt/step%-12: %d files, weights %x+\n", text)
    assert.matches("all is as it was written: %d+ files", text)
    local path = place .. "/whole/02-base/ckpt/step-10/optim.safetensors"
    local s = files.read(path)
    local file = assert(io.open(path, "wb"))
    file:write(s:sub(1, -2), string.char(s:byte(-1) ~ 1))
    file:close()
    code, text = command("verify " .. place .. "/whole")
    assert.are.equal(1, code)
    assert.matches("BAD  [^\n]+step%-10: optim.safetensors is not what was written: it "
                   .. "differs between bytes 0 and %d+\n", text)
    assert.matches("1 of %d are not what was written", text)
    code, text = command("verify " .. place)
    assert.are.equal(1, code)
    assert.matches("is not the directory of a run or a pipeline", text)
  end)

  it("can be verified where it was killed before `latest` was written, and only there", function()
    local dir = place .. "/early"
    assert(os.execute(("cp -r %s/whole/02-base %s; rm %s/stage.json %s/ckpt/latest"):format(
      place, dir, dir, dir)))
    files.remove(dir .. "/ckpt/step-10") -- which the test above has harmed
    local path = dir .. "/run.json"
    local info = assert(json.load(path))
    for status, expected in pairs { running = 0, finished = 1 } do
      info.status = status
      assert(core.sys.write(path, json.encode(info)))
      local code, text = command("verify " .. dir)
      assert.are.equal(expected, code, text)
      assert.are.equal(expected == 1, text:find("latest: names no checkpoint", 1, true) ~= nil)
    end
  end)
end)
