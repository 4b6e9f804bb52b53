--- Text nobody vouches for (what a model wrote, names in files) made safe to show: control
--- characters, which a terminal would obey, and marks that reverse the direction of writing are
--- spelled out; line feeds and tabs stay; bytes that are not UTF-8 become \xff.
---
---   printable "\27[31mred"  --> "\\x1b[31mred"

-- C1 controls, line and paragraph separators, marks and overrides of direction
local function acts(c)
  return c >= 0x80 and c <= 0x9f or c >= 0x200e and c <= 0x200f or c >= 0x2028 and c <= 0x202e
         or c >= 0x2066 and c <= 0x2069 or c == 0xfeff
end

local function spell(c) return ("\\u{%x}"):format(c) end

-- valid UTF-8 beyond ASCII
local function wide(s)
  return (s:gsub(utf8.charpattern, function(char)
    local c = #char > 1 and utf8.codepoint(char)
    return c and acts(c) and spell(c) or nil
  end))
end

--- @param s string
--- @return string  UTF-8 without anything that acts
return function(s)
  local out, i = {}, 1
  while i <= #s do
    local bad = select(2, utf8.len(s, i)) -- the first byte that is no character, or nil
    out[#out + 1] = wide(s:sub(i, (bad or #s + 1) - 1))
    if bad then out[#out + 1] = ("\\x%02x"):format(s:byte(bad)) end
    i = (bad or #s) + 1
  end
  return (table.concat(out):gsub("[%z\1-\8\11-\31\127]", function(c)
    return c == "\r" and "\\r" or ("\\x%02x"):format(c:byte())
  end))
end
