--- A curve in braille: every character holds two columns of four dots.
---
---   for _, line in ipairs(braille(points, { title = "loss", width = 60, height = 8 })) do
---     print(line)
---   end
---
--- points: { { x, y }, ... } with x ascending. Each column shows the span from the least to the
--- largest y that fall into it, so that no spike is lost.
local options = require "moonlit.options"

-- dots of a cell, from the top: left column, right column
local DOTS = { { 0x01, 0x02, 0x04, 0x40 }, { 0x08, 0x10, 0x20, 0x80 } }

local function bounds(points)
  local low, high = math.huge, -math.huge
  for _, p in ipairs(points) do low, high = math.min(low, p[2]), math.max(high, p[2]) end
  return low, high
end

-- column -> { least, largest y }
local function columns_of(points, count)
  local first, last = points[1][1], points[#points][1]
  local list = {}
  for _, p in ipairs(points) do
    local c = last > first and (p[1] - first) * (count - 1) // (last - first) + 1 or 1
    c = math.tointeger(c)
    local span = list[c]
    if not span then list[c] = { p[2], p[2] }
    else span[1], span[2] = math.min(span[1], p[2]), math.max(span[2], p[2]) end
  end
  return list
end

-- columns between two points, on the line that joins them
local function fill(spans, count)
  local before
  for c = 1, count do
    if spans[c] then
      for k = before and before + 1 or c, c - 1 do
        local left, right = spans[before], spans[c]
        local y = (left[1] + left[2]) / 2
        y = y + ((right[1] + right[2]) / 2 - y) * (k - before) / (c - before)
        spans[k] = { y, y }
      end
      before = c
    end
  end
  return spans
end

-- join neighbours: a column begins where the one before it ended
local function draw(spans, count, height, row_of)
  local cells = {}
  for y = 1, height do cells[y] = {} end
  local before
  for c = 1, count do
    local span = spans[c]
    if span then
      local from, to = row_of(span[2]), row_of(span[1]) -- rows count from the top
      if before and before < from then from = before + 1 end
      if before and before > to then to = before - 1 end
      for r = from, to do
        local cell, y = (c + 1) // 2, r // 4 + 1
        cells[y][cell] = (cells[y][cell] or 0) | DOTS[(c - 1) % 2 + 1][r % 4 + 1]
      end
      before = (row_of(span[1]) + row_of(span[2])) // 2
    end
  end
  return cells
end

local LABEL = 10 -- columns of the numbers on the left

--- @param points number[][]
--- @param opt {title: string, width: integer, height: integer}  height: lines of the curve; two
---        more say what it is
--- @return string[]
return function(points, opt)
  local o = options(opt, { title = options.required, width = 80, height = 8 }, "braille")
  if #points == 0 then return { o.title .. ": no number yet" } end
  local low, high = bounds(points)
  local width = math.max(2, o.width - LABEL - 1)
  local rows = o.height * 4
  local function row_of(v)
    if high == low then return rows // 2 end
    return math.tointeger(((high - v) / (high - low) * (rows - 1) + 0.5) // 1)
  end
  local cells = draw(fill(columns_of(points, 2 * width), 2 * width), 2 * width, o.height, row_of)
  local out = { ("%s %.6g"):format(o.title, points[#points][2]) }
  for y = 1, o.height do
    local label = y == 1 and ("%.4g"):format(high) or y == o.height and ("%.4g"):format(low) or ""
    local line = {}
    for x = 1, width do line[x] = utf8.char(0x2800 + (cells[y][x] or 0)) end
    out[#out + 1] = (" "):rep(LABEL - #label) .. label .. " " .. table.concat(line)
  end
  local last = ("%d"):format(points[#points][1])
  local first = ("%d"):format(points[1][1])
  out[#out + 1] = (" "):rep(LABEL + 1) .. first
                  .. (" "):rep(math.max(1, width - #first - #last)) .. last
  return out
end
