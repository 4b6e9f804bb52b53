--- What the files beside this one say about the core, for `?name` in the REPL and for the spec
--- that runs the examples. An entry is a block of lines that begin with three dashes, above
---   function core.name(a, b) end      a function
---   function Tensor:name(a) end       a method
---   core.name = Tensor.name           the same under another name
--- In a block: prose; examples, which begin with >, go on indented and give their result behind
--- -->; @param, @return and the other tags of LuaCATS, which go on indented too.
local meta = { areas = { "core", "tensor", "elementwise", "reduce", "shape", "blocks", "nn",
                         "optim", "files", "data", "stats", "text",
                         "sys" } }

local function words(list) return table.concat(list, " ") end

-- "a  --> b" -> "a", "b"; no arrow: the line is run, and shows nothing
local function split_example(text)
  local code, want = text:match("^(.-)%s*%-%->%s*(.*)$")
  return { code = code or text, want = want }
end

-- the block's lines, already joined, into an entry
local function entry_of(block, name, arguments)
  local e = { name = name, value = not arguments, arguments = {},
              prose = {}, examples = {}, params = {}, returns = {} }
  for a in (arguments or ""):gmatch("[%w_.]+") do e.arguments[#e.arguments + 1] = a end
  for _, line in ipairs(block) do
    local tag, rest = line:match("^@(%a+)%s+(.*)$")
    if tag == "param" then
      local param, optional, text = rest:match("^([%w_.]+)(%??)%s+(.*)$")
      e.params[#e.params + 1] = { name = param, optional = optional == "?", text = text }
    elseif tag == "return" then e.returns[#e.returns + 1] = rest
    elseif line:sub(1, 2) == "> " then e.examples[#e.examples + 1] = split_example(line:sub(3))
    elseif not line:find("^@") then e.prose[#e.prose + 1] = line end
  end
  e.prose = words(e.prose)
  return e
end

-- what a line of code declares: name, arguments, or name, nil, the name it is another one for
local function declared(line)
  local name, arguments = line:match("^function ([%w_.:]+)%((.-)%) end")
  if name then return name, arguments end
  local alias
  name, alias = line:match("^([%w_]+[.:][%w_.]+) = ([%w_.:]+)$")
  return name, nil, alias
end

-- Tensor.add_ = Tensor.add: the same entry, told as what it is
local function another(e, name)
  local copy = {}
  for k, v in pairs(e) do copy[k] = v end
  copy.name, copy.of = name, e.name
  return copy
end

local function add(list, e)
  list[#list + 1] = e
  list[e.name] = e
end

-- Tensor.exp, however it is written, is a method
local function canonical(name) return (name:gsub("^(%u%w*)%.", "%1:")) end

local function read_line(list, block, line)
  local text = line:match("^%-%-%-%s?(.*)$")
  if text then
    local more = text:match("^%s+(.*)$")
    if not more then block[#block + 1] = text
    elseif #block > 0 then block[#block] = block[#block] .. " " .. more end
    return block
  end
  local name, arguments, alias = declared(line)
  if name then
    local from = alias and list[canonical(alias)]
    if from then add(list, another(from, canonical(name)))
    elseif #block > 0 then add(list, entry_of(block, canonical(name), arguments)) end
  end
  return {}
end

--- Every entry, in the order of the files; also by name.
--- @return table[]
function meta.entries()
  if meta.list then return meta.list end
  local list = {}
  for _, area in ipairs(meta.areas) do
    local block = {}
    for line in io.lines(assert(package.searchpath("moonlit.meta." .. area, package.path))) do
      block = read_line(list, block, line)
    end
  end
  meta.list = list
  return list
end

local function wrapped(text, indent)
  local lines, line = {}, indent
  for word in text:gmatch("%S+") do
    if #line + #word > 87 and line ~= indent then
      lines[#lines + 1] = line
      line = indent
    end
    line = line .. (line == indent and "" or " ") .. word
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n")
end

-- a method's twin among the functions takes the tensor first
local function signature(e)
  if e.value then return e.name end
  local list = e.of and not e.name:find(":") and { "x" } or {}
  table.move(e.arguments, 1, #e.arguments, #list + 1, list)
  return ("%s(%s)"):format(e.name, table.concat(list, ", "))
end

--- An entry as the REPL shows it.
--- @param e table
--- @return string
function meta.text(e)
  local lines = { signature(e), wrapped(e.prose, "  ") }
  if e.of and e.name:find("_$") then
    lines[#lines + 1] = "  In place: x becomes the result and is returned."
  end
  for _, p in ipairs(e.params) do
    local text = ("%s%s: %s"):format(p.name, p.optional and "?" or "", p.text)
    lines[#lines + 1] = wrapped(text, "    ")
  end
  if #e.returns > 0 then
    lines[#lines + 1] = wrapped("-> " .. table.concat(e.returns, ", "), "    ")
  end
  for _, x in ipairs(e.examples) do
    lines[#lines + 1] = "  > " .. x.code .. (x.want and "  --> " .. x.want or "")
  end
  return table.concat(lines, "\n")
end

-- "softmax" of "Tensor:softmax" and "core.softmax"; "sys.clock" of "core.sys.clock"
local function tail(name) return (name:gsub("^[%w_]+[.:]", "")) end

--- Entries a reader may mean: by full name, else by what follows the first dot or colon, the method
--- before the function of the same op.
--- @param name string  softmax, x:softmax, ml.softmax, core.sys.clock, sys.clock
--- @return table|nil entry
function meta.find(name)
  local list = meta.entries()
  if list[name] then return list[name] end
  for _, want in ipairs { name, tail(name) } do
    for _, e in ipairs(list) do
      if tail(e.name) == want then return e end
    end
  end
end

--- Names of everything documented, without what stands before the first dot or colon.
function meta.names()
  local names = {}
  for i, e in ipairs(meta.entries()) do names[i] = tail(e.name) end
  return names
end

return meta
