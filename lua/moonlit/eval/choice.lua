--- Multiple choice by likelihood: which ending does the model find likeliest after a context?
---
---   ml.eval.choice(model, tok, { { context = "The sky is", endings = { "blue", "loud" },
---                                  answer = 1 } })
---     -> { acc = 1, acc_norm = 1, acc_bytes = 1, n = 1, low =, high =, ..., items = {...} }
---
--- As lm-evaluation-harness has it: acc takes the greatest sum of log p over the ending's tokens,
--- acc_norm the greatest sum per character of the ending, acc_bytes per byte; of equals the first.
--- Context and ending are tokenized together, white space at the context's end moved to the ending,
--- and the ending's tokens are those beyond as many as the context has alone. What is longer than
--- the model's context loses its beginning.
local interval = require "moonlit.eval.interval"
local options = require "moonlit.options"
local rows = require "moonlit.eval.rows"

local WHO = "eval.choice"

local function check_item(item, i)
  local fine = type(item) == "table" and type(item.context) == "string"
               and type(item.endings) == "table" and #item.endings > 0
  if not fine then
    error(("%s: item %d: expected { context = text, endings = list, answer = number }"):format(
          WHO, i), 3)
  end
  for e, ending in ipairs(item.endings) do
    if type(ending) ~= "string" or ending == "" then
      error(("%s: item %d: ending %d must be text that is not empty"):format(WHO, i, e), 3)
    end
  end
  if not item.endings[item.answer] then
    error(("%s: item %d: the answer is one of 1..%d, got %s"):format(WHO, i, #item.endings,
                                                                      tostring(item.answer)), 3)
  end
end

-- tokens of the context, tokens of context and ending
local function encode_pair(tok, context, ending)
  local bare = context:match "^(.-)%s*$"
  return tok:encode(bare), tok:encode(bare .. context:sub(#bare + 1) .. ending)
end

local function row_of(o, tok, item, e, i)
  local before, whole = encode_pair(tok, item.context, o.delimiter .. item.endings[e])
  local ids, from = whole, #before + 1
  if o.bos or #before == 0 then
    if not o.start then
      error(("%s: item %d: nothing precedes the ending, and the tokenizer has no <|endoftext|>")
            :format(WHO, i), 0)
    end
    ids, from = table.move(whole, 1, #whole, 2, { o.start }), from + 1
  end
  local cut = math.max(0, #ids - o.context - 1)
  if from > #ids or from - cut < 2 then
    error(("%s: item %d: ending %d has %d tokens; expected 1 to %d, the model's context"):format(
          WHO, i, e, #ids - from + 1, o.context), 0)
  end
  return { ids = table.move(ids, cut + 1, #ids, 1, {}), from = from - cut }
end

-- bytes that are no UTF-8 count as characters of their own
local function characters(s)
  return utf8.len(s) or #s
end

local measures = {
  { "acc", function() return 1 end }, { "acc_norm", characters },
  { "acc_bytes", function(s) return #s end },
}

local function best(logprobs, endings, measure)
  local at, most
  for e, logprob in ipairs(logprobs) do
    local value = logprob / measure(endings[e])
    if not most or value > most then at, most = e, value end
  end
  return at
end

local function summary(items, results)
  local out = { n = #items, items = results }
  for _, pair in ipairs(measures) do
    local name, measure, right = pair[1], pair[2], 0
    for i, item in ipairs(items) do
      local chosen = best(results[i].logprobs, item.endings, measure)
      results[i][name] = chosen
      if chosen == item.answer then right = right + 1 end
    end
    local share = right / #items
    local low, high = interval.wilson(share, #items)
    out[name] = share
    out[name .. "_low"], out[name .. "_high"] = low, high
  end
  return out
end

--- @param model Model
--- @param tok Tokenizer
--- @param items {context: string, endings: string[], answer: integer}[]
--- @param opt? {batch: integer?, delimiter: string?, bos: boolean?}  delimiter, " ", stands between
---   context and ending and counts in no length; bos: <|endoftext|> comes first (always where the
---   context is empty)
--- @return table  acc, acc_norm, acc_bytes, each also with _low and _high (Wilson, 95 %); n; items:
---   { logprobs = { a sum for each ending }, acc = chosen ending, acc_norm =, acc_bytes = }
return function(model, tok, items, opt)
  local o = options(opt, { batch = 16, delimiter = " ", bos = false }, WHO)
  o.batch, o.context, o.start = rows.count(o, "batch", WHO), model.options.context,
                                rows.start_id(tok)
  if type(items) ~= "table" or #items == 0 then
    error(WHO .. ": expected a list of items, got " ..
          (type(items) == "table" and "an empty one" or type(items)), 2)
  end
  local list, results = {}, {}
  for i, item in ipairs(items) do
    check_item(item, i)
    for e in ipairs(item.endings) do list[#list + 1] = row_of(o, tok, item, e, i) end
  end
  local sums, at = rows.score(model, list, o.batch), 0
  for i, item in ipairs(items) do
    results[i] = { logprobs = table.move(sums, at + 1, at + #item.endings, 1, {}) }
    at = at + #item.endings
  end
  return summary(items, results)
end
