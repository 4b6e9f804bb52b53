-- What lua/moonlit/meta says of the core is all there is, and true.
local core = require "moonlit.core"
local ml = require "moonlit"
local meta = require "moonlit.meta"
local entries = meta.entries()

-- ---- what there is ----

local function methods_of(name) return debug.getregistry()["moonlit." .. name].__index end

-- documented name -> true, for every function reachable from the core
local function reachable()
  local have = {}
  local function collect(prefix, t)
    for name, value in pairs(t) do
      if type(value) == "table" and value ~= core.methods then
        collect(prefix .. name .. ".", value)
      elseif type(value) ~= "table" then have[prefix .. name] = true end
    end
  end
  collect("core.", core)
  collect("Tensor:", core.methods)
  collect("CoreModel:", methods_of "CoreModel")
  collect("Forward:", methods_of "Forward")
  collect("CoreCache:", methods_of "Cache")
  collect("CoreOptimizer:", methods_of "Optimizer")
  for _, name in ipairs { "Lines", "Out", "ShardBuilder", "Shard", "Rows", "Spill", "Groups",
                          "Save", "CoreBpe", "CoreTrainer" } do
    collect(name .. ":", methods_of(name))
  end
  return have
end

local function difference(a, b)
  local only = {}
  for name in pairs(a) do if not b[name] then only[#only + 1] = name end end
  table.sort(only)
  return table.concat(only, " ")
end

-- ---- ops.def: the signatures the core itself reads ----

local function op_signatures()
  local ops, file = {}, assert(io.open("csrc/ops/ops.def"))
  for name, sig in file:read("a"):gmatch('OP%(([%w_]+), %d, "(.-)"%)') do
    local op = { positional = 0, options = {}, defaults = {} }
    for token in sig:gmatch("%S+") do
      local option = token:match("^(%w+):")
      if option then op.options[#op.options + 1] = option else op.positional = op.positional + 1 end
      local kind, default = token:match("(%a)=(.*)$")
      if kind == "b" then default = default == "1" and "true" or "false" end
      if kind == "m" then default = '"' .. default .. '"' end
      -- a dimension's default is C's: 0 is the first
      if kind == "e" or kind == "d" then default = default == "0" and "1" or default end
      if default then op.defaults[#op.defaults + 1] = (option or "") .. " = " .. default end
    end
    ops[name] = op
  end
  file:close()
  return ops
end

-- ---- examples: what is printed, without a tensor's first line ----

local show

local function list(t)
  local out = {}
  for i, v in ipairs(t) do out[i] = show(v) end
  return "{ " .. table.concat(out, ", ") .. " }"
end

function show(v)
  if type(v) == "table" then return list(v) end
  local s = tostring(v)
  if not core.is_tensor(v) then return s end
  s = v:dim() == 0 and s:gsub("^Tensor.-%s%s", "") or s:gsub("^.-\n", "")
  return (s:gsub("%s+", " "):gsub("^%s", ""))
end

local function run(code, env, expression)
  local chunk = assert(load((expression and "return " or "") .. code, "=example", "t", env))
  local results = table.pack(chunk())
  for i = 1, results.n do results[i] = show(results[i]) end
  return table.concat(results, ", ")
end

describe("lua/moonlit/meta", function()
  it("documents every function and method of the core", function()
    assert.equal("", difference(reachable(), entries))
  end)

  it("documents nothing that is not there", function()
    local have, documented = reachable(), {}
    for _, e in ipairs(entries) do documented[e.name] = true end
    assert.equal("", difference(documented, have))
  end)

  it("says what each does, and describes each argument once, in order", function()
    for _, e in ipairs(entries) do
      assert.is_true(#e.prose > 0, e.name .. ": no prose")
      local names = {}
      for i, p in ipairs(e.params) do names[i] = p.name end
      assert.same(e.arguments, names, e.name)
    end
  end)

  it("agrees with ops.def about arguments, options and defaults", function()
    local count = 0
    for name, op in pairs(op_signatures()) do
      local e = entries["Tensor:" .. name] or entries["core." .. name]
      local own = e.name:find(":") and 1 or 0 -- the tensor itself
      assert.equal(op.positional + (#op.options > 0 and 1 or 0), own + #e.arguments, name)
      local text = {}
      for i, p in ipairs(e.params) do text[i] = p.text end
      text = table.concat(text, " ")
      for _, word in ipairs(op.options) do
        assert.truthy(text:find(word .. ":", 1, true), name .. ": option " .. word)
      end
      for _, default in ipairs(op.defaults) do
        assert.truthy(text:find(default, 1, true), name .. ": default" .. default)
      end
      count = count + 1
    end
    assert.is_true(count > 80)
  end)

  it("gives an example of every op", function()
    for name in pairs(op_signatures()) do
      local e = entries["Tensor:" .. name] or entries["core." .. name]
      assert.is_true(#e.examples > 0, name)
      assert.truthy(e.examples[#e.examples].want, name)
    end
  end)

  it("gives examples that run and print what they say", function()
    local seed, step, index = core.sys.rng()
    for _, e in ipairs(entries) do
      local env = setmetatable({ ml = ml, core = core }, { __index = _G })
      for _, x in ipairs(e.of and {} or e.examples) do
        local fine, got = pcall(run, x.code, env, x.want ~= nil)
        assert.is_true(fine, e.name .. ": " .. x.code .. ": " .. tostring(got))
        if x.want then assert.equal(x.want, got, e.name .. ": " .. x.code) end
      end
    end
    core.sys.rng(seed, step, index)
  end)
end)

describe("help", function()
  it("finds a name however it is written", function()
    for _, name in ipairs { "softmax", "x:softmax", "ml.softmax", "Tensor:softmax" } do
      assert.equal("Tensor:softmax", meta.find(name).name)
    end
    assert.equal("core.sys.clock", meta.find("sys.clock").name)
    assert.equal("core.zeros", meta.find("ml.zeros").name)
    assert.is_nil(meta.find("no such thing"))
  end)

  it("shows signature, meaning and example", function()
    local text = meta.text(meta.find "core.sys.draw")
    assert.truthy(text:find("core.sys.draw(n)", 1, true))
    assert.truthy(text:find("> core.sys.draw(4)  --> 7, 1, 0", 1, true))
    assert.truthy(meta.text(meta.find "add_"):find("Tensor:add_(y)", 1, true))
    assert.truthy(meta.text(meta.find "core.add"):find("core.add(x, y)", 1, true))
  end)
end)
