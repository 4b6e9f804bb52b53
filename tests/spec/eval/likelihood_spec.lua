-- Bits per byte and choice: equal to what the logits say, the same bits at any batch size, every
-- byte accounted for.
local kit = require "kit"
local ml = require "moonlit"
local toys = require "eval.toys"

local function make(more)
  local o = { preset = "llama", layers = 2, heads = 2, dim = 16, vocab = 260, context = 24,
              seed = 3 }
  for k, v in pairs(more or {}) do o[k] = v end
  local m = ml.model(o)
  for i, p in ipairs(m:parameters()) do
    ml.seed(i)
    ml.no_grad(function()
      p.tensor:copy_(ml.randn(p.tensor:shape()) * 0.3 + (p.tensor:dim() == 1 and 1 or 0))
    end)
  end
  return m
end

-- every logit the same
local function uniform()
  local m = make { tied = false }
  ml.no_grad(function() m:parameter("lm_head.weight"):fill_(0) end)
  return m
end

-- log p of ids[t] after ids[first..t-1], in doubles from the logits of a forward of its own
local function logp(m, ids, first, t)
  local row = table.move(ids, first, t - 1, 1, {})
  local logits = m:logits { ids = ml.tensor({ row }, { dtype = "i64" }) }:detach():table()[1][#row]
  local most, sum = math.max(table.unpack(logits)), 0
  for _, x in ipairs(logits) do sum = sum + math.exp(x - most) end
  return logits[ids[t] + 1] - most - math.log(sum)
end

local docs = { "the moth that thaws", { text = ("other things, then the rest; "):rep(3) }, "a", "",
               "\xFFno\xC3\xA9l" }

local function texts()
  local out = {}
  for i, d in ipairs(docs) do out[i] = type(d) == "table" and d.text or d end
  return out
end

describe("bits per byte", function()
  kit.leakcheck(before_each, after_each)

  it("is log2 V x tokens / bytes of a uniform model", function()
    for _, start in ipairs { true, false } do
      local r = ml.eval.bits_per_byte(uniform(), toys.tokenizer(start), docs)
      assert.are.equal(#table.concat(texts()), r.bytes)
      assert.is_true(r.tokens < r.bytes)
      kit.near(r.bits_per_byte, math.log(260, 2) * r.tokens / r.bytes)
      assert.are.equal(5, r.documents)
    end
  end)

  it("is what the logits say, each token given what its row shows of its document", function()
    local m, tok = make(), toys.tokenizer(true)
    for _, case in ipairs { { 24, 24 }, { 24, 7 }, { 10, 10 }, { 10, 1 } } do
      local context, stride = table.unpack(case)
      local bits = 0
      for _, text in ipairs(texts()) do
        local ids = table.move(tok:encode(text), 1, #text, 2, { 258 })
        for t = 2, #ids do
          -- the row that scores t: the first one, or number k of those that add `stride` ids
          local last = context + 1
          while last < t do last = last + stride end
          bits = bits - logp(m, ids, math.max(1, math.min(last, #ids) - context), t) / math.log(2)
        end
      end
      local r = ml.eval.bits_per_byte(m, tok, docs, { context = context, stride = stride })
      kit.near(r.bits, bits, 2e-6)
      assert.are.equal(r.bits / r.bytes, r.bits_per_byte)
    end
  end)

  it("has the same bits at any batch size, in f32 and bf16", function()
    for _, dtype in ipairs { "f32", "bf16" } do
      local m, tok, want = make { dtype = dtype }, toys.tokenizer(true), nil
      for _, batch in ipairs { 1, 2, 3, 16, 100 } do
        local r = ml.eval.bits_per_byte(m, tok, docs, { batch = batch, stride = 9 })
        want = want or r.bits
        assert.are.equal(("%a"):format(want), ("%a"):format(r.bits))
      end
    end
  end)

  it("takes an iterator, of more text than it sorts at once", function()
    local n, text = 0, ("the rest of it "):rep(2000)
    local m = make { layers = 1, dim = 4, heads = 1 }
    local function one(limit)
      n = 0
      return function()
        n = n + 1
        return n <= limit and { text = text } or nil
      end
    end
    local r1 = ml.eval.bits_per_byte(m, toys.tokenizer(true), one(1), { batch = 64 })
    local r = ml.eval.bits_per_byte(m, toys.tokenizer(true), one(37), { batch = 64 })
    assert.are.equal(37 * #text, r.bytes)
    kit.near(r.bits, 37 * r1.bits, 1e-12)
  end)

  it("raises when the tokens' bytes are not the text's", function()
    local tok = toys.tokenizer(true)
    local strict = getmetatable(tok).__index.bytes
    tok.bytes = function(_, id) return id == 256 and "t" or strict(tok, id) end
    local two = { "none", { id = "x", text = "moth" } }
    kit.raises(function() ml.eval.bits_per_byte(make(), tok, two) end,
               "eval.bits_per_byte: document x: its tokens hold 3 bytes, its text 4")
  end)

  it("says what is wrong with a call", function()
    local m, tok = make(), toys.tokenizer(true)
    local function raises(text, ...)
      local args = table.pack(...)
      kit.raises(function() ml.eval.bits_per_byte(m, tok, table.unpack(args, 1, args.n)) end, text)
    end
    raises("got nil", nil)
    raises("no text", { "", "" })
    raises("document 2 has no text, got number", { "a", { text = 3 } })
    raises('unknown option "strid"; did you mean "stride"?', docs, { strid = 2 })
    raises("stride <= context <= 24", docs, { context = 25 })
    raises("stride <= context <= 24", docs, { stride = 25 })
    raises("batch must be a positive integer, got 0", docs, { batch = 0 })
  end)
end)

-- logprobs by the id alone, so that sums can be done by hand
local function fixed(logp_of)
  return { options = { context = 12 }, logprobs = function(_, batch)
    local out = batch.ids:table()
    for _, row in ipairs(out) do
      for t, id in ipairs(row) do row[t] = t == 1 and 0 or logp_of[id] or -1.0 end
    end
    return ml.tensor(out)
  end }
end

describe("choice", function()
  kit.leakcheck(before_each, after_each)

  it("takes the sum for acc, the mean over characters or bytes for the others", function()
    -- "ab": -2; "c": -1.5; "éé": four bytes at -0.7 each, two characters
    local b = string.byte
    local m = fixed { [b "c"] = -1.5, [0xC3] = -0.7, [0xA9] = -0.7, [b " "] = 0 }
    local r = ml.eval.choice(m, toys.tokenizer(true), {
      { context = "x", endings = { "ab", "c", "éé" }, answer = 2 },
      { context = "x", endings = { "éé", "ab" }, answer = 2 },
    })
    kit.near(r.items[1].logprobs, { -2, -1.5, -2.8 })
    assert.are.equal(2, r.items[1].acc)        -- -2, -1.5, -2.8
    assert.are.equal(1, r.items[1].acc_norm)   -- -1, -1.5, -1.4
    assert.are.equal(3, r.items[1].acc_bytes)  -- -1, -1.5, -0.7
    assert.are.same({ 1, 0.5, 0 }, { r.acc, r.acc_norm, r.acc_bytes })
    local low, high = ml.eval.wilson(0.5, 2)
    assert.are.same({ low, high, 2 }, { r.acc_norm_low, r.acc_norm_high, r.n })
  end)

  it("gives equals to the first", function()
    local r = ml.eval.choice(fixed {}, toys.tokenizer(true),
                             { { context = "x", endings = { "ab", "cd" }, answer = 2 } })
    assert.are.equal(1, r.items[1].acc)
    assert.are.equal(0, r.acc)
  end)

  it("moves the context's last spaces to the ending, and tokenizes both together", function()
    -- " t" is a token over the border of "x " and "t": only together is it found
    local m = fixed { [257] = -5, [("t"):byte()] = -2, [(" "):byte()] = -3, [("h"):byte()] = -7 }
    local tok = toys.tokenizer(true)
    local spaced = ml.eval.choice(m, tok, { { context = "x ", endings = { "th" }, answer = 1 } },
                                  { delimiter = "" })
    kit.near(spaced.items[1].logprobs, { -12 })
    local plain = ml.eval.choice(m, tok, { { context = "x", endings = { "th" }, answer = 1 } })
    kit.near(plain.items[1].logprobs, { -12 })
  end)

  it("is what the logits say, begins with <|endoftext|> on request, and keeps the end", function()
    local m, tok = make(), toys.tokenizer(true)
    local context = ("so it goes, and on it goes "):rep(2)
    local ids = tok:encode(context:sub(1, -2) .. " away")
    local want = 0
    for t = #ids - 4, #ids do want = want + logp(m, ids, #ids - 24, t) end
    local item = { context = context, endings = { "away" }, answer = 1 }
    kit.near(ml.eval.choice(m, tok, { item }, { delimiter = "" }).items[1].logprobs, { want }, 1e-5)

    local short = { 258, table.unpack(tok:encode "up away") }
    for _, case in ipairs { { "up", true, 4 }, { "", false, 2 } } do
      local row = case[1] == "" and { 258, table.unpack(tok:encode " away") } or short
      want = 0
      for t = case[3], #row do want = want + logp(m, row, 1, t) end
      local r = ml.eval.choice(m, tok, { { context = case[1], endings = { "away" }, answer = 1 } },
                               { bos = case[2] })
      kit.near(r.items[1].logprobs, { want }, 1e-5)
    end
  end)

  it("has the same bits at any batch size", function()
    local m, tok, items, want = make(), toys.tokenizer(true), {}, nil
    for i = 1, 9 do
      items[i] = { context = ("word "):rep(i), endings = { "one", ("two"):rep(i), "é" },
                   answer = i % 3 + 1 }
      if #items[i].endings[2] > 20 then items[i].endings[2] = "short" end
    end
    for _, batch in ipairs { 1, 2, 5, 64 } do
      local r = ml.eval.choice(m, tok, items, { batch = batch })
      want = want or r
      assert.are.same(want, r)
    end
  end)

  it("says what is wrong with an item", function()
    local m, tok = make(), toys.tokenizer(true)
    local function raises(text, item, other)
      kit.raises(function() ml.eval.choice(m, other or tok, { item }) end, text)
    end
    raises("item 1: expected { context", { context = "x" })
    raises("item 1: ending 2 must be text", { context = "x", endings = { "a", "" }, answer = 1 })
    raises("answer is one of 1..1, got 2", { context = "x", endings = { "a" }, answer = 2 })
    raises("expected 1 to 24", { context = "x", endings = { ("a"):rep(30) }, answer = 1 })
    raises("no <|endoftext|>", { context = "", endings = { "a" }, answer = 1 },
           toys.tokenizer(false))
    kit.raises(function() ml.eval.choice(m, tok, {}) end, "an empty one")
  end)
end)

describe("Wilson's interval", function()
  it("has the known values", function()
    -- Newcombe 1998, Statistics in Medicine 17, table I, method 3
    for _, case in ipairs { { 81, 263, 0.2553, 0.3662 }, { 15, 148, 0.0624, 0.1605 },
                            { 0, 20, 0, 0.1611 }, { 1, 29, 0.0061, 0.1718 } } do
      local low, high = ml.eval.wilson(case[1] / case[2], case[2])
      kit.near({ low, high }, { case[3], case[4] }, 5e-5)
    end
    local low, high = ml.eval.wilson(1, 20)
    kit.near({ low, high }, { 0.8389, 1 }, 5e-5)
    assert.are.equal(1, high)
  end)

  it("refuses what is no share", function()
    kit.raises(function() ml.eval.wilson(1.1, 3) end, "0..1")
    kit.raises(function() ml.eval.wilson(0 / 0, 3) end, "0..1")
    kit.raises(function() ml.eval.wilson(0.5, 0) end, "positive integer, got 0")
  end)
end)
