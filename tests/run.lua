-- run.lua BUILD [pattern] -- every test of the project: the C programs (cmocka), then the specs
-- (busted, one process a file so that a crash loses one file). Last line: "N passed, N failed".
local build, pattern = arg[1], arg[2] or ""
local passed, failed, broken = 0, 0, {}
local preload = os.getenv("SANLIB") or ""

local function list(command)
  local out = {}
  for line in io.popen(command):lines() do out[#out + 1] = line end
  table.sort(out)
  return out
end

-- run one program; returns its lines and whether it ended well
local function run(command)
  local pipe = io.popen(command .. " 2>&1")
  local lines = {}
  for line in pipe:lines() do lines[#lines + 1] = line end
  return lines, (pipe:close())
end

local function report(name, ok, bad, lines, started)
  passed, failed = passed + ok, failed + bad
  io.write(("%-44s %4d ok %s %6.1f s\n"):format(name, ok,
    bad > 0 and ("%3d FAILED"):format(bad) or "          ", os.time() - started))
  if bad > 0 then
    broken[#broken + 1] = name
    print(table.concat(lines, "\n"))
  end
  io.stdout:flush()
end

local function c_test(path)
  local started = os.time()
  local lines, fine = run(path)
  local ok, bad = 0, 0
  for _, line in ipairs(lines) do
    if line:find("[       OK ]", 1, true) then ok = ok + 1 end
    if line:find("^%[  FAILED  %] [%a_]") then bad = bad + 1 end
  end
  if not fine and bad == 0 then bad = 1 end -- crashed, or a sanitizer spoke
  report(path:match("[^/]+$"), ok, bad, lines, started)
end

local function spec(path)
  local started = os.time()
  local env = preload ~= "" and ("LD_PRELOAD=%s "):format(preload) or ""
  local lines, fine = run(env .. "lua5.4 /usr/bin/busted -o TAP " .. path)
  local ok, bad = 0, 0
  for _, line in ipairs(lines) do
    if line:find("^ok %d") then ok = ok + 1 end
    if line:find("^not ok %d") then bad = bad + 1 end
  end
  if not fine and bad == 0 then bad = 1 end
  report(path:gsub("^tests/", ""), ok, bad, lines, started)
end

for _, path in ipairs(list("ls " .. build .. "/tests/test_* 2>/dev/null | grep -v '\\.d$'")) do
  if path:find(pattern) then c_test(path) end
end
for _, path in ipairs(list("find tests/spec -name '*_spec.lua'")) do
  if path:find(pattern) then spec(path) end
end
if #broken > 0 then print("failed: " .. table.concat(broken, ", ")) end
print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0 and passed > 0)
