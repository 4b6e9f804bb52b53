-- moonlit verify --replay and --segments: steps of a run again; recipes from elsewhere stay in a
-- box.
local core = require "moonlit.core"
local files = require "moonlit.run.files"
local json = require "moonlit.json"
local replay = require "moonlit.run.replay"

local place
local MOONLIT = "lua5.4 lua/moonlit/cli/main.lua "

-- as user `who`, whose key is elsewhere than others'
local function sh(command, who, environment)
  local text = "export XDG_STATE_HOME=%s/%s HOME=%s/home MOONLIT_SECRET=token %s; (%s) 2>&1"
  text = text:format(place, who or "state", place, environment or "", command)
  local pipe = io.popen(text .. "; echo $?")
  local said, code = pipe:read("a"):match("^(.-)(%d+)\n$")
  pipe:close()
  return math.tointeger(tonumber(code)), said
end

local function verify(name, arguments, who, environment)
  return sh(("%s verify %s/%s %s"):format(MOONLIT, place, name, arguments), who, environment)
end

local function put(path, text)
  local file = assert(io.open(place .. "/" .. path, "wb"))
  file:write(text)
  file:close()
end

local function change(path, from, to)
  local text, n = files.read(place .. "/" .. path):gsub(from, to)
  assert(n > 0, from)
  put(path, text)
end

local function has_box()
  return core.sys.spawn({ "lua5.4", "-e", ([[
    local ok, err = require("moonlit.core").sys.box { read = {}, write = %q, output = %q,
      memory = 1 << 33, seconds = 9, file = 9 }
    os.exit(ok and 0 or 1)]]):format(place .. "/home", place .. "/probe") }) == 0
end

local boxed
local function needs_box()
  if not boxed then pending "this system has no box" end
  return boxed
end

