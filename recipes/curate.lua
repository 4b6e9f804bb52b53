-- lua5.4 recipes/curate.lua data=crawl.jsonl.gz --out runs/curate
--
-- Documents out of raw text: C4's, Gopher's and FineWeb's rules, exact and near duplicates,
-- evaluation texts taken out, personal data masked. Without data= the crawl of the built-in world,
-- which knows its junk, its copies and what is personal, so the rules can be judged. Writes
-- data/train.jsonl, data/valid.jsonl, ledger.json (every document, where it went and why) and
-- results.json.
local ml = require "moonlit"
local core = require "moonlit.core"
local harness = require "moonlit.run.harness"

local cfg = ml.knobs {
  data = "",           -- .txt, .jsonl or .jsonl.gz; empty: the world's crawl
  documents = 12000,   -- of the world
  seed = 1,
  c4 = true,           -- the rules, in the order they are applied
  repetition = true,
  quality = true,
  fineweb = true,
  exact = true,
  minhash = true,
  decontaminate = true,
  pii = true,
  min_words = 20,      -- of a document: published is 50, for pages longer than the world's
  min_alpha = 0.6,     -- words with a letter: published is 0.8, too much for talk, as every
                       -- comma and quotation mark is a word
  min_sentences = 2,   -- published is 5
  threshold = 0.7,     -- documents this much alike (Jaccard) are duplicates
  against = "",        -- texts of an evaluation, in a file; the world has its own
  valid = 500,         -- documents put aside to validate on
}
local dir = harness.out or "runs/curate"
local world = cfg.data == "" and ml.data.world { seed = cfg.seed } or nil

local function say(...) if not harness.quiet then print(string.format(...)) end end

