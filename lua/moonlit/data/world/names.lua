--- The town's people: 9,600 names, eight tenths of them in training, a tenth each held out to
--- validate and to test on.
local draw = require "moonlit.data.world.draw"
local words = require "moonlit.data.world.words"

local names = { train = {}, valid = {}, test = {} }

for _, a in ipairs(words.first) do
  for _, b in ipairs(words.middle) do
    for _, c in ipairs(words.last) do
      local name = a .. b .. c
      table.insert(names[draw.part(name)], name)
    end
  end
end

--- One of a part's names.
function names.one(d, part) return d:pick(names[part]) end

--- n names that differ in their first syllable, so that one glance tells companions apart.
function names.several(d, part, n)
  local out, first = {}, {}
  while #out < n do
    local name = names.one(d, part)
    if not first[name:sub(1, 2)] then
      first[name:sub(1, 2)] = true
      out[#out + 1] = name
    end
  end
  return out
end

return names
