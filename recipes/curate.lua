-- lua5.4 recipes/curate.lua data=crawl.jsonl.gz --out runs/curate
--
-- Documents out of raw text: C4's, Gopher's and FineWeb's rules, exact and near duplicates out,
-- evaluation texts out, personal data masked. data is a .txt, .jsonl or .jsonl.gz file, a
-- directory of them or a pattern ("crawl/*.jsonl.gz"), which `workers` processes read at once;
-- without it, the crawl of the built-in world, which knows its junk, its copies and what is
-- personal, so that the rules can be judged. Writes data/train.jsonl, data/valid.jsonl, lists of
-- what was alike, and data/ledger.json: every document, where it went and why (moonlit inspect).
local ml = require "moonlit"

local cfg = ml.knobs {
  data = "",
  text = "text",         -- its field that holds the text
  wrong = "raise",       -- mark: lines that are no documents are dropped and counted
  documents = 12000,     -- of the world
  workers = 1,           -- processes; what comes out does not depend on how many
  seed = 1,
  min_words = 50,        -- of a document (Gopher)
  min_stop_words = 2,    -- the, be, to, of, and, that, have, with (Gopher)
  min_alpha_words = 0.8, -- words with a letter, of all (Gopher)
  min_sentences = 3,     -- 5 in C4
  grams = true,          -- Gopher's limits on words in a row that come again
  language = "",         -- of documents to keep: en, or en,de,fr
  symbols = false,       -- NeMo's limits on characters: symbols, digits, addresses, brackets
  quality = "",          -- a run of quality.lua: what it takes for bad goes
  perplexity = "",       -- a run with a model: what needs more than max_bits a byte goes
  max_bits = 2.0,
  similar = 0.7,         -- documents this much alike (Jaccard, 5 words in a row) are copies
  spans = "",            -- cut what comes again: sentence (three in a row), paragraph or line
  against = "",          -- texts of an evaluation, in a file: documents that share 13 words go
  valid = 500,           -- documents put aside to validate on
}
-- the world's notes say everything twice and its lists have no grammar: rules for the web would
-- take half of it
local web = cfg.data ~= ""
local limits = web and { min_words = cfg.min_words, min_stop_words = cfg.min_stop_words,
                         min_alpha_words = cfg.min_alpha_words }
               or { min_words = 30, min_stop_words = 0, min_alpha_words = 0.5 }

local task = ml.run.task("runs/curate", { seed = cfg.seed })
local world, judge = ml.data.world { seed = cfg.seed }, ml.data.judge()
local ledger, filter = ml.data.ledger(), ml.data.filter

