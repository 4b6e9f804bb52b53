--- Messages as a person reads them, for samples in a report.
---
---   shown(messages, 1, 3)    --> "user: ...\nassistant: [calculator: 12+30]\ntool: 42"
local REPLACEMENT = "\u{FFFD}"

-- a young model says bytes that are no UTF-8, which no JSON file may hold
local function readable(s)
  local parts, i = {}, 1
  while i <= #s do
    local bad = select(2, utf8.len(s, i)) -- the first byte that is no character, or nil
    parts[#parts + 1] = s:sub(i, (bad or #s + 1) - 1)
    if bad then parts[#parts + 1] = REPLACEMENT end
    i = bad and bad + 1 or #s + 1
  end
  return table.concat(parts)
end

local function line_of(message)
  local parts = { message.content }
  for _, call in ipairs(message.tool_calls or {}) do
    local arguments = type(call.arguments) == "table" and call.arguments.expression
    parts[#parts + 1] = ("[%s: %s]"):format(call.name, tostring(arguments or "..."))
  end
  return readable(table.concat(parts, " "))
end

--- Messages number first to last; several have their roles before them. Always UTF-8.
--- @return string
return function(messages, first, last)
  if first == last then return line_of(messages[first]) end
  local lines = {}
  for i = first, last do lines[#lines + 1] = messages[i].role .. ": " .. line_of(messages[i]) end
  return table.concat(lines, "\n")
end
