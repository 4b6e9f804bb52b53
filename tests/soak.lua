-- soak.lua -- the long campaigns: over 10,000 training steps of a tier the resident set has slope
-- 0, and 10^6 wrong calls give one clear Lua error each. Run it under SAN=address,undefined as
-- well.
local core = require "moonlit.core"
local ml = require "moonlit"
package.path = "tests/?.lua;" .. package.path
local wrong_calls = require "wrong_calls"

local function slope(points)
  local n, sx, sy, sxx, sxy = #points, 0, 0, 0, 0
  for _, p in ipairs(points) do
    sx, sy, sxx, sxy = sx + p[1], sy + p[2], sxx + p[1] * p[1], sxy + p[1] * p[2]
  end
  return (n * sxy - sx * sy) / (n * sxx - sx * sx)
end

local function steps(count, dtype)
  local model = ml.model { preset = "llama", layers = 2, heads = 2, dim = 64, vocab = 50,
                           context = 32, dtype = dtype }
  local opt = ml.optim.adamw(model:parameters(), { lr = 1e-3 })
  local points = {}
  for step = 1, count do
    local loss = model:loss { ids = ml.randint(0, 49, 4, 33) }
    loss:backward()
    opt:step { clip = 1 }
    if step > count / 10 and step % 100 == 0 then points[#points + 1] = { step, core.sys.rss() } end
  end
  local s = slope(points)
  print(("%s, %d steps: RSS %.1f MB, slope %.2f bytes a step"):format(dtype, count,
    core.sys.rss() / 1e6, s))
  return math.abs(s) < 64
end

local fine = true
for _, dtype in ipairs { "f32", "bf16-amx" } do
  fine = steps(tonumber(arg[1] or 10000), dtype) and fine
end
print(("%d wrong calls: %d errors, %d calls that were right after all"):format(
  wrong_calls(tonumber(arg[2] or 1000000), 1)))
os.exit(fine)