local function texts_of(documents)
  local texts = {}
  for doc in documents do texts[#texts + 1] = doc.text end
  return texts
end

-- what goes to a file: no truth
local function plain(doc) return { id = doc.id, text = doc.text, source = doc.source } end

local function read(path) return ml.data.read(path, { split = path:find "%.txt" and "blank" }) end

-- ---- what the world knows ----

local seen = { dropped = 0, junk = 0, junk_dropped = 0, good = 0, good_kept = 0, copies = 0,
               copies_found = 0, called_copies = 0, personal = 0, masked = 0, spans = 0 }
local groups = {} -- of documents that are copies of each other -> how many came to the dedup
local good = {}   -- groups that are worth learning from, until one of them is kept

local function group_of(doc) return doc.truth.duplicate_of or doc.id end

local function note_filtered(doc, fine)
  if not doc.truth then return end
  if not fine then seen.dropped = seen.dropped + 1 end
  if not fine and doc.truth.junk then seen.junk_dropped = seen.junk_dropped + 1 end
end

-- a filter, watched
local function watch(filter)
  return function(doc)
    local fine, what, detail = filter(doc)
    note_filtered(doc, fine)
    return fine, what, detail
  end
end

-- a dedup, watched: was what it calls a copy one?
local function watch_dedup(dedup, first)
  local group_by_id = {}
  local function marked(docs)
    local all = dedup:mark(docs)
    return function()
      local doc, original = all()
      if doc and original and doc.truth then
        local fine = group_by_id[original] == group_of(doc)
        seen.called_copies = seen.called_copies + 1
        seen.copies_found = seen.copies_found + (fine and 1 or 0)
      end
      return doc, original
    end
  end
  return { mark = function(_, docs)
    return marked(function()
      local doc = docs()
      if doc and doc.truth then
        local group = group_of(doc)
        group_by_id[doc.id] = group
        if first then groups[group] = (groups[group] or 0) + 1 end
      end
      return doc
    end)
  end }
end

-- the mask, watched: which of the planted strings are gone?
local function watch_mask(mask)
  return function(doc)
    local out, counts = mask(doc)
    for _, n in pairs(counts) do seen.spans = seen.spans + n end
    for _, text in ipairs(doc.truth and doc.truth.personal or {}) do
      if doc.text:find(text, 1, true) then
        seen.personal = seen.personal + 1
        seen.masked = seen.masked + (out.text:find(text, 1, true) and 0 or 1)
      end
    end
    return out, counts
  end
end

-- ---- the chain ----

local function source()
  if not world then return cfg.data:match("[^/]+$"), read(cfg.data) end
  local crawl = world:crawl(cfg.documents)
  return "crawl", function()
    local doc = crawl()
    if doc and doc.truth.junk then seen.junk = seen.junk + 1 end
    if doc and not doc.truth.junk and not good[group_of(doc)] then
      good[group_of(doc)] = true
      seen.good = seen.good + 1
    end
    return doc
  end
end

-- what documents must not give away; nil where there is nothing
local function evaluation()
  if cfg.against ~= "" then return texts_of(read(cfg.against)) end
  if not world then return nil end
  local texts = texts_of(world:documents("valid", cfg.valid))
  for _, text in ipairs(texts_of(world:documents("test", cfg.valid))) do
    texts[#texts + 1] = text
  end
  return texts
end

local ledger = ml.data.ledger()
local docs = ledger:read(source())
local filter = ml.data.filter

if cfg.c4 then
  docs = ledger:filter("c4", docs, watch(filter.c4 { min_sentences = cfg.min_sentences }))
end
if cfg.repetition then
  docs = ledger:filter("gopher_repetition", docs, watch(filter.gopher_repetition()))
end
if cfg.quality then
  docs = ledger:filter("gopher_quality", docs, watch(filter.gopher_quality {
    min_words = cfg.min_words, min_alpha_words = cfg.min_alpha }))
end
if cfg.fineweb then
  docs = ledger:filter("fineweb_quality", docs, watch(filter.fineweb_quality()))
end
if cfg.exact then
  docs = ledger:dedup("exact", docs, watch_dedup(ml.data.dedup.exact(), true))
end
if cfg.minhash then
  local near = ml.data.dedup.minhash { threshold = cfg.threshold, seed = cfg.seed }
  docs = ledger:dedup("minhash", docs, watch_dedup(near, not cfg.exact))
end
local texts = cfg.decontaminate and evaluation()
if texts then docs = ledger:filter("decontaminate", docs, (ml.data.decontaminate(texts))) end
if cfg.pii then docs = ledger:map("pii", docs, watch_mask(ml.data.pii())) end

local kept = {}
for doc in docs do
  kept[#kept + 1] = plain(doc)
  if doc.truth and good[group_of(doc)] then
    good[group_of(doc)] = nil
    seen.good_kept = seen.good_kept + 1
  end
end
local books = ledger:finish()

-- ---- files ----

-- without a world, the documents whose texts have the smallest hashes are put aside: they stay
-- the same when others are added
local function put_aside(list, n)
  local hashes, train, valid = {}, {}, {}
  for i, doc in ipairs(list) do hashes[i] = core.sys.sha256(doc.text) end
  local sorted = table.move(hashes, 1, #hashes, 1, {})
  table.sort(sorted)
  local last = sorted[math.min(n, #list // 10)] or ""
  for i, doc in ipairs(list) do table.insert(hashes[i] <= last and valid or train, doc) end
  return train, valid
end

local function clean_documents(n)
  local clean = world:documents("valid", n)
  return function()
    local doc = clean()
    return doc and plain(doc)
  end
end

local train, valid
if world then train, valid = kept, clean_documents(cfg.valid)
else train, valid = put_aside(kept, cfg.valid) end
assert(core.sys.mkdir(dir .. "/data"))
assert(ml.data.write(dir .. "/data/train.jsonl", train))
assert(ml.data.write(dir .. "/data/valid.jsonl", valid))
assert(ledger:save(dir .. "/ledger.json"))

-- ---- results ----

local metrics = ml.json.array {}

local function share(name, title, part, whole)
  if whole == 0 then return end
  metrics[#metrics + 1] = { name = name, title = title, value = part / whole, n = whole,
                            unit = "%", better = "higher" }
end

metrics[1] = { name = "bytes_kept", title = "bytes kept", unit = "%", better = "higher",
               value = books.out.bytes / math.max(1, books["in"].bytes), n = books["in"].bytes }
if world then
  for _, size in pairs(groups) do seen.copies = seen.copies + size - 1 end
  share("junk_precision", "of what the rules dropped: junk", seen.junk_dropped, seen.dropped)
  share("junk_recall", "of the junk: dropped", seen.junk_dropped, seen.junk)
  share("duplicates_precision", "of what was called a copy: copies", seen.copies_found,
        seen.called_copies)
  share("duplicates_recall", "of the copies: found", seen.copies_found, seen.copies)
  share("personal_recall", "of the personal data: masked", seen.masked, seen.personal)
  share("masked_precision", "of what was masked: personal data", seen.masked, seen.spans)
  share("good_kept", "of the good documents: kept", seen.good_kept, seen.good)
end
local notes = ml.json.array {
  ("%d of %d documents, %d of %d bytes"):format(books.out.documents, books["in"].documents,
                                                books.out.bytes, books["in"].bytes),
  "ledger sha256 " .. books.sha256,
}
assert(ml.json.save(dir .. "/results.json",
                    { stage = "curate", title = "Data", metrics = metrics,
                      samples = ml.json.array {}, notes = notes }))

for _, step in ipairs(books.steps) do
  local why = {}
  for i, r in ipairs(step.reasons) do why[i] = ("%s %d"):format(r.reason, r.documents) end
  for _, kind in ipairs { "email", "ip", "phone", "card", "key" } do
    if step.counts[kind] then why[#why + 1] = ("%s %d"):format(kind, step.counts[kind]) end
  end
  say("%-18s %7d -> %7d   %s", step.name, step["in"].documents, step.out.documents,
      table.concat(why, ", "))
end
for _, m in ipairs(metrics) do say("%-36s %6.2f %%  of %d", m.title, 100 * m.value, m.n) end
say("%s: data/train.jsonl, data/valid.jsonl, ledger.json, results.json", dir)
