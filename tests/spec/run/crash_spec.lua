-- Runs that are killed at a call to the system, that find the disk full, whose checkpoints are
-- damaged, that meet another run: a short version of tests/crash/run.lua (make crash).
package.path = "tests/crash/?.lua;" .. package.path
local checkpoint = require "moonlit.run.checkpoint"
local core = require "moonlit.core"
local files = require "moonlit.run.files"
local json = require "moonlit.json"
local disturb = require "disturb"

describe("a run that is disturbed", function()
  local place, want, calls

  setup(function()
    place = disturb.place()
    local trace = place .. "/whole.trace"
    local code, text = disturb.run { dir = place .. "/whole", trace = trace }
    assert.are.equal(0, code, text)
    want = disturb.outcome(place .. "/whole", text)
    calls = select(2, files.read(trace):gsub("\n", ""))
    assert.is_true(calls > 100, calls)
  end)
  teardown(function() files.remove(place) end)

  it("gives the same bits when it is killed at a call and goes on", function()
    for n = 5, calls, calls // 20 do
      local wrong, killed = disturb.kill_and_resume({ dir = place .. "/k", kill = n,
                                                  torn = n % 2 }, want)
      assert.is_nil(wrong, wrong and ("call %d: %s"):format(n, wrong))
      assert.is_true(killed or n > calls - 40, n)
    end
  end)

  it("hands on its newest weights though it was killed before it named them", function()
    for n = calls - 25, calls do -- around the last checkpoint's rename, and `latest` after it
      local wrong = disturb.kill_and_resume({ dir = place .. "/k", kill = n }, want)
      assert.is_nil(wrong, wrong and ("call %d: %s"):format(n, wrong))
    end
  end)

  it("stops with one message when the disk is full, and goes on with room", function()
    local stops = 0
    for room = 1000, 300000, 17000 do
      local wrong, stopped = disturb.fill_and_resume({ dir = place .. "/f", full = room }, want)
      assert.is_nil(wrong, wrong and ("%d bytes: %s"):format(room, wrong))
      stops = stops + (stopped and 1 or 0)
    end
    assert.is_true(stops > 5, stops)
  end)

  it("says what to do when the disk is full", function()
    local code, text = disturb.run { dir = place .. "/full", full = 100000 }
    assert.are.equal(1, code)
    assert.matches("^lua5.4: run: step 6 is not saved: [^\n]+: No space left on device\nmake room "
                   .. "%(%d+%.%d MB a checkpoint%) where [^\n]+ is, then the same command with %-%-"
                   .. "out [^\n]+ %-%-resume goes on from step 3\n$", text)
    assert.are.same({ 3 }, (disturb.whole(place .. "/full")))
  end)

  it("sees every kind of damage before it uses a checkpoint", function()
    local dir = place .. "/whole/ckpt/step-12"
    for f, file in ipairs(disturb.files(dir)) do
      for bit = f, disturb.header_bits(file) - 1, 61 do
        assert.is_true(disturb.flip(dir, file.name, file.text, bit), file.name .. " bit " .. bit)
      end
      for k = 0, 49 do
        local bit = core.sys.random(1, 9, k, f, 0) % (#file.text * 8)
        assert.is_true(disturb.flip(dir, file.name, file.text, bit), file.name .. " bit " .. bit)
      end
      for bytes = 0, #file.text - 1, math.max(1, #file.text // 50) do
        assert.is_true(disturb.cut(dir, file.name, file.text, bytes), file.name .. " at " .. bytes)
      end
    end
    assert.is_nil(checkpoint.fault(dir)) -- all was put back
  end)

  it("goes on from the checkpoint before a damaged one, and says so", function()
    for _, name in ipairs { "model.safetensors", "state.json", "manifest.json" } do
      assert.are.equal(75, (disturb.run { dir = place .. "/d", arguments = "stop=10" }))
      local path = place .. "/d/ckpt/step-10/" .. name
      assert(core.sys.truncate(path, files.size(path) // 2))
      local code, text = disturb.resume { dir = place .. "/d", arguments = "stop=10" }
      assert.are.equal(0, code, text)
      assert.matches("run: [^\n]+/step%-10 cannot be used: " .. name:gsub("%p", "%%%0")
                     .. " is not what was written[^\n]*\nrun: [^\n]+/step%-9 is used instead\n",
                     text)
      assert.are.equal(want, disturb.outcome(place .. "/d", text))
      files.remove(place .. "/d")
    end
  end)

  it("ends with 75 though the signal comes in its last step", function()
    local code, text = disturb.run { dir = place .. "/last", arguments = "stop=12" }
    assert.are.equal(75, code, text)
    assert.matches("stopped at step 12; the same command with %-%-out [^\n]+ %-%-resume goes on",
                   text)
    code, text = disturb.resume { dir = place .. "/last", arguments = "stop=12" }
    assert.are.equal(0, code, text)
    assert.are.equal(want, disturb.outcome(place .. "/last", text))
  end)

  it("is the only one that writes in its directory", function()
    local dir = place .. "/one"
    os.execute(("lua5.4 %s --quiet --threads 1 slow=0.1 --out %s >/dev/null 2>&1 &"):format(
      disturb.recipe, dir))
    local till = core.sys.clock() + 10
    while files.size(dir .. "/log.txt") == 0 and core.sys.clock() < till do end
    local code, text = disturb.resume { dir = dir, arguments = "slow=0.1" }
    assert.are.equal(1, code)
    assert.matches("another process is writing in", text)
    while not (files.read(dir .. "/log.txt") or ""):find "finished" do end
    assert.are.equal(disturb.last_line(want:match "^[^\n]*" .. "\n"),
                     assert(json.load(dir .. "/run.json")).last[1])
  end)

  it("does not mind jumps of the clock", function()
    local code, text = disturb.run { dir = place .. "/t", clock = 1 }
    assert.are.equal(0, code, text)
    assert.are.equal(want, disturb.outcome(place .. "/t", text))
  end)
end)