-- filters that were asked for, by name, and what they depend on
local extra, depends = {}, {}
local function add(name, keep, ...)
  extra[#extra + 1], extra[name] = name, keep
  depends[#depends + 1] = { name, ... }
end
if cfg.language ~= "" then
  local list = {}
  for name in cfg.language:gmatch "[^,%s]+" do list[#list + 1] = name end
  add("language", filter.language { languages = list }, cfg.language)
end
if cfg.symbols then add("symbols", filter.symbols()) end
if cfg.quality ~= "" then
  local path = cfg.quality .. "/classifier.safetensors"
  add("quality", filter.classifier { classifier = ml.must(ml.data.classifier.load(path)) },
      (ml.must(ml.ckpt.hash_file(path))))
end
if cfg.perplexity ~= "" then
  local model, tok = ml.load(cfg.perplexity)
  ml.must(model, tok)
  add("perplexity", filter.perplexity { max_bits = cfg.max_bits, bits = function(doc)
    return ml.eval.bits_per_byte(model, tok, { doc }).bits_per_byte
  end }, cfg.max_bits, ml.ckpt.hash(model:parameters()))
end

-- what looks at all documents: made first, so that what is wrong with a knob is said at once
local dedup, dir = ml.data.dedup, task.dir
local exact = dedup.exact { dir = dir, list = task:path "data/equal.jsonl" }
local minhash = dedup.minhash { threshold = cfg.similar, seed = cfg.seed, dir = dir,
                                list = task:path "data/alike.jsonl" }
local spans = cfg.spans ~= "" and dedup.spans { unit = cfg.spans, dir = dir }
local against
if cfg.against ~= "" then
  local texts = {}
  for doc in ml.data.read(cfg.against) do texts[#texts + 1] = doc.text end
  against = ml.data.decontaminate(texts)
end

-- what looks at one document
local function rules(l, docs)
  docs = l:filter("c4", docs, filter.c4 { min_sentences = web and cfg.min_sentences or 2 })
  docs = l:filter("gopher_repetition", docs, filter.gopher_repetition(
    (not web or not cfg.grams) and { grams = false, top = false } or {}))
  docs = l:filter("gopher_quality", docs, filter.gopher_quality(limits))
  docs = l:filter("fineweb_quality", docs, filter.fineweb_quality())
  for _, name in ipairs(extra) do docs = l:filter(name, docs, extra[name]) end
  return docs
end

local docs, files
if web then
  docs, files = ml.data.parts(ledger, cfg.data, { dir = task:path "parts", workers = cfg.workers,
    rules = rules, source = cfg.data,
    key = ml.json.encode { limits, cfg.min_sentences, cfg.grams, cfg.text, cfg.wrong, depends },
    read = { split = "blank", text = cfg.text, wrong = cfg.wrong, origin = true } })
else docs = rules(ledger, ledger:read("crawl", judge:watch(world:crawl(cfg.documents)))) end

docs = ledger:dedup("exact", docs, exact)
docs = ledger:dedup("minhash", docs, minhash)
if spans then docs = ledger:dedup("spans", docs, spans) end
if against then docs = ledger:filter("decontaminate", docs, against) end
docs = ledger:map("pii", docs, ml.data.pii())

-- what is left; where there is no world to make more, each so many-th is put aside
local all, n = task:path "parts/kept.jsonl", 0
ml.must(ml.data.write(all, function()
  local doc = docs()
  if not doc then return nil end
  if not web then judge:kept(doc) end
  n = n + 1
  return { id = doc.id, text = doc.text, source = doc.source, origin = doc.origin }
end))
local every = web and math.max(2, n // math.max(1, cfg.valid)) or n + 1
local function part(aside)
  local function mine(line) return (line % every == 0) == aside end
  return ml.data.read(all, { limit = 1 << 40, only = mine })
end
local train, valid = task:path "data/train.jsonl", task:path "data/valid.jsonl"
ml.must(ml.data.write(train, part(false)))
ml.must(ml.data.write(valid, web and part(true) or world:documents("valid", cfg.valid)))
ml.must(ml.data.lineage.note({ train, valid }, files or {})) -- moonlit inspect RUN --token N, later

local books = ledger:finish()
ml.must(ledger:save(task:path "data/ledger.json"))
for _, step in ipairs(books.steps) do
  local why = {}
  for i, r in ipairs(step.reasons) do why[i] = ("%s %d"):format(r.reason, r.documents) end
  task:say(("%-18s %7d -> %7d   %s"):format(step.name, step["in"].documents, step.out.documents,
                                            table.concat(why, ", ")))
end
local metrics = web and {} or judge:metrics()
table.insert(metrics, 1, { name = "bytes_kept", title = "bytes kept", unit = "%",
                           value = books.out.bytes / math.max(1, books["in"].bytes) })
task:results { title = "Data", metrics = metrics }
task:remove "parts"
local said = {}
for i, m in ipairs(metrics) do said[i] = ("%s %.1f %%"):format(m.title, 100 * m.value) end
task:finish(("%d of %d documents kept; %s"):format(books.out.documents, books["in"].documents,
                                                   table.concat(said, "; ")))
