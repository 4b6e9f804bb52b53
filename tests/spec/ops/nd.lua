--- Arrays in plain Lua, for references that share nothing with the core: row-major numbers in
--- [1..n] and a shape. Slow and obvious.
local nd = {}
nd.__index = nd

function nd.count(shape)
  local n = 1
  for _, s in ipairs(shape) do n = n * s end
  return n
end

--- nd.new(shape, f): element at positions i (1-based, an array that is reused) is f(i).
function nd.new(shape, f)
  local self, n = setmetatable({ shape = shape }, nd), nd.count(shape)
  local i = {}
  for d = 1, #shape do i[d] = 1 end
  for e = 1, n do
    self[e] = f(i)
    for d = #shape, 1, -1 do -- count up
      i[d] = i[d] + 1
      if i[d] <= shape[d] then break end
      i[d] = 1
    end
  end
  return self
end

--- The element at positions i; a shorter shape or a size of 1 repeats, as in broadcasting.
function nd:at(i)
  local e, skip = 0, #i - #self.shape
  for d, size in ipairs(self.shape) do
    e = e * size + (size == 1 and 1 or i[d + skip]) - 1
  end
  return self[e + 1]
end

local function changed(list, at, value)
  local copy = table.move(list, 1, #list, 1, {})
  copy[at] = value
  return copy
end

local function without(list, at)
  local copy = table.move(list, 1, #list, 1, {})
  table.remove(copy, at)
  return copy
end

local function inserted(list, at, value)
  local copy = table.move(list, 1, #list, 1, {})
  table.insert(copy, at, value)
  return copy
end

--- The elements along dimension d through positions i.
function nd:line(d, i)
  local line = {}
  for k = 1, self.shape[d] do line[k] = self:at(changed(i, d, k)) end
  return line
end

function nd.broadcast(a, b)
  local shape = {}
  for d = 1, math.max(#a, #b) do
    local x, y = a[#a - d + 1] or 1, b[#b - d + 1] or 1
    table.insert(shape, 1, x == 1 and y or x)
  end
  return shape
end

function nd:map(f)
  local e = 0
  return nd.new(self.shape, function() e = e + 1 return f(self[e]) end)
end

function nd.zip(a, b, f)
  return nd.new(nd.broadcast(a.shape, b.shape), function(i) return f(a:at(i), b:at(i)) end)
end

--- Each line along d to one value, f(line); without d, all elements are the line.
function nd:fold(d, f, keep)
  if not d then
    local ones = {}
    for k = 1, keep and #self.shape or 0 do ones[k] = 1 end
    return nd.new(ones, function() return f(self) end)
  end
  local shape = keep and changed(self.shape, d, 1) or without(self.shape, d)
  return nd.new(shape, function(i)
    return f(self:line(d, keep and i or inserted(i, d, 1)))
  end)
end

--- Each line along d to a line, f(line); sizes of d may change.
function nd:along(d, f, size)
  local lines = {}
  return nd.new(changed(self.shape, d, size or self.shape[d]), function(i)
    local key = table.concat(changed(i, d, 0), ",")
    lines[key] = lines[key] or f(self:line(d, i))
    return lines[key][i[d]]
  end)
end

nd.changed, nd.without, nd.inserted = changed, without, inserted
return nd
