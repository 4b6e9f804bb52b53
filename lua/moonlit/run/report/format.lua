--- Numbers as a reader wants them: metrics with their units, times, sizes.
local format = {}

--- A metric's number without its unit: shares as percent, bits to three places.
--- @param v number
--- @param unit? string  "%": v is a share, 0..1
function format.number(v, unit)
  if unit == "%" then return ("%.1f"):format(v * 100) end
  if unit and unit:find("^bits") then return ("%.3f"):format(v) end
  if math.type(v) == "integer" then return ("%d"):format(v) end
  return ("%.4g"):format(v)
end

function format.value(v, unit)
  local text = format.number(v, unit)
  return unit and unit ~= "" and text .. " " .. unit or text
end

--- The change from a to b, with its sign.
function format.change(a, b, unit)
  local text = format.number(math.abs(b - a), unit)
  if tonumber(text) == 0 then return "±0" end
  return (b > a and "+" or "−") .. text
end

function format.interval(low, high, unit)
  return format.number(low, unit) .. " to " .. format.number(high, unit)
end

function format.seconds(s)
  if s < 10 then return ("%.1f s"):format(s) end
  s = math.floor(s + 0.5)
  if s >= 3600 then return ("%d h %02d m"):format(s // 3600, s % 3600 // 60) end
  if s >= 60 then return ("%d m %02d s"):format(s // 60, s % 60) end
  return ("%d s"):format(s)
end

function format.bytes(n)
  if n >= 1e9 then return ("%.2f GB"):format(n / 1e9) end
  if n >= 1e6 then return ("%.2f MB"):format(n / 1e6) end
  if n >= 1e3 then return ("%.1f kB"):format(n / 1e3) end
  return ("%d B"):format(math.floor(n))
end

--- 1234567 -> "1 234 567", with a thin space that does not break.
function format.count(n)
  local s, k = ("%d"):format(math.floor(n)), 1
  while k > 0 do s, k = s:gsub("^(%d+)(%d%d%d)", "%1\u{202f}%2") end
  return s
end

--- Cut to a number of characters.
function format.cut(s, width)
  local n = utf8.len(s)
  if not n or n <= width then return s end
  return s:sub(1, utf8.offset(s, width) - 1) .. "…"
end

--- The rows that stages are compared by, and those that only one of several stages has.
function format.split(data)
  local several, one = {}, {}
  for _, row in ipairs(data.rows) do
    local list = (#row.cells > 1 or #data.stages == 1) and several or one
    list[#list + 1] = row
  end
  return several, one
end

return format
