--- Good text from bad: logistic regression over the words and pairs of words a document has
--- (hashed, as Weinberger et al. 2009; a linear model over n-grams, as fastText's and DCLM's).
---
---   local classifier = ml.data.classifier
---   local c = classifier.train(good, bad)              -- documents of either kind
---   c:score { text = "..." }                           -- 0.97: probability of being good
---   assert(c:save "quality.safetensors")
---   local keep = ml.data.filter.classifier { classifier = assert(classifier.load "...") }
---   classifier.auc(good_scores, bad_scores)            -- 1: told apart; 0.5: not at all
---
--- A feature is there or not; a document's are scaled to length one, so that long ones do not weigh
--- more. Trained by plain gradient descent on batches in an order drawn from the seed: the same
--- documents and seed give the same bits. The features of all its documents are held, 8 bytes each.
local ckpt = require "moonlit.ckpt"
local core = require "moonlit.core"
local document = require "moonlit.data.document"
local feistel = require "moonlit.data.feistel"
local options = require "moonlit.options"
local tensor = require "moonlit.tensor"

local classifier = {}

local WHO = "data.classifier: "

local Classifier = {}
Classifier.__index = Classifier
Classifier.__name = "moonlit.Classifier"

-- ---- features ----

-- the buckets of a text's words, pairs, ...: ids
local function features_of(text, words, buckets)
  local parts = {}
  for n = 1, words do parts[n] = core.shingles.ids(core.shingles.of(text, n), buckets) end
  return tensor.cat(parts)
end

-- (rows) log-odds of being good; rows: features of each document
local function logits(self, rows)
  local owner, share = {}, {}
  for i, ids in ipairs(rows) do
    local n = ids:numel()
    owner[i] = tensor.full({ n }, i, { dtype = "i64" })
    share[i] = tensor.full({ n }, n > 0 and n ^ -0.5 or 0.0)
  end
  local parts = self.weights:embedding(tensor.cat(rows)):squeeze(2) * tensor.cat(share)
  return tensor.zeros { #rows }:scatter_add(1, tensor.cat(owner), parts) + self.bias
end

-- ---- training ----

local function gather(docs, into, label, o)
  for doc in document.each(docs, "data.classifier.train", 3) do
    local text = document.text(doc, "data.classifier")
    into[#into + 1] = { row = features_of(text, o.words, o.buckets), label = label }
  end
end

local function descend(self, batch, lr)
  local rows, signs = {}, {}
  for i, item in ipairs(batch) do rows[i], signs[i] = item.row, item.label end
  local loss = -(logits(self, rows) * tensor.tensor(signs, { dtype = "f32" })):logsigmoid():mean()
  loss:backward()
  core.autograd.no_grad(function()
    for _, p in ipairs { self.weights, self.bias } do
      p:sub_(p:grad() * lr)
      p:discard_grad()
    end
  end)
end

local function new(weights, bias, words)
  return setmetatable({ weights = weights, bias = bias, words = words,
                        buckets = weights:size(1) }, Classifier)
end

--- @param good function|table  iterator or list of documents
--- @param bad function|table
--- @param opt? {buckets: integer?, words: integer?, epochs: integer?, lr: number?, batch: integer?,
---        seed: integer?}  2^18 buckets; 2: words and pairs; 4 epochs of batches of 64, the rate
---        from 20 down to 0 in a straight line
--- @return table classifier
function classifier.train(good, bad, opt)
  local o = options(opt, { buckets = 1 << 18, words = 2, epochs = 4, lr = 20.0, batch = 64,
                           seed = 1 }, "data.classifier.train")
  local items = {}
  gather(good, items, 1.0, o)
  local n = #items
  gather(bad, items, -1.0, o)
  if n == 0 or n == #items then
    error(("%strain: needs documents of both kinds, got %d good and %d bad"):format(WHO, n,
                                                                              #items - n), 2)
  end
  local self = new(tensor.zeros({ o.buckets, 1 }, { grad = true }),
                   tensor.zeros({ 1 }, { grad = true }), o.words)
  local each = math.ceil(#items / o.batch)
  for step = 0, o.epochs * each - 1 do
    local batch, epoch = {}, step // each
    for i = step % each * o.batch, math.min((step % each + 1) * o.batch, #items) - 1 do
      batch[#batch + 1] = items[feistel.shuffled(o.seed, epoch, i, #items) + 1]
    end
    descend(self, batch, o.lr * (1 - step / (o.epochs * each)))
  end
  return self
end

-- ---- use ----

--- @param doc table
--- @return number  probability that it is good, 0 to 1
function Classifier:score(doc)
  local row = features_of(document.text(doc, "data.classifier"), self.words, self.buckets)
  local score
  core.autograd.no_grad(function() score = logits(self, { row }):sigmoid():item() end)
  return score
end

--- @return true|nil, string? message, string? code
function Classifier:save(path)
  return ckpt.save(path, { weights = self.weights, bias = self.bias },
                   { kind = "moonlit.classifier", words = tostring(self.words) })
end

-- what is wrong with a file's tensors
local function fault(t, meta)
  local words = math.tointeger(tonumber(meta.words))
  if meta.kind ~= "moonlit.classifier" then return "no classifier" end
  if not words or words < 1 or words > 1000 then return "no number of words" end
  for _, name in ipairs { "weights", "bias" } do
    if not t[name] or t[name]:dtype() ~= "f32" then return "no " .. name .. " in f32" end
  end
  local w, b = t.weights, t.bias
  if w:dim() ~= 2 or w:size(2) ~= 1 or w:size(1) < 1 or b:dim() ~= 1 or b:size(1) ~= 1 then
    return "tensors of other shapes"
  end
  -- infinity times zero is no number
  if (w * 0):sum():item() ~= 0 or (b * 0):sum():item() ~= 0 then return "infinite numbers" end
end

--- @return table|nil classifier, string? message, string? code
function classifier.load(path)
  local t, meta, code = ckpt.load(path)
  if not t then return nil, meta, code end
  if type(t) ~= "table" then t, meta = {}, {} end -- a .npy
  local wrong = fault(t, meta)
  if wrong then
    return nil, ("%s%s: expected a classifier that moonlit saved, got %s"):format(WHO, path, wrong),
           "format"
  end
  return new(t.weights, t.bias, math.tointeger(tonumber(meta.words)))
end

--- How often a good one scores higher than a bad one, equal scores counting half: the area under
--- the ROC curve.
--- @param good number[]
--- @param bad number[]
--- @return number  0 to 1; 0.5 where there is nothing to compare
function classifier.auc(good, bad)
  local all = {}
  for _, score in ipairs(good) do all[#all + 1] = { score, 1 } end
  for _, score in ipairs(bad) do all[#all + 1] = { score, 0 } end
  table.sort(all, function(a, b) return a[1] < b[1] end)
  local below, wins, i = 0, 0, 1 -- bad ones that score less than those at i
  while i <= #all do
    local high, low, at = 0, 0, all[i][1]
    while i <= #all and all[i][1] == at do
      high, low, i = high + all[i][2], low + 1 - all[i][2], i + 1
    end
    wins, below = wins + high * (below + low / 2), below + low
  end
  if #good * #bad == 0 then return 0.5 end
  return wins / (#good * #bad)
end

return classifier
