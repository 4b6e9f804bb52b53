-- lua5.4 recipes/quality.lua good=books.jsonl bad=spam.jsonl --out runs/quality
--
-- A classifier of good and bad text, for curate.lua (quality=runs/quality). good and bad are files
-- of documents, directories or patterns; without them, the pages of the built-in world against its
-- junk. Measured on documents held out of both: how often a good one scores higher than a bad one
-- (AUC), and how many of each pass at one half.
local ml = require "moonlit"

local cfg = ml.knobs {
  good = "", bad = "",
  documents = 4000, -- of the world's crawl
  held = 5,         -- one of so many documents is held out
  buckets = 262144, -- of words and pairs of words
  epochs = 4,
  lr = 20.0,        -- down to 0 in a straight line
  seed = 1,
}

local task = ml.run.task("runs/quality", { seed = cfg.seed })
local world = ml.data.world { seed = cfg.seed }
local function documents(path, junk)
  if path ~= "" then return ml.data.read(path, { split = "blank" }) end
  local crawl = world:crawl(cfg.documents)
  return function()
    for doc in crawl do
      if doc.truth.junk == junk then return doc end
    end
  end
end

-- those to train on, those held out
local function halves(docs)
  local train, held, n = {}, {}, 0
  for doc in docs do
    n = n + 1
    table.insert(n % cfg.held == 0 and held or train, doc)
  end
  return train, held
end

local good, good_held = halves(documents(cfg.good, false))
local bad, bad_held = halves(documents(cfg.bad, true))
local c = ml.data.classifier.train(good, bad, { buckets = cfg.buckets, epochs = cfg.epochs,
                                                lr = cfg.lr, seed = cfg.seed })
ml.must(c:save(task:path "classifier.safetensors"))

local function scores(docs)
  local list, passed = {}, 0
  for i, doc in ipairs(docs) do
    list[i] = c:score(doc)
    if list[i] >= 0.5 then passed = passed + 1 end
  end
  return list, passed / math.max(1, #list)
end

local of_good, good_passed = scores(good_held)
local of_bad, bad_passed = scores(bad_held)
local auc = ml.data.classifier.auc(of_good, of_bad)
task:results { title = "QUALITY", metrics = {
  { name = "auc", title = "AUC, held out", value = auc, n = #of_good + #of_bad, better = "higher" },
  { name = "good_kept", title = "good documents that pass", value = good_passed, n = #of_good,
    unit = "%", better = "higher" },
  { name = "bad_kept", title = "bad documents that pass", value = bad_passed, n = #of_bad,
    unit = "%", better = "lower" },
} }
task:finish(("AUC %.4f on %d good and %d bad documents held out; %.1f %% and %.1f %% of them pass")
  :format(auc, #of_good, #of_bad, 100 * good_passed, 100 * bad_passed))
