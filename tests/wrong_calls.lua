-- wrong_calls.lua -- calls every function and method of the core with random wrong arguments
-- (types, huge and negative sizes, NaN, closed objects, foreign userdata). A call may succeed by
-- chance; otherwise it must raise a string. Returns calls, errors, successes.
local core = require "moonlit.core"
local ml = require "moonlit"

-- these would end the test, wait, or change the process it runs in
local spared = { budget = true, fail_at = true, signal_catch = true, exit = true, isa = true,
                 isa_set = true, threads = true, mkdir = true, save = true, write = true,
                 spawn = true }

local function targets()
  local list = {}
  local function collect(prefix, t, depth)
    local names = {}
    for k in pairs(t) do if type(k) == "string" then names[#names + 1] = k end end
    table.sort(names)
    for _, k in ipairs(names) do
      if not spared[k] then
        if type(t[k]) == "function" then list[#list + 1] = { prefix .. k, t[k] }
        elseif type(t[k]) == "table" and depth < 2 then
          collect(prefix .. k .. ".", t[k], depth + 1)
        end
      end
    end
  end
  collect("", core, 0)
  collect("Tensor:", core.methods, 2)
  return list
end

local function values()
  local closed = ml.randn(2)
  closed:free()
  local f64 = ml.randn({ 2, 3 }, { dtype = "f64" })
  return {
    function() return nil end, function() return true end, function() return "f32" end,
    function() return "no such thing" end, function() return 0 / 0 end,
    function() return math.huge end, function() return -1 end, function() return 0 end,
    function() return math.maxinteger end, function() return math.mininteger end,
    function() return 1 << 31 end, function() return 2.5 end, function() return 3 end,
    function() return {} end, function() return { -1, 5 } end,
    function() return { math.maxinteger, math.maxinteger } end,
    function() return { dtype = "f99" } end, function() return { unknown = 1 } end,
    function() return closed end, function() return io.stdout end, function() return print end,
    function() return coroutine.create(print) end, function() return ml.randn(2, 3) end,
    function() return f64 end, function() return ml.zeros(0, 3) end,
    function() return ml.randint(0, 3, 2) end, function() return ml.tensor(1) end,
    function() return ml.randn(3, 2):t() end,
  }
end

return function(count, seed)
  math.randomseed(seed)
  local functions, make = targets(), values()
  local errors, fine = 0, 0
  core.sys.budget(1 << 30) -- a huge but honest size must fail, not swap
  for _ = 1, count do
    local target = functions[math.random(#functions)]
    local args, n = {}, math.random(0, 4)
    for i = 1, n do args[i] = make[math.random(#make)]() end
    local ok, message = pcall(target[2], table.unpack(args, 1, n))
    if ok then fine = fine + 1
    else
      errors = errors + 1
      if type(message) ~= "string" or message == "" then
        error(("%s raised %s instead of a message"):format(target[1], type(message)))
      end
    end
  end
  core.sys.budget(0)
  return count, errors, fine
end
