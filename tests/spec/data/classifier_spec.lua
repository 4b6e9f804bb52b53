-- A linear classifier over n-grams, beside closed forms; filters by a score.
local core = require "moonlit.core"
local ml = require "moonlit"
local classifier = ml.data.classifier

local function docs(...)
  local list = {}
  for i, text in ipairs { ... } do list[i] = { id = tostring(i), text = text } end
  return list
end

local function made(n, word)
  local list = {}
  for i = 1, n do
    list[i] = { text = ml.data.prose { bytes = 200, seed = i } .. " " .. word }
  end
  return list
end

local path

describe("data.classifier", function()
  before_each(function() path = os.tmpname() .. ".safetensors" end)
  after_each(function() os.remove(path) end)

  it("takes the steps that the formulas say", function()
    -- one bucket, one document of either kind, one step: all features are the same, so p = 1/2, and
    -- the gradient of a document is (p - y) sqrt(n), of the bias p - y
    local one = { buckets = 1, words = 1, epochs = 1, batch = 2, lr = 1.0 }
    local c = classifier.train(docs "a b c d", docs "x", one)
    assert.near((0.5 * 2 - 0.5 * 1) / 2, c.weights:item(), 1e-6)
    assert.near(0, c.bias:item(), 1e-6)
    -- batches of one: the second step begins where the first ended, at half the rate
    one.batch = 1
    c = classifier.train(docs "a b c d", docs "x", one)
    local function p(w, b, n) return 1 / (1 + math.exp(-(w * n ^ 0.5 + b))) end
    local function steps(first, n1, second, n2)
      local w, b = 0.5 * first * n1 ^ 0.5, 0.5 * first
      local miss = (second + 1) / 2 - p(w, b, n2)
      return w + 0.5 * miss * n2 ^ 0.5, b + 0.5 * miss
    end
    local w, b = steps(1, 4, -1, 1)
    if math.abs(w - c.weights:item()) > 1e-6 then w, b = steps(-1, 1, 1, 4) end
    assert.near(w, c.weights:item(), 1e-6)
    assert.near(b, c.bias:item(), 1e-6)
  end)

  it("tells apart what a word or a pair tells apart", function()
    local c = classifier.train(made(60, "splendid"), made(60, "rubbish"), { buckets = 1 << 14 })
    local good, bad = {}, {}
    for i = 101, 140 do
      local text = ml.data.prose { bytes = 200, seed = i }
      good[#good + 1] = c:score { text = text .. " splendid" }
      bad[#bad + 1] = c:score { text = text .. " rubbish" }
    end
    assert.equal(1, classifier.auc(good, bad))
    c = classifier.train(made(60, "one two three four"), made(60, "one three two four"))
    assert.is_true(c:score { text = "one two three four" } > 0.5)
    assert.is_true(c:score { text = "one three two four" } < 0.5)
  end)

  it("gives the same bits on any number of threads", function()
    local hashes = {}
    local threads = ml.threads()
    for i, n in ipairs { 1, 2, 5 } do
      ml.threads(n)
      local c = classifier.train(made(90, "good"), made(90, "bad"), { buckets = 5000, seed = 3 })
      hashes[i] = ml.ckpt.hash { c.weights, c.bias }
    end
    ml.threads(threads)
    assert.same({ hashes[1], hashes[1], hashes[1] }, hashes)
    local other = classifier.train(made(90, "good"), made(90, "bad"), { buckets = 5000, seed = 4 })
    assert.are_not.equal(hashes[1], ml.ckpt.hash { other.weights, other.bias })
  end)

  it("comes back from a file as it was, and not from any other", function()
    local c = classifier.train(made(9, "good"), made(9, "bad"), { buckets = 64, words = 3 })
    assert(c:save(path))
    local again = assert(classifier.load(path))
    assert.equal(3, again.words)
    local doc = { text = "a good doc of words" }
    assert.equal(c:score(doc), again:score(doc))
    local w, b = ml.zeros { 4, 1 }, ml.zeros { 1 }
    local meta = { kind = "moonlit.classifier", words = "2" }
    for what, file in pairs {
      ["no classifier"] = { { weights = w, bias = b }, {} },
      ["no number of words"] = { { weights = w, bias = b }, { kind = meta.kind, words = "x" } },
      ["no bias in f32"] = { { weights = w }, meta },
      ["tensors of other shapes"] = { { weights = ml.zeros { 4 }, bias = b }, meta },
      ["infinite numbers"] = { { weights = w, bias = ml.tensor { 1 / 0 } }, meta },
    } do
      assert(ml.ckpt.save(path, file[1], file[2]))
      local none, err, code = classifier.load(path)
      assert.is_nil(none)
      assert.equal("format", code)
      assert.truthy(err:find("a classifier that moonlit saved, got " .. what, 1, true), err)
    end
    assert(core.sys.write(path, "no tensors at all"))
    assert.is_nil((classifier.load(path)))
  end)

  it("scores any text", function()
    local c = classifier.train(made(9, "good"), made(9, "bad"), { buckets = 64 })
    for _, text in ipairs { "", " ", "\xff\0", "word" } do
      local score = c:score { text = text }
      assert.is_true(score > 0 and score < 1)
    end
  end)

  it("refuses wrong calls", function()
    assert.error_matches(function() classifier.train(docs "a", {}) end, "got 1 good and 0 bad")
    assert.error_matches(function() classifier.train(docs "a", "b") end,
                         "data.classifier.train: expected an iterator or a list, got string")
    assert.error_matches(function() classifier.train(docs "a", { { id = "x" } }) end, "text")
    assert.error_matches(function() classifier.train({}, {}, { bucket = 3 }) end, "buckets")
  end)
end)

describe("data.classifier.auc", function()
  it("counts pairs, and equal ones half", function()
    local good, bad, wins = {}, {}, 0
    for i = 1, 40 do
      good[i] = core.sys.random(1, 9, i, 0, 0) % 20 + 3
      bad[i] = core.sys.random(1, 9, i, 1, 0) % 20
    end
    for _, g in ipairs(good) do
      for _, b in ipairs(bad) do wins = wins + (g > b and 1 or g == b and 0.5 or 0) end
    end
    assert.equal(wins / 1600, classifier.auc(good, bad))
    assert.equal(1, classifier.auc({ 2, 3 }, { 1 }))
    assert.equal(0.5, classifier.auc({ 1 }, {}))
  end)
end)

describe("filters by a score", function()
  it("keep what scores enough", function()
    local c = { score = function(_, doc) return #doc.text / 10 end }
    local keep = ml.data.filter.classifier { classifier = c }
    assert.is_true(keep { text = "12345" })
    assert.same({ false, "quality", "score 0.40" }, { keep { text = "1234" } })
    assert.error_matches(function() ml.data.filter.classifier { classifier = "x" } end,
                         "must be one of ml.data.classifier, got string")
  end)

  it("keep what does not surprise a model, or is not too plain", function()
    local keep = ml.data.filter.perplexity { max_bits = 3, min_bits = 1,
                                             bits = function(doc) return #doc.text end }
    assert.is_true(keep { text = "123" })
    assert.is_true(keep { text = "1" })
    assert.same({ false, "too_surprising", "4.00 bits per byte" }, { keep { text = "1234" } })
    assert.same({ false, "empty" }, { keep { text = "" } })
    keep = ml.data.filter.perplexity { min_bits = 2, bits = function() return 1.5 end }
    assert.same({ false, "too_plain", "1.50 bits per byte" }, { keep { text = "x" } })
    assert.error_matches(function() ml.data.filter.perplexity { bits = 3 } end, "got number")
  end)

  it("measure with a model of moonlit's", function()
    local tok = ml.text.train({ "aaaa" }, { vocab = 261, special = ml.data.chat.special })
    local model = ml.model { preset = "llama", vocab = tok:size(), layers = 1, heads = 1, dim = 8,
                             hidden = 8, context = 16 }
    local keep = ml.data.filter.perplexity { max_bits = 1, bits = function(doc)
      return ml.eval.bits_per_byte(model, tok, { doc }).bits_per_byte
    end }
    local fine, reason, detail = keep { text = "some text" }
    assert.same({ false, "too_surprising" }, { fine, reason })
    assert.near(math.log(tok:size(), 2), tonumber(detail:match "^[%d.]+"), 0.3) -- it knows nothing
  end)
end)
