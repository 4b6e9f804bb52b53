-- moonlit top on a made-up run: once where there is no terminal, and as a run goes on in one.
local files = require "moonlit.run.files"
local json = require "moonlit.json"
local kit = require "kit"

local place

local function sh(command)
  local pipe = io.popen(command .. " 2>&1; echo $?")
  local text, code = pipe:read("a"):match("^(.-)(%d+)\r?\n$")
  pipe:close()
  return math.tointeger(tonumber(code)), text
end

local function write(first, last, mode)
  local file = assert(io.open(place .. "/metrics.jsonl", mode or "wb"))
  for step = first, last do
    file:write(json.encode { step = step, loss = 5 / step, lr = 1e-3, zeal = step,
                             seconds = step / 10 }, "\n")
  end
  file:close()
end

local function info(status)
  assert(json.save(place .. "/run.json", { status = status, steps = 40 }))
end

describe("moonlit top", function()
  before_each(function()
    place = kit.folder()
    info "running"
  end)
  after_each(function() files.remove(place) end)

  it("shows the curves once where there is no terminal", function()
    write(1, 20)
    local code, text = sh("lua5.4 lua/moonlit/cli/main.lua top --width 60 --height 24 " .. place)
    assert.are.equal(0, code, text)
    assert.matches("running  step 20 of 40  0.1 s a step  2 s left\n", text)
    assert.matches("\nloss 0.25\n +5 [\u{2800}-\u{28ff}]+\n", text)
    local loss, lr, zeal = text:find "\nloss", text:find "\nlr", text:find "\nzeal 20\n"
    assert.is_true(loss < lr and lr < zeal, text)
    assert.is_nil(text:find "\27")
    for line in text:gmatch "[^\n]+" do
      assert.is_true(utf8.len(line) <= 60 or line:find(place, 1, true) == 1, line)
    end
  end)

  it("shows the curves that are asked for", function()
    write(1, 20)
    local code, text = sh("lua5.4 lua/moonlit/cli/main.lua top --once " .. place .. " zeal")
    assert.are.equal(0, code, text)
    assert.matches("\nzeal 20\n", text)
    assert.is_nil(text:find("loss", 1, true))
  end)

  it("says so while nothing is logged, and refuses what is no run", function()
    local code, text = sh("lua5.4 lua/moonlit/cli/main.lua top " .. place)
    assert.are.equal(0, code, text)
    assert.matches("nothing is logged yet", text)
    code, text = sh("lua5.4 lua/moonlit/cli/main.lua top /nowhere")
    assert.are.equal(1, code)
    assert.matches("/nowhere is not the directory of a run", text, 1, true)
  end)

  it("goes on with the run in a terminal, half-written lines and cut-back logs included", function()
    if not os.execute "command -v script >/dev/null" then
      pending "needs script(1) for a terminal"
      return
    end
    write(1, 20)
    local done = place .. "/done"
    local follow = io.popen(("script -qec 'lua5.4 lua/moonlit/cli/main.lua top --every 0.1 %s' "
                             .. "/dev/null >%s/out 2>&1; echo $? >%s"):format(place, place, done))
    local function wait_for(text)
      for _ = 1, 300 do
        if (files.read(place .. "/out") or ""):find(text, 1, true) then return end
        os.execute "sleep 0.1"
      end
      error("never shown: " .. text)
    end
    wait_for "step 20 of 40"
    write(1, 10) -- a resume cut it back
    local file = io.open(place .. "/metrics.jsonl", "ab")
    file:write '{"step":11,"loss":0.4,"se'
    file:flush()
    wait_for "step 10 of 40"
    file:write 'conds":1.1}\n'
    file:close()
    wait_for "step 11 of 40"
    write(1, 39) -- cut back, and longer than before at the next look
    wait_for "step 39 of 40"
    write(40, 40, "ab")
    info "finished"
    follow:close()
    assert.are.equal("0\n", files.read(done))
    local text = files.read(place .. "/out")
    assert.matches("running  step 20 of 40", text)
    assert.matches("running  step 10 of 40", text)
    assert.matches("finished  step 40 of 40", text)
    assert.is_nil(text:find("traceback", 1, true))
  end)
end)
