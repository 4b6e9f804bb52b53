--- Order out of a key: every loader's random numbers, and a shuffle without a table. A row's place
--- is a function of (seed, epoch, position), so that a resumed run needs no memory of the order.
local core = require "moonlit.core"

local feistel = {}

local STREAM = 4 -- Philox stream of the data; 0 is ml.rand*, 1 dropout, 2 sampling, 3 init

--- An integer from 0 to n - 1, from 53 random bits.
function feistel.draw(seed, index, step, site, n)
  local hi, lo = core.sys.random(seed, STREAM, index, step, site)
  return ((hi << 21) | (lo >> 11)) % n
end

--- Where i comes in epoch's order of 0 .. count - 1: a Feistel network of four rounds over the next
--- power of four, walked on until it lands inside, is a permutation without a table.
function feistel.shuffled(seed, epoch, i, count)
  local half = 1
  while (1 << 2 * half) < count do half = half + 1 end
  local low = (1 << half) - 1
  repeat
    for round = 1, 4 do
      local left, right = i >> half, i & low
      i = right << half | (left ~ feistel.draw(seed, right, epoch, round, low + 1))
    end
  until i < count
  return i
end

return feistel
