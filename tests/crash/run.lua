-- lua5.4 tests/crash/run.lua PART=N ...    (make crash; make crash PARTS="calls=0 kills=100")
--
-- The crash campaigns; N is how many cases, 0 none; 1 is all that there are of calls, room, header,
-- cut, machine:
--   calls=1     kill -9 at every call to the system of a run, and amid each write
--   room=1      the disk is full after every 64 KiB
--   disk=1      someone else fills a tmpfs up but for 0, 64, 128 KiB ... until a run fits (root)
--   header=1    every bit of every header and small file of a checkpoint flipped
--   flips=10000 random bits flipped
--   cut=1       every file of a checkpoint cut at every length
--   machine=1   nice 19 beside busy loops, stopped and continued (SIGSTOP) all the time, the time
--               of day jumping, little memory (ulimit -v)
--   kills=1000  kill -9 at random times and calls, in chains, over the recipes of every stage, on
--               tiny models
--   small=0     the same with the models and steps of quickstart.lua's size=small, less data
--   seed=1      of what is random here
-- A case that ends with other weights, other logs, no checkpoint that verifies, or damage unseen is
-- printed; the exit code is 1 then.
package.path = "tests/crash/?.lua;" .. package.path
local core = require "moonlit.core"
local disturb = require "disturb"
local files = require "moonlit.run.files"

local cfg = { calls = 1, room = 1, disk = 1, header = 1, flips = 10000, cut = 1, machine = 1,
              kills = 1000, small = 0, seed = 1 }
for _, a in ipairs(arg) do
  local name, value = a:match "^(%w+)=(%d+)$"
  assert(name and cfg[name], "crash: unknown argument " .. a)
  cfg[name] = math.tointeger(tonumber(value))
end

local place = disturb.place()
local bad = 0

local function report(wrong, format, ...)
  if not wrong then return end
  bad = bad + 1
  print("BAD  " .. format:format(...) .. ": " .. wrong)
end

local function part(name, body)
  if cfg[name] == 0 then return end
  local started, before = core.sys.clock(), bad
  local text = body(cfg[name])
  print(("%-7s %s; %d bad; %.0f s"):format(name, text, bad - before,
                                           core.sys.clock() - started))
  io.stdout:flush()
end

-- an integer from 0 to n - 1; what: which number, of the i-th case
local function draw(n, i, what) return core.sys.random(cfg.seed, 9, i, 0, what) % n end

-- ---- one run, every call ----

-- a run nobody disturbed: its outcome, calls, seconds
local function whole(name, recipe, arguments)
  local dir, started = place .. "/" .. name, core.sys.clock()
  local code, text = disturb.run { dir = dir, recipe = recipe, arguments = arguments,
                                   trace = dir .. ".trace" }
  assert(code == 0, text)
  local calls = select(2, files.read(dir .. ".trace"):gsub("\n", ""))
  return { name = name, recipe = recipe, arguments = arguments, dir = dir, calls = calls,
           want = disturb.outcome(dir, text), seconds = core.sys.clock() - started }
end

local plain = whole("whole")

part("calls", function()
  local killed = 0
  for torn = 0, 1 do
    for n = 1, plain.calls do
      local dir = ("%s/k%d-%d"):format(place, n, torn)
      local wrong, died = disturb.kill_and_resume({ dir = dir, kill = n, torn = torn },
                                                  plain.want)
      killed = killed + (died and 1 or 0)
      report(wrong, "killed at call %d%s", n, torn == 1 and ", torn" or "")
    end
  end
  return ("%d calls of a run, each twice: %d kills"):format(plain.calls, killed)
end)

part("room", function()
  local big = whole("room", nil, "dim=64")
  local cases, stops, stopped = 0, 0, true
  while stopped do
    local wrong
    wrong, stopped = disturb.fill_and_resume({ dir = place .. "/f", arguments = "dim=64",
                                               full = cases * 65536 }, big.want)
    report(wrong, "full after %d KiB", cases * 64)
    cases, stops = cases + 1, stops + (stopped and 1 or 0)
  end
  return ("full after each of %d steps of 64 KiB: %d stops"):format(cases, stops)
end)

