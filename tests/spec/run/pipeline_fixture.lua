--- A pipeline's directory as stages leave it, without running any: what the report's specs read.
local core = require "moonlit.core"
local json = require "moonlit.json"

local STEPS = 1000

local function write(path, text) assert(core.sys.write(path, text)) end

local function run_info(status, seconds)
  return { status = status, tokens = 4096000, tokens_per_second = 41234.5, peak_share = 0.412,
           steps = STEPS, step = STEPS, seed = 1, moonlit = "dev",
           numerics = "det-1", isa = "avx512", threads = 2, engine = "moonlit",
           cpu = "A Processor <2.7 GHz>", started = "2026-11-23T23:59:00Z",
           finished = ("2026-11-24T00:%02d:%02dZ"):format(seconds // 60, seconds % 60),
           last = json.array { "weights sha256 " .. ("ab12"):rep(16) } }
end

-- a loss that falls with noise, and one spike that thinning must keep
local function curve(dir, from, to, extra)
  local lines = {}
  for step = 1, STEPS do
    local loss = to + (from - to) * math.exp(-step / 150) + 0.06 * math.sin(step * 12.9898) ^ 3
    if step == 703 then loss = loss + 0.5 end
    local record = { step = step, loss = loss, lr = 3e-3 * (1 - step / (STEPS + 1)),
                     norm = 0.5 + 0.2 * math.sin(step / 7), seconds = step * 0.1 }
    if extra and step % 100 == 0 then record.val_loss = loss + 0.08 end
    lines[step] = json.encode(record)
  end
  write(dir .. "/metrics.jsonl", table.concat(lines, "\n") .. '\n{"step": 1001, "lo')
end

local function checkpoint(dir)
  assert(core.sys.mkdir(dir .. "/ckpt/step-1000"))
  write(dir .. "/ckpt/latest", "step-1000\n")
  assert(json.save(dir .. "/ckpt/step-1000/manifest.json",
    { files = { ["model.safetensors"] = { bytes = 10, sha256 = ("cd34"):rep(16) } } }))
end

local function share(name, title, value, spread)
  return { name = name, title = title, value = value, low = math.max(0, value - spread),
           high = math.min(1, value + spread), n = 200, unit = "%", better = "higher" }
end

local STORY = "Summarise: Mira found a lantern in the old mill and gave it to the keeper, who had "
  .. "been looking for it since the spring. They sat by the water until the moon rose."

local function stage(dir, title, bits, summary, calculator, reply)
  assert(core.sys.mkdir(dir))
  assert(json.save(dir .. "/run.json", run_info("finished", 100)))
  assert(json.save(dir .. "/config.json", { steps = STEPS, seed = 1, name = "it's",
                                            model = dir .. "/../01-curate" }))
  assert(json.save(dir .. "/stage.json", { status = "finished", seconds = 100,
    inputs = { data = { path = "runs/quickstart/01-curate", digest = ("ef56"):rep(16) } } }))
  write(dir .. "/recipe.lua", "-- a recipe\n")
  checkpoint(dir)
  curve(dir, bits * 4, bits * 1.5, title == "BASE")
  assert(json.save(dir .. "/results.json", { stage = title:lower(), title = title,
    metrics = {
      { name = "bits", title = "held-out documents", value = bits, unit = "bits/byte",
        better = "lower", n = 500 },
      share("summary", "summaries right", summary, 0.035),
      share("calculator", "sums with the calculator right", calculator, 0.03),
    },
    samples = { { prompt = STORY, reply = reply, answer = "Mira gave the keeper a lantern.",
                  score = reply:find "^Mira gave" and 1 or 0 },
                { prompt = "Translate to Northern: the moon is high", reply = reply } },
    notes = { "trained on <12> & more documents" } }))
end

local function count(documents, bytes) return { documents = documents, bytes = bytes } end

local function reason(name, documents)
  return { reason = name, documents = documents, bytes = documents * 900,
           examples = json.array { { id = "crawl-7", excerpt = "click <here> to \u{202e}win" } } }
end

local ALL, GOOD, NEW = count(20000, 31457280), count(16240, 27262976), count(12011, 20971520)
local LEDGER = { ["in"] = ALL, out = NEW, sources = { crawl = { ["in"] = ALL, out = NEW } },
  steps = {
    { name = "crawl", kind = "read", ["in"] = ALL, out = ALL },
    { name = "gopher_quality", kind = "filter", ["in"] = ALL, out = GOOD,
      reasons = { reason("too few words", 2310), reason("symbols <b>", 1450) } },
    { name = "minhash", kind = "dedup", ["in"] = GOOD, out = NEW,
      reasons = { reason("duplicate", 4229) } },
    { name = "pii", kind = "map", ["in"] = NEW, out = NEW, counts = { email = 31, phone = 4 } },
  } }

--- Write one into dir.
return function(dir)
  assert(core.sys.mkdir(dir .. "/01-curate/data"))
  assert(json.save(dir .. "/01-curate/data/ledger.json", LEDGER))
  assert(json.save(dir .. "/01-curate/stage.json", { seconds = 12.5, status = "finished",
                                                     digest = ("ef56"):rep(16) }))
  assert(json.save(dir .. "/pipeline.json", { seed = 1, cpu = "A Processor <2.7 GHz>",
    command = json.array { "lua5.4", "recipes/quickstart.lua", "size=full", "name=it's" } }))
  local bad = "<script>alert('x')</script><img src=http://evil.example/x onerror=alert(1)>"
    .. "\27[31m\27]0;title\7 ```\n# heading\n| a | b |\n\u{202e}gnirts</pre></div>"
  stage(dir .. "/02-base", "BASE", 1.62, 0, 0.01, bad)
  stage(dir .. "/03-mid", "MID", 1.48, 0.02, 0.02, "The lantern is the lantern is the lantern")
  stage(dir .. "/04-sft", "SFT", 1.51, 0.93, 0.98, "Mira gave the keeper a lantern.")
  stage(dir .. "/05-dpo", "DPO", 1.52, 0.945, 0.98, "Mira gave the keeper a lantern.")
  stage(dir .. "/06-grpo", "GRPO", 1.53, 0.94, 0.99, "Mira gave the keeper a lantern.")
end