-- what is in a directory, and what is in the files
local function state_of(dir, list)
  list = list or {}
  for _, name in ipairs(files.entries(dir)) do
    local path = dir .. "/" .. name
    local text = files.read(path)
    list[#list + 1] = path .. " " .. (text and core.sys.sha256(text) or "")
    if not text then state_of(path, list) end
  end
  return list
end

-- a place with a home, and a run of this machine's own
local function make_run()
  place = assert(core.sys.scratch())
  assert(core.sys.mkdir(place .. "/home"))
  boxed = has_box()
  put("home/secret", "secret")
  local code, text = sh(("lua5.4 tests/spec/run/recipe.lua --quiet --out %s/run"):format(place))
  assert(code == 0, text)
end

describe("moonlit verify --replay", function()
  setup(make_run)
  teardown(function() files.remove(place) end)
  before_each(function() sh(("cp -r %s/run %s/other"):format(place, place)) end)
  after_each(function() files.remove(place .. "/other") end)

  it("runs steps again from a checkpoint, on any number of threads", function()
    local code, text = verify("run", "--replay 5")
    assert.are.equal(0, code, text)
    assert.matches("ok   steps 16 to 20: 6 lines of hashes.log, every bit alike\n", text, 1, true)
    code, text = verify("run", "--replay 7 --threads 1")
    assert.are.equal(0, code, text)
    assert.matches("ok   steps 1 to 7: 8 lines", text, 1, true)
    assert.is_nil(text:find("box", 1, true))
  end)

  it("runs stretches between checkpoints that a seed picks", function()
    local code, text = verify("run", "--segments 9 --seed 4")
    assert.are.equal(0, code, text)
    assert.matches("ok   steps 1 to 15: .*\nok   steps 16 to 20: .*\n.* 2 stretches, picked with "
                   .. "seed 4\n$", text)
    local picked = {}
    for seed = 1, 20 do
      text = select(2, verify("run", "--segments 1 --seed " .. seed))
      picked[text:match "steps %d+ to %d+"] = true
      if picked["steps 1 to 15"] and picked["steps 16 to 20"] then break end
    end
    assert.are.same({ ["steps 1 to 15"] = true, ["steps 16 to 20"] = true }, picked)
  end)

  it("leaves the run as it was", function()
    local before = state_of(place .. "/run")
    verify("run", "--segments 1")
    assert.are.same(before, state_of(place .. "/run"))
  end)

  it("names the first line that is not what the run gives", function()
    change("other/hashes.log", "\n18 %x+", "\n18 40490fdb")
    local code, text = verify("other", "--replay 5")
    assert.are.equal(1, code)
    assert.matches("BAD  steps 16 to 20: hashes.log has 18 40490fdb %x+, replayed it is 18 %x+ ",
                   text)
    assert.matches("1 of 1 stretches are not what it logged", text, 1, true)
    assert.is_nil(text:find("traceback", 1, true))
  end)

  it("names weights that the logged steps do not give", function()
    change("other/hashes.log", "\n20 weights %x+", "")
    change("other/ckpt/step-20/manifest.json", '"weights": "%x', '"weights": "g')
    change("other/ckpt/step-20/manifest.json", '^(.*),\n  "check".*', function(body)
      return ('%s,\n  "check": "%s"\n}\n'):format(body, core.sys.sha256(body))
    end)
    local code, text = verify("other", "--replay 5")
    assert.are.equal(1, code)
    assert.matches("BAD  steps 16 to 20: hashes.log has no more line, replayed it is 20 weights",
                   text, 1, true)
  end)

  it("refuses what it cannot run", function()
    local function refused(name, arguments, what)
      local code, text = verify(name, arguments)
      assert.are.equal(1, code, text)
      assert.matches(what, text, 1, true)
      assert.is_nil(text:find("traceback", 1, true), text)
    end
    refused("run", "--replay 21", "has 20 steps, not 21")
    refused("run", "--replay 0", "--replay must be an integer of at least 1")
    refused("home", "--replay 1", "is not the directory of a run")
    put("other/ckpt/step-20/state.json", "{}")
    refused("other", "--segments 2", "state.json is not what was written")
    os.remove(place .. "/other/recipe.lua")
    refused("other", "--replay 1", "holds no recipe.lua")
  end)
end)

local function hostile(where)
  local code = string.dump(load "return 1"):gsub(".", function(c)
    return ("%02x"):format(c:byte())
  end)
  return (files.read "tests/spec/run/hostile_recipe.lua":gsub("@(%u+)@", {
    PLACE = where, BYTECODE = code, LIBRARY = assert(package.searchpath("lfs", package.cpath)) }))
end

describe("a recipe from elsewhere", function()
  setup(function()
    make_run()
    put("run/code.luac", string.dump(load "return 1"))
  end)
  teardown(function() files.remove(place) end)

  it("is one that another user, or another text of recipe or knobs, was signed for", function()
    local code, text = verify("run", "--replay 1", "stranger", "LUA_INIT=")
    if boxed then assert.are.equal(0, code, text) end
    assert.matches("was not written by this user on this machine", text, 1, true)
    assert.matches("reads " .. place .. "/run\n", text, 1, true)
    for _, edit in ipairs { { "recipe.lua", "^", "-- \n" }, { "config.json", "%s*$", "\n\n\n" },
                            { "run.json", '"origin": "%x', '"origin": "g' },
                            { "run.json", '"origin": "%x+"', '"origin": false' } } do
      local kept = files.read(place .. "/run/" .. edit[1])
      change("run/" .. edit[1], edit[2], edit[3])
      text = select(2, verify("run", "--replay 1"))
      assert.matches("was not written by this user", text, 1, true)
      put("run/" .. edit[1], kept)
    end
    text = select(2, verify("run", "--replay 1"))
    assert.is_nil(text:find("not written", 1, true))
  end)

  it("stays one when it is resumed", function()
    sh(("cp -r %s/run %s/resumed"):format(place, place))
    local resume = ("lua5.4 tests/spec/run/recipe.lua steps=25 --quiet --resume --out %s/resumed")
      :format(place)
    assert.are.equal(0, (sh(resume, "stranger")))
    assert.is_nil(json.load(place .. "/resumed/run.json").origin)
    sh(("rm -r %s/resumed; cp -r %s/run %s/resumed"):format(place, place, place))
    assert.are.equal(0, (sh(resume)))
    assert.are.equal(0, (verify("resumed", "--replay 5")))
  end)

  describe("that attacks", function()
    local kept
    setup(function()
      kept = files.read(place .. "/run/recipe.lua")
      put("run/recipe.lua", hostile(place))
    end)
    teardown(function() put("run/recipe.lua", kept) end)

    it("is not run by commands that only read", function()
      local before = files.entries(place)
      for _, command in ipairs { "verify %s", "report %s", "compare %s %s", "eval %s",
                                 "chat %s </dev/null", "top %s --once" } do
        local text = select(2, sh(MOONLIT .. command:gsub("%%s", place .. "/run")))
        assert.is_nil(text:find("tried", 1, true), text)
      end
      assert.are.same(before, files.entries(place))
    end)

    it("gets nowhere in the box", function()
      if not needs_box() then return end
      local entries, before = files.entries(place), state_of(place .. "/run")
      local code, text = verify("run", "--replay 1", "state")
      assert.are.equal(1, code)
      assert.matches("exit code 3", text, 1, true)
      assert.matches("tried 30, got in: none", text, 1, true)
      assert.is_nil(text:find("\27", 1, true), "a terminal would obey")
      assert.are.same(entries, files.entries(place))
      assert.are.same(before, state_of(place .. "/run"))
    end)

    it("does most of it outside, or this says nothing", function()
      local outside = place .. "/outside"
      sh(("mkdir %s; cd %s; cp -r run home state %s"):format(outside, place, outside))
      put("outside/run/recipe.lua", hostile(outside))
      local text = select(2, sh(("lua5.4 %s/run/recipe.lua %s"):format(outside, outside)))
      local n = 0
      for _ in text:match("got in: ([^\27]*)"):gmatch "[^,]+" do n = n + 1 end
      assert.is_true(n >= 22, text)
      files.remove(outside)
    end)
  end)

  it("is bounded in time and memory", function()
    if not needs_box() then return end
    sh(("cp -r %s/run %s/loop"):format(place, place))
    put("loop/recipe.lua", "while true do end")
    local began = core.sys.clock()
    local code, text = verify("loop", "--replay 1 --minutes 0.01")
    assert.are.equal(1, code)
    assert.matches("ended by signal 9", text, 1, true)
    assert.is_true(core.sys.clock() - began < 20)
    put("loop/recipe.lua", "local t = {} while true do t[#t + 1] = ('x'):rep(1e7) .. #t end")
    code, text = verify("loop", "--replay 1 --memory 0.5")
    assert.are.equal(1, code)
    assert.matches("not enough memory", text, 1, true)
  end)

  it("is not run where the box cannot be had", function()
    local code, text = verify("run", "--replay 1", "stranger",
      [[LUA_INIT="require('moonlit.core').sys.box = function(o)
          io.stderr = io.open(o.output, 'w')
          return nil, 'box: none'
        end"]])
    assert.are.equal(1, code)
    assert.matches("its recipe would have to run in cannot be had: box: none", text, 1, true)
    assert.matches("it was not run", text, 1, true)
    assert.is_nil(text:find("ok   steps", 1, true))
  end)

  it("reads the data its knobs name, but nothing of the system or hidden", function()
    if not needs_box() then return end
    sh(("cd %s; cp -r run data && mkdir corpus home/.hidden"):format(place))
    put("corpus/text", "moon")
    put("data/recipe.lua", ([[
      local ml = require "moonlit"
      ml.knobs { a = "", b = "", c = "", d = "", e = 1, f = { "" }, g = "" }
      print(io.open(%q):read "a")
      for _, path in ipairs { "/etc/passwd", %q, %q } do print(io.open(path) == nil) end
      os.exit(4)]]):format(place .. "/corpus/text", place .. "/home/secret",
                           place .. "/state/moonlit/key"))
    sh(("ln -s /etc %s/data/link"):format(place))
    json.save(place .. "/data/config.json", { a = place .. "/corpus", b = "/etc/passwd",
      c = place .. "/home", d = place .. "/home/.hidden", e = 1, f = { place .. "/data/link" },
      g = place .. "/state" })
    local text = select(2, verify("data", "--replay 1"))
    assert.matches(("reads %s/data, %s/corpus\n"):format(place, place), text, 1, true)
    assert.matches("moon\ntrue\ntrue\ntrue\n", text, 1, true)
  end)
end)

describe("hashes.log", function()
  it("has the weights every so many steps", function()
    place = assert(core.sys.scratch())
    put("recipe.lua", [[
      local ml = require "moonlit"
      ml.knobs {}
      local run = ml.run("runs/x", { steps = 5, hash_every = 2 })
      local model = ml.model { layers = 1, heads = 1, dim = 8, vocab = 8, context = 4 }
      local opt = ml.optim.adamw(model:parameters(), { lr = 1e-2 })
      run:track { model = model, opt = opt }
      for _ in run:steps() do
        local loss = model:loss { ids = ml.tensor({ { 1, 2, 3 } }, { dtype = "i64" }) }
        loss:backward()
        run:log { loss = loss, norm = opt:step() }
      end
      run:finish()]])
    local code, text = sh(("lua5.4 %s/recipe.lua --quiet --out %s/run"):format(place, place))
    assert.are.equal(0, code, text)
    local steps = {}
    for step in files.read(place .. "/run/hashes.log"):gmatch "(%d+) weights" do
      steps[#steps + 1] = step
    end
    assert.are.same({ "2", "4", "5" }, steps)
    code, text = verify("run", "--replay 3")
    assert.are.equal(0, code, text)
    files.remove(place)
  end)

  it("refuses options that cannot be", function()
    assert.has_error(function() replay("/nowhere", { steps = 1 }) end)
  end)
end)