part("disk", function()
  local big = whole("disk", nil, "dim=64")
  local cases, stops, r = 0, 0, { stopped = true }
  while r.stopped do
    local why
    r, why = disturb.full_disk(place, 64 * cases, "dim=64", big.want)
    if not r then return why .. "; left out" end
    report(r.wrong, "%d KiB left on the disk", 64 * cases)
    cases, stops = cases + 1, stops + (r.stopped and 1 or 0)
  end
  return ("a disk with 0, 64, 128 KiB ... left after the first step: %d, %d stops"):format(cases,
                                                                                         stops)
end)

-- ---- damage ----

local checkpoint = plain.dir .. "/ckpt/step-12"

part("header", function()
  local n = 0
  for _, file in ipairs(disturb.files(checkpoint)) do
    for bit = 0, disturb.header_bits(file) - 1 do
      n = n + 1
      report(not disturb.flip(checkpoint, file.name, file.text, bit) and "unseen", "%s bit %d",
             file.name, bit)
    end
  end
  return n .. " bits flipped"
end)

part("flips", function(n)
  local list = disturb.files(checkpoint)
  for i = 1, n do
    local file = list[draw(#list, i, 0) + 1]
    local bit = draw(#file.text * 8, i, 1)
    report(not disturb.flip(checkpoint, file.name, file.text, bit) and "unseen", "%s bit %d",
           file.name, bit)
  end
  return n .. " random bits flipped"
end)

part("cut", function()
  local n = 0
  for _, file in ipairs(disturb.files(checkpoint)) do
    for bytes = 0, #file.text - 1 do
      n = n + 1
      report(not disturb.cut(checkpoint, file.name, file.text, bytes) and "unseen", "%s at %d",
             file.name, bytes)
    end
  end
  return n .. " truncations"
end)

-- ---- a machine that is no help ----

-- the same bits, or a clear stop and the same bits once it is gone on with
local function endures(name, how)
  how.dir = place .. "/m"
  local code, text = disturb.run(how)
  local stopped = code ~= 0
  if stopped and not text:find "memory" and not text:find "failed to map" then
    report(("stops with %d: %s"):format(code, text), "%s", name)
  end
  if stopped then code, text = disturb.resume { dir = how.dir, arguments = how.arguments } end
  local same = code == 0 and disturb.outcome(how.dir, text) == plain.want
  report(not same and "other results: " .. text, "%s", name)
  files.remove(how.dir)
  return stopped
end

local STOP_AND_GO = [[sh -c '"$@" & p=$!; ]]
  .. [[(while kill -STOP -$p; do sleep 0.03; kill -CONT -$p; sleep 0.05; done) >/dev/null 2>&1 & ]]
  .. [[s=$!; wait $p; c=$?; kill $s 2>/dev/null; exit $c' sh]]

part("machine", function()
  local busy = "for i in 1 2; do timeout 5 sh -c 'while :; do :; done' >/dev/null 2>&1 & done; "
  endures("nice 19 beside two busy loops", { before = busy .. "nice -n 19",
                                             arguments = "slow=0.02" })
  endures("SIGSTOP and SIGCONT", { before = STOP_AND_GO, arguments = "slow=0.02" })
  endures("a clock that jumps", { clock = 1 })
  local stops = 0
  for kib = 6000, 24000, 1000 do
    local name = ("ulimit -v %d"):format(kib)
    stops = stops + (endures(name, { before = name .. ";" }) and 1 or 0)
  end
  return ("nice, stopped, clocks, ulimit -v in 19 steps (%d stops)"):format(stops)
end)

-- ---- random kills, over every stage ----

local STAGES = { "pretrain", "midtrain", "sft", "reward", "dpo", "ppo", "grpo", "distill" }

local TINY = { pretrain = "documents=60 vocab=400 model.layers=1 model.heads=2 model.dim=16 "
                          .. "model.hidden=32 model.context=128 batch=2 valid=2 items=0",
               midtrain = "documents=60 batch=2 valid=2 items=0",
               sft = "chats=60 documents=30 batch=2 valid=2 items=0",
               reward = "pairs=40 batch=2 valid=10", dpo = "pairs=40 batch=2 valid=2 items=0",
               ppo = "prompts=2 tokens=8 valid=2 items=0",
               grpo = "prompts=2 samples=2 tokens=8 valid=2 items=0",
               distill = "layers=1 prompts=2 tokens=8 items=2 every=4",
               every = " steps=8 save_every=2" }

local SMALL = { pretrain = "documents=600 items=2 steps=20 valid=5",
                midtrain = "documents=300 items=2 steps=20 valid=5",
                sft = "chats=300 documents=100 items=2 steps=20 valid=5",
                reward = "pairs=200 steps=4 valid=10", dpo = "pairs=200 items=2 steps=4 valid=5",
                ppo = "items=2 steps=4 valid=5", grpo = "items=2 steps=4 valid=5",
                distill = "items=4 steps=4 every=2", every = " save_every=2" }

-- where its inputs are
local FROM = { midtrain = "model=%s/pretrain ", sft = "model=%s/midtrain ",
               reward = "model=%s/sft ", dpo = "model=%s/sft ",
               ppo = "model=%s/sft reward=%s/reward ", grpo = "model=%s/ppo ",
               distill = "teacher=%s/sft " }

-- every stage once, undisturbed
local function prepare(size)
  local list = {}
  for _, name in ipairs(STAGES) do
    files.remove(place .. "/" .. name)
    local from = (FROM[name] or ""):gsub("%%s", place)
    list[#list + 1] = whole(name, ("recipes/%s.lua"):format(name), from .. size[name] .. size.every)
  end
  return list
end

-- one run, killed `most` times at most and resumed each time; returns the kills
local function chain(s, case, most)
  local dir, kills, saved = place .. "/c", 0, false
  local how = { dir = dir, recipe = s.recipe, trace = dir .. ".trace" }
  repeat
    local i = case * 100 + kills
    how.arguments = (s.arguments or "") .. (kills > 0 and " --resume" or "")
    how.kill, how.seconds, how.torn = nil, nil, draw(2, i, 4)
    if kills < most and draw(2, i, 2) == 0 then how.kill = 1 + draw(s.calls, i, 3)
    elseif kills < most then how.seconds = s.seconds * (1 + draw(1000, i, 3)) / 1000 end
    local code, text = disturb.run(how)
    local _, n = disturb.whole(dir)
    saved = saved or disturb.published(how.trace) -- by this process or one before it
    if saved and n == 0 then return kills, "no checkpoint verifies" end
    if code ~= 0 and code ~= 128 + 9 then
      return kills, ("exit code %d: %s"):format(code, text)
    elseif code == 0 and disturb.outcome(dir, text) ~= s.want then
      return kills, "other results:\n" .. disturb.outcome(dir, text)
    end
    kills = kills + (code == 0 and 0 or 1)
  until code == 0
  return kills
end

local function kill_at_random(size, n)
  local stages, kills, case = prepare(size), 0, 0
  local started, told = core.sys.clock(), 0
  while kills < n do
    local s = stages[case % #stages + 1]
    local k, wrong = chain(s, case, 1 + draw(12, case, 1))
    report(wrong, "%s, chain %d, %d kills", s.name, case, k)
    kills, case = kills + k, case + 1
    files.remove(place .. "/c")
    os.remove(place .. "/c.trace")
    if kills // 100 > told then
      told = kills // 100
      print(("        %d kills, %d chains, %.0f s"):format(kills, case, core.sys.clock() - started))
      io.stdout:flush()
    end
  end
  return ("%d kills in %d chains over %d recipes"):format(kills, case, #stages)
end

part("kills", function(n) return kill_at_random(TINY, n) end)
part("small", function(n) return kill_at_random(SMALL, n) end)

files.remove(place)
os.exit(bad == 0)
