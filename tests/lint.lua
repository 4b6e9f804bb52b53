-- lint.lua -- what a compiler does not say: which way dependencies point (one list of allowed
-- edges for both sides), flags that would break the bit promise, and luacheck.
local problems = {}
local function complain(...) problems[#problems + 1] = string.format(...) end

local function lines_of(command)
  local pipe = io.popen(command)
  local out = {}
  for line in pipe:lines() do out[#out + 1] = line end
  pipe:close()
  return out
end

local function set(words)
  local s = {}
  for w in words:gmatch("%S+") do s[w] = true end
  return s
end

-- folder -> folders it may include (itself always)
local C = {
  base = set "",
  kernels = set "base",
  tensor = set "kernels base",
  autograd = set "tensor kernels base",
  ops = set "autograd tensor kernels base",
  nn = set "ops autograd tensor kernels base",
  optim = set "autograd tensor kernels base",
  text = set "tensor kernels base",
  data = set "tensor kernels base",
  ckpt = set "tensor kernels base",
  bind = set "nn optim text data ckpt ops autograd tensor kernels base",
  blas = set "bind kernels base",
}

-- Lua: module group -> groups it may require
local low = "core fail must options json"
local LUA = {
  fail = set "", must = set "fail", options = set "", core = set "", json = set "core options",
  tensor = set(low), autograd = set(low .. " tensor"), text = set(low .. " tensor"),
  ckpt = set(low .. " tensor"), sys = set(low),
  loss = set(low .. " tensor"), optim = set(low .. " tensor"),
  reward = set(low .. " tensor text nn eval"),
  nn = set(low .. " tensor autograd"), generate = set(low .. " tensor text nn"),
  data = set(low .. " tensor text ckpt"), eval = set(low .. " tensor text ckpt nn loss generate"),
  run = set(low .. " tensor text ckpt version"),
  rl = set(low .. " tensor autograd text nn loss generate reward data ckpt"),
  meta = set "", version = set "",
}
local anything = set "init cli repl"

local function check_includes()
  for _, path in ipairs(lines_of("find csrc -name '*.[ch]' -o -name '*.def' | sort")) do
    local folder = path:match("^csrc/(%w+)/")
    local allowed = C[folder]
    if not allowed then complain("%s: unknown folder, add it to tests/lint.lua", path)
    else
      local n = 0
      for line in io.lines(path) do
        n = n + 1
        local to = line:match('^#%s*include "(%w+)/')
        if to and to ~= folder and not allowed[to] then
          complain("%s:%d: %s may not include %s", path, n, folder, to)
        end
        if line:find("<lua%.h>") and folder ~= "bind" and folder ~= "blas" then
          complain("%s:%d: only bind/ includes lua.h", path, n)
        end
      end
    end
  end
end

local function group_of(module) return module:match("^moonlit%.([%w_]+)") or "init" end

local function check_requires()
  for _, path in ipairs(lines_of("find lua/moonlit -name '*.lua' | sort")) do
    local from = group_of((path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/", ".")))
    local n = 0
    for line in io.lines(path) do
      n = n + 1
      for to in line:gmatch('require[%s%(]*"(moonlit[%w%._]*)"') do
        local group = group_of(to)
        local fine = anything[from] or group == from or (LUA[from] and LUA[from][group])
        if not fine then complain("%s:%d: %s may not require %s", path, n, from, to) end
      end
      if line:find("[^%w_.:]load%s*%(") and not line:find('"t"') and not line:find("%-%-") then
        complain('%s:%d: load without mode "t" accepts bytecode', path, n)
      end
    end
  end
end

local function check_flags()
  for _, line in ipairs(lines_of(
    [[grep -nE -e '-ffast-math|-Ofast|-march=native' Makefile rocks/*.rockspec || true]])) do
    complain("%s: this flag breaks the bit promise", line)
  end
end

local function check_lua()
  local command = "luacheck -q --no-color --codes lua recipes tests rocks/*.rockspec 2>&1"
  for _, line in ipairs(lines_of(command .. " | grep -E ':[0-9]+:' || true")) do
    complain("%s", (line:gsub("^%s+", "")))
  end
end

local function check_widths()
  for _, path in ipairs(lines_of("git ls-files 'csrc/*.[ch]' 'lua/*.lua' 'recipes/*.lua'")) do
    local n = 0
    local file = io.open(path)
    for line in (file and file:lines() or function() end) do
      n = n + 1
      if (utf8.len(line) or 0) > 100 then complain("%s:%d: line over 100 columns", path, n) end
    end
    if file then file:close() end
  end
end

check_includes()
check_requires()
check_flags()
check_lua()
check_widths()
for _, p in ipairs(problems) do print(p) end
print(#problems == 0 and "lint: clean" or ("lint: %d problems"):format(#problems))
os.exit(#problems == 0)
