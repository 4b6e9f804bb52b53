-- text.lua train THREADS FILE OUT PATTERN | encode THREADS FILE TOKENIZER | linear TOKENIZER
-- Our half of text.sh: tab-separated figures. Documents are lines of FILE, 4 KB each.
local core = require "moonlit.core"
local ml = require "moonlit"

local what, threads, path, file, pattern = table.unpack(arg)

-- seconds of the wall's clock and of the processor, all threads'
local function now() return core.sys.clock(), os.clock() end

-- documents, one a call, then nil
local function reader()
  local from = assert(io.open(path))
  return function()
    local group, size = {}, 0
    for line in from:lines "L" do
      group[#group + 1], size = line, size + #line
      if size >= 4096 then break end
    end
    return #group > 0 and table.concat(group) or nil
  end
end

local function documents(most)
  local docs, bytes = {}, 0
  for s in reader() do
    docs[#docs + 1], bytes = s, bytes + #s
    if bytes >= most then break end
  end
  return docs, bytes
end

local function peak_mb()
  for line in io.lines "/proc/self/status" do
    local kb = line:match "VmHWM:%s*(%d+)"
    if kb then return kb / 1024 end
  end
end

local run = {}

function run.train()
  local from, cpu = now()
  local tok = ml.text.train(reader(), { vocab = 30000, special = { "<|endoftext|>" },
                                        pattern = pattern })
  local to, spent = now()
  assert(tok:save(file))
  print(("%.2f\t%.2f\t%.0f"):format(to - from, spent - cpu, peak_mb()))
end

function run.encode()
  local tok = ml.must(ml.text.load(file))
  local docs, bytes = documents(20 << 20)
  local best, least, count = math.huge, math.huge, 0
  for _ = 1, 3 do
    count = 0
    local from, cpu = now()
    for i = 1, #docs, 256 do -- as many as are worth a batch, and soon given back
      for _, ids in ipairs(tok:encode_all(table.move(docs, i, math.min(i + 255, #docs), 1, {}))) do
        count = count + #ids
      end
    end
    local to, spent = now()
    best, least = math.min(best, to - from), math.min(least, spent - cpu)
  end
  print(("%.2f\t%.2f\t%d"):format(bytes / best / 1e6, bytes / least / 1e6, count))
end

-- ms for a quarter of a megabyte of what repeats, and for one
function run.linear()
  local tok = ml.must(ml.text.load(threads))
  for _, s in ipairs { "a", " ", "\n", "1", "^", "\u{e9}", "\u{7684}", "\u{301}", "aB", "\xff" } do
    local ms = {}
    for k, size in ipairs { 250000, 1000000 } do
      local text = s:rep(size // #s)
      local from = os.clock()
      tok:encode(text)
      ms[k] = 1000 * (os.clock() - from)
    end
    print(("%q\t%.0f\t%.0f"):format(s, ms[1], ms[2]))
  end
end

ml.threads(what ~= "linear" and tonumber(threads) or 1)
run[what]()
