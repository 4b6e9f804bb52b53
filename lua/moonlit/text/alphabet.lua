--- GPT-2's alphabet: every byte as a printable character, so that tokens of any bytes can stand in
--- JSON. Bytes that print stand for themselves, the others for the characters from U+0100 on.
local alphabet = { bytes = {}, chars = {} } -- character -> byte, byte -> character

local function prints(b) return b >= 33 and b <= 126 or b >= 161 and b <= 172 or b >= 174 end

local next_code = 256
local order = {}
for b = 0, 255 do
  local code = b
  if not prints(b) then
    code = next_code
    next_code = next_code + 1
  end
  order[b + 1] = { code = code, byte = b }
  alphabet.chars[b] = utf8.char(code)
  alphabet.bytes[utf8.char(code)] = string.char(b)
end
table.sort(order, function(x, y) return x.code < y.code end)

--- All bytes in the order of their characters: the ids that a trained vocabulary gives them.
local list = {}
for i, e in ipairs(order) do list[i] = string.char(e.byte) end
alphabet.order = table.concat(list)

--- Bytes as characters.
function alphabet.write(s)
  return (s:gsub(".", function(c) return alphabet.chars[c:byte()] end))
end

--- Characters as bytes; nil where one is none of the alphabet.
function alphabet.read(s)
  local out, n = {}, 0
  if not utf8.len(s) then return nil end
  for c in s:gmatch(utf8.charpattern) do
    n = n + 1
    out[n] = alphabet.bytes[c]
    if not out[n] then return nil end
  end
  return table.concat(out)
end

return alphabet
