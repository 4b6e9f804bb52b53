-- Runs that are killed at a call to the system, that find the disk full, whose checkpoints are
-- damaged, that meet another run: a short version of tests/crash/run.lua (make crash).
package.path = "tests/crash/?.lua;" .. package.path
local files = require "moonlit.run.files"
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
end)
