-- preference.lua [PAIRS [LENGTH [ROWS]]] -- peak memory of DPO beside that of SFT on the same rows:
-- pairs of random ids, sides of LENGTH/2 to LENGTH of them, ROWS to a step, on 14 M parameters
-- (layers 6, dim 384, vocabulary 8192). Each side is a process of its own: SFT; DPO that computes
-- what the reference says and writes it; DPO that finds it on the disk. Prints MiB of each with the
-- rows made, after the reference, and at most, and DPO's ratios to SFT.
local ml = require "moonlit"
local count, length = tonumber(arg[1] or 500), tonumber(arg[2] or 128)
local rows = tonumber(arg[3] or 16)
local mode, cache = arg[4], arg[5]

-- MiB: resident now, and the most that was
local function memory()
  local now, most
  for line in io.lines "/proc/self/status" do
    now = tonumber(line:match "VmRSS:%s*(%d+)") or now
    most = tonumber(line:match "VmHWM:%s*(%d+)") or most
  end
  return now / 1024, most / 1024
end

local function side(prompt)
  local ids, mask = {}, {}
  local n = ml.randint(length // 2, length, 1):item()
  for t, id in ipairs(ml.randint(0, 8191, n):table()) do
    ids[t], mask[t] = id, t > prompt and 1 or 0
  end
  return { ids = ids, mask = mask }
end

local function measure()
  ml.threads(2)
  local model = ml.model { preset = "llama", layers = 6, dim = 384, heads = 6, vocab = 8192,
                           context = length, tied = true }
  local opt = ml.optim.adamw(model:parameters(), { lr = 1e-5 })
  local sides = {}
  for i = 1, 2 * count do sides[i] = side(length // 4) end
  local made = memory()
  if mode == "dpo" then assert(ml.rl.reference(model, sides, { dir = cache })) end
  local referred = memory()
  for step = 1, 6 do
    local from = step * rows
    local batch = ml.rl.batch(table.move(sides, from + 1, from + rows, 1, {}))
    if mode == "sft" then model:loss(batch):backward()
    else
      local function halves(x)
        local sums = (x * batch.mask):sum(2)
        return sums:narrow(1, 1, rows // 2), sums:narrow(1, rows // 2 + 1, rows // 2)
      end
      local c, r = halves(model:logprobs(batch))
      ml.loss.dpo(c, r, halves(batch.ref)):backward()
    end
    opt:step { clip = 1 }
  end
  local _, most = memory()
  print(("%.1f %.1f %.1f"):format(made, referred, most))
end

if mode then return measure() end
cache = os.tmpname()
os.remove(cache)
local sft
print(("%d pairs of up to %d ids, %d rows a step: MiB with the rows, the reference, at most")
      :format(count, length, rows))
for _, case in ipairs { { "SFT", "sft" }, { "DPO, reference computed", "dpo" },
                        { "DPO, reference cached", "dpo" } } do
  local pipe = io.popen(("lua5.4 %s %d %d %d %s %s"):format(arg[0], count, length, rows, case[2],
                                                           cache))
  local made, referred, most = pipe:read("n", "n", "n")
  pipe:close()
  sft = sft or most
  print(("  %-24s %7.1f %7.1f %7.1f  %.3f x"):format(case[1], made, referred, most, most / sft))
end
os.execute("rm -r " .. cache)
