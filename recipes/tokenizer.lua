-- lua5.4 recipes/tokenizer.lua data=corpus.jsonl vocab=8192 --out runs/tokenizer
--
-- A byte-level BPE tokenizer, learned from text. data is a .txt, .jsonl or .jsonl.gz file, or a run
-- of curate.lua; without it, the built-in world's documents. Writes tokenizer.json, in Hugging
-- Face's shape. The figure is bytes a token on documents held out.
local ml = require "moonlit"

local cfg = ml.knobs {
  data = "",
  vocab = 1024,
  pattern = "qwen2",    -- how text is cut first; or "llama-bpe", "gpt-2", or a regular expression
  min_frequency = 2,    -- a pair that comes less often is not merged
  documents = 8000,     -- of the world
  traces = 3000,        -- of the world's worked sums and answers, 0: none
  seed = 1,
}

local world = ml.data.world { seed = cfg.seed }
local function documents(part, n)
  if cfg.data ~= "" then return ml.must(ml.data.open(cfg.data, part)) end
  return world:documents(part, n)
end

local task = ml.run.task("runs/tokenizer", { seed = cfg.seed })
local docs, traces = documents("train", cfg.documents), world:traces("train", cfg.traces)
local tok = ml.text.train(function() return docs() or traces() end, {
  vocab = cfg.vocab, pattern = cfg.pattern, min_frequency = cfg.min_frequency,
  special = ml.data.chat.special })
ml.must(tok:save(task.dir .. "/tokenizer.json"))

local bytes, tokens, sample = 0, 0, nil
for doc in documents("valid", 300) do
  local ids = tok:encode(doc.text)
  bytes, tokens, sample = bytes + #doc.text, tokens + #ids, sample or ids
end
ml.must(tokens > 0, "tokenizer: no documents are held out; data has fewer than 50")

-- a text as its tokens, with bars between
local pieces = {}
for i = 1, math.min(40, #sample) do pieces[i] = tok:decode(sample[i]) end
task:results { title = "Tokenizer", metrics = {
  { name = "bytes_per_token", title = "bytes a token", value = bytes / tokens, n = tokens,
    better = "higher" } },
  samples = { { prompt = "", reply = table.concat(pieces, "|") } } }
task:finish(("%d tokens, %.3f bytes a token: %s/tokenizer.json"):format(tok:size(), bytes / tokens,
                                                                        task.dir))
