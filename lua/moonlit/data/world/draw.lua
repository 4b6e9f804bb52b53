--- Random choices of one item of the world: a function of (seed, kind, index) alone, so that item i
--- is the same whatever was asked for before it.
---
---   local d = draw.new(1, "story/train", 7)
---   d:pick { "red", "blue" }
local core = require "moonlit.core"

local Draw = {}
Draw.__index = Draw

local STREAM = 5 -- Philox stream of the world

--- 31 bits of FNV-1a.
local function hash(s)
  local h = 2166136261
  for i = 1, #s do h = ((h ~ s:byte(i)) * 16777619) & 0xffffffff end
  return (h ~ h >> 15) & 0x7fffffff
end

--- An integer from 1 to n.
function Draw:int(n)
  self.site = self.site + 1
  local hi, lo = core.sys.random(self.seed, STREAM, self.index, self.kind, self.site)
  return ((hi << 21) | (lo >> 11)) % n + 1
end

--- An integer from lo to hi.
function Draw:range(lo, hi) return lo + self:int(hi - lo + 1) - 1 end

--- True once in a while: with probability p.
function Draw:chance(p) return self:int(1 << 30) <= p * (1 << 30) end

function Draw:pick(list) return list[self:int(#list)] end

--- A copy in random order.
function Draw:shuffled(list)
  local out = table.move(list, 1, #list, 1, {})
  for i = #out, 2, -1 do
    local j = self:int(i)
    out[i], out[j] = out[j], out[i]
  end
  return out
end

--- n of a list, all different, in random order.
function Draw:sample(list, n)
  local out, taken = {}, {}
  while #out < n do
    local i = self:int(#list)
    if not taken[i] then
      taken[i] = true
      out[#out + 1] = list[i]
    end
  end
  return out
end

--- One of { value, weight } entries, with probability by weight.
function Draw:weighted(entries)
  local u = self:int(1 << 30) / (1 << 30)
  for _, e in ipairs(entries) do
    u = u - e[2]
    if u <= 0 then return e[1] end
  end
  return entries[#entries][1]
end

local draw = { hash = hash }

function draw.new(seed, kind, index)
  return setmetatable({ seed = seed, kind = hash(kind), index = index, site = 0 }, Draw)
end

--- Which part of the world a thing belongs to, by its key: names, sums, sentences.
--- @return string "train" (8 of 10), "valid" or "test"
function draw.part(key)
  local n = hash(key) % 10
  return n == 0 and "test" or n == 1 and "valid" or "train"
end

--- Make things until one belongs to the part: make() gives a key and a value.
function draw.held(part, make)
  while true do
    local key, value = make()
    if draw.part(key) == part then return value end
  end
end

return draw
