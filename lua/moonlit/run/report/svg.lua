--- Charts as SVG text: curves with axes and ticks, whiskers, bars. No script, no colours of their
--- own: classes that the page's style sheet fills in, for light and for dark.
local svg = {}

local WIDTH, HEIGHT = 420, 230
local LEFT, RIGHT, TOP, BOTTOM = 48, 10, 10, 30
local POINTS = 400 -- of a line, at most

-- ---- lines ----

--- The mean of each point and its neighbours, a 60th of all on either side: no lag behind a fall.
--- Near the start there are as few after a point as before it; at the end, where curves are flat,
--- those before it do.
--- @param points number[][]  { x, y }
function svg.smooth(points)
  local n, sums = #points, { [0] = 0 }
  for i, p in ipairs(points) do sums[i] = sums[i - 1] + p[2] end
  local out, reach = {}, n // 60
  for i, p in ipairs(points) do
    local half = math.min(reach, i - 1)
    local first, last = i - half, math.min(n, i + half)
    out[i] = { p[1], (sums[last] - sums[first - 1]) / (last - first + 1) }
  end
  return out
end

--- At most 400 points: the lowest and the highest of each stretch, so that no spike is lost, and
--- the first and the last of all.
function svg.thin(points)
  local n = #points
  if n <= POINTS then return points end
  local out, buckets = { points[1] }, POINTS // 2 - 1
  for b = 1, buckets do
    local from, to = 2 + (b - 1) * (n - 2) // buckets, 1 + b * (n - 2) // buckets
    local low, high = from, from
    for i = from, to do
      if points[i][2] < points[low][2] then low = i end
      if points[i][2] > points[high][2] then high = i end
    end
    out[#out + 1] = points[math.min(low, high)]
    if low ~= high then out[#out + 1] = points[math.max(low, high)] end
  end
  out[#out + 1] = points[n]
  return out
end

-- ---- axes ----

-- round numbers that cover low..high
local function ticks(low, high, count)
  local raw = (high - low) / count
  local base = 10.0 ^ math.floor(math.log(raw, 10))
  local step = base * 10
  for _, m in ipairs { 1, 2, 5 } do
    if base * m >= raw * (1 - 1e-9) then step = base * m break end
  end
  local list = {}
  for k = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) do
    list[#list + 1] = k * step
  end
  return list
end

local function label(v)
  local size = math.abs(v)
  if size >= 1e6 then return ("%.4gM"):format(v / 1e6) end
  if size >= 1e4 then return ("%.4gk"):format(v / 1e3) end
  return (("%.4g"):format(v):gsub("e([+-])0*(%d)", "e%1%2"):gsub("e%+", "e"))
end

local function bounds(lines)
  local x0, x1, y0, y1 = math.huge, -math.huge, math.huge, -math.huge
  for _, line in ipairs(lines) do
    for _, p in ipairs(line.points) do
      x0, x1 = math.min(x0, p[1]), math.max(x1, p[1])
      y0, y1 = math.min(y0, p[2]), math.max(y1, p[2])
    end
  end
  if x1 == x0 then x0, x1 = x0 - 1, x1 + 1 end
  local room = math.max((y1 - y0) * 0.04, math.abs(y1) * 1e-6, 1e-12)
  return x0, x1, y0 - room, y1 + room
end

local function path(points, class, place)
  local out = {}
  for i, p in ipairs(points) do
    local x, y = place(p[1], p[2])
    out[i] = ("%.1f,%.1f"):format(x, y)
  end
  return ('<polyline class="%s" points="%s"/>'):format(class, table.concat(out, " "))
end

local function axes(out, x0, x1, y0, y1, place)
  for _, y in ipairs(ticks(y0, y1, 5)) do
    local _, at = place(x0, y)
    out[#out + 1] = ('<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>')
      :format(LEFT, WIDTH - RIGHT, at, at)
    out[#out + 1] = ('<text x="%d" y="%.1f" text-anchor="end">%s</text>')
      :format(LEFT - 6, at + 4, label(y))
  end
  local base = HEIGHT - BOTTOM
  out[#out + 1] = ('<line class="axis" x1="%d" x2="%d" y1="%d" y2="%d"/>')
    :format(LEFT, WIDTH - RIGHT, base, base)
  out[#out + 1] = ('<text x="%d" y="%d" text-anchor="end">step</text>'):format(LEFT - 6, base + 18)
  for _, x in ipairs(ticks(x0, x1, 5)) do
    local at = place(x, y0)
    -- a number at the very edge would be cut off
    local anchor = at > WIDTH - RIGHT - 12 and "end" or "middle"
    out[#out + 1] = ('<line class="axis" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>')
      :format(at, at, base, base + 4)
    out[#out + 1] = ('<text x="%.1f" y="%d" text-anchor="%s">%s</text>')
      :format(at, base + 18, anchor, label(x))
  end
end

--- A chart of lines over steps. Lines with raw = true are drawn faint under their smooth mean.
--- @param lines {points: number[][], raw: boolean?, class: string?}[]  at least one point each
--- @param about string  what a screen reader says; markup already escaped
--- @return string
function svg.chart(lines, about)
  local x0, x1, y0, y1 = bounds(lines)
  local function place(x, y)
    return LEFT + (x - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT),
           HEIGHT - BOTTOM - (y - y0) / (y1 - y0) * (HEIGHT - TOP - BOTTOM)
  end
  local out = { ('<svg class="chart" viewBox="0 0 %d %d" role="img" aria-label="%s">')
                :format(WIDTH, HEIGHT, about) }
  axes(out, x0, x1, y0, y1, place)
  for _, line in ipairs(lines) do
    local class = line.class or "line"
    if #line.points == 1 then
      out[#out + 1] = ('<circle class="%s" cx="%.1f" cy="%.1f" r="3"/>')
        :format(class, place(line.points[1][1], line.points[1][2]))
    else
      if line.raw then out[#out + 1] = path(svg.thin(line.points), class .. " raw", place) end
      local shown = line.raw and svg.smooth(line.points) or line.points
      out[#out + 1] = path(svg.thin(shown), class, place)
    end
  end
  out[#out + 1] = "</svg>"
  return table.concat(out, "\n")
end

-- ---- small ones, stretched to their place ----

local function stretch(class, body)
  return ('<svg class="%s" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
          .. "%s</svg>"):format(class, body)
end

local function rect(class, x, width, y, height)
  return ('<rect class="%s" x="%.2f" y="%g" width="%.2f" height="%g"/>')
    :format(class, x, y, math.max(width, 0), height)
end

--- A value and its interval on a scale low..high.
--- @param cell {value: number, low: number?, high: number?}
function svg.whisker(cell, low, high)
  local function at(v)
    return math.max(0, math.min(1, (v - low) / math.max(high - low, 1e-12))) * 98 + 1
  end
  local body = rect("track", 0, 100, 3.5, 1)
  if cell.low and cell.high then
    body = body .. rect("range", at(cell.low), at(cell.high) - at(cell.low), 2, 4)
  end
  return stretch("whisker", body .. rect("point", at(cell.value) - 1, 2, 0, 8))
end

--- Parts of a whole, left to right.
--- @param parts {class: string, share: number}[]  shares of 1
function svg.bar(parts)
  local body, x = { rect("track", 0, 100, 0, 8) }, 0
  for _, part in ipairs(parts) do
    body[#body + 1] = rect(part.class, x, part.share * 100, 0, 8)
    x = x + part.share * 100
  end
  return stretch("bar", table.concat(body))
end

return svg
