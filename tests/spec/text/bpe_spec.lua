-- Byte-level BPE: equal to Hugging Face's `tokenizers` on what tests/golden/tokenizer/make.py left,
-- the same for any number of threads, and safe from forged tokens and broken files.
local core = require "moonlit.core"
local ml = require "moonlit"
local json = require "moonlit.json"

local GOLDEN = "tests/golden/tokenizer/"
local special = { "<|endoftext|>", "<|im_end|>" }

local function prose() return ml.data.prose { bytes = 60000, seed = 3 } end

local function trained(texts, more)
  local o = { vocab = 400, special = special }
  for k, v in pairs(more or {}) do o[k] = v end
  return ml.text.train(texts, o)
end

local function saved(tok)
  local path = os.tmpname()
  assert(tok:save(path))
  local file = io.open(path, "rb")
  local text = file:read("a")
  file:close()
  os.remove(path)
  return text
end

describe("encoding", function()
  it("is that of tokenizers on text of many kinds", function()
    local tok = assert(ml.text.load(GOLDEN .. "tokenizer.json"))
    local cases = assert(json.load(GOLDEN .. "cases.json"))
    assert.are.equal(100, #cases)
    for _, case in ipairs(cases) do
      assert.are.same(case.ids, tok:encode(case.text))
      assert.are.same(case.special, tok:encode(case.text, { special = true }))
      assert.are.equal(case.text, tok:decode(case.ids))
    end
  end)

  it("gives any bytes back", function()
    local tok = trained { prose() }
    math.randomseed(5)
    for _ = 1, 500 do
      local bytes = {}
      for i = 1, math.random(0, 80) do bytes[i] = string.char(math.random(0, 255)) end
      local s = table.concat(bytes)
      assert.are.equal(s, tok:decode(tok:encode(s)))
    end
  end)

  it("takes the text of a special token for text, unless told", function()
    local tok = trained { prose() }
    local id = tok:id "<|im_end|>"
    assert.are.equal(1, id)
    for _, x in ipairs(tok:encode "so <|im_end|> it goes") do assert.are_not.equal(id, x) end
    local ids = tok:encode("<|im_end|>", { special = true })
    assert.are.same({ id }, ids)
    assert.are.equal("<|im_end|>", tok:decode(ids))
    assert.are.equal("", tok:decode(ids, { special = false }))
    assert.is_true(tok:is_special(id))
    assert.are.equal("", tok:bytes(id))
    assert.is_false(tok:is_special(300))
  end)

  it("of long pieces is that of short ones", function() -- a heap there, a search here
    local tok = trained { prose() }
    local long = ("abcabcabaab"):rep(40)
    local ids = tok:encode(long)
    assert.are.equal(long, tok:decode(ids))
    local lists = tok:encode_all { long, "the moon", "" }
    assert.are.same({ ids, tok:encode "the moon", {} }, lists)
  end)

  it("takes a long run of spaces", function() -- the pattern goes back over all of them
    assert.is_true(#trained({ prose() }):encode((" "):rep(11000000)) > 0)
  end)

  it("streams whole characters", function()
    local tok = trained { prose() }
    local put, text = tok:decoder(), {}
    for _, id in ipairs(tok:encode "né 你 👍\xff!") do text[#text + 1] = put(id) end
    for i = 1, #text do
      assert.is_truthy(utf8.len(text[i]) or text[i]:find "\xff", text[i])
    end
    assert.are.equal("né 你 👍\xff!", table.concat(text) .. put(nil))
  end)

  it("goes by Unicode's white space, not PCRE2's", function() -- which counts U+180E
    local tok = trained({ prose() }, { pattern = "\\s|[^\\s]+" })
    local one = trained({ prose() }, { pattern = "[^x]" }) -- every character a piece
    local s = "a\u{180e}b\u{85}c\u{2028}d"
    for _, t in ipairs { tok, one } do assert.are.equal(s, t:decode(t:encode(s))) end
    local taught = trained({ ("a\u{180e}b "):rep(9) }, { pattern = "\\s|\\S+" })
    assert.is_truthy(taught:id "a\u{180e}b")
    assert.is_nil(trained({ ("a\u{85}b "):rep(9) }, { pattern = "\\s|\\S+" }):id "a\u{85}b")
  end)

  it("of a file, cut for the threads, is that of its text", function()
    local path, random = os.tmpname(), core.sys.random
    local some = { "a", "Z", " ", " ", "\n", "\n", "\r", "=", "'s", "1", "\t", "\u{e9}",
                   "\u{a0}", "\xff" }
    for seed = 1, 3 do
      local parts = {}
      for i = 1, 700000 do parts[i] = some[random(seed, 5, i, 0, 0) % #some + 1] end
      local s = table.concat(parts)
      assert(core.sys.write(path, s))
      for _, pattern in ipairs { "qwen2", "gpt-2", "llama-bpe", "\\S+" } do
        local tok = trained({ prose() }, { pattern = pattern })
        local ids = tok:encode_file(path)
        assert.are.equal(s, tok:decode(ids))
        assert.is_true((ids - ml.tensor(tok:encode(s), { dtype = "i64" })):abs():max():item() == 0)
      end
    end
    os.remove(path)
    local ids, _, code = trained { prose() }:encode_file(path)
    assert.is_nil(ids)
    assert.are.equal("io", code)
  end)

  it("names what it cannot use", function()
    local tok = trained { prose() }
    assert.has_error(function() tok:encode(12) end, "encode: expected a string, got number")
    assert.has_error(function() tok:decode { 1, 400000 } end)
    assert.has_error(function() tok:encode("x", { specail = true }) end)
    assert.is_nil(tok:id "no such token at all")
  end)
end)

describe("training", function()
  it("does not depend on threads, order or cutting", function()
    local text, before = prose(), ml.threads()
    local lines = {}
    for line in text:gmatch "[^\n]+\n?" do lines[#lines + 1] = line end
    ml.threads(1)
    local want = saved(trained(lines))
    for _, n in ipairs { 2, 3 } do
      ml.threads(n)
      local turned = {}
      for i = #lines, 1, -1 do turned[#turned + 1] = { text = lines[i] } end
      assert.are.equal(want, saved(trained(turned)))
    end
    ml.threads(before)
  end)

  it("takes files as texts", function()
    local docs, base = {}, os.tmpname()
    for line in prose():gmatch "[^\n]+" do docs[#docs + 1] = { text = line } end
    local want = saved(trained(docs))
    for _, name in ipairs { base .. ".jsonl", base .. ".jsonl.gz" } do
      assert(ml.data.write(name, docs))
      assert.are.equal(want, saved(trained(ml.data.read(name))))
      os.remove(name)
    end
    os.remove(base)
  end)

  it("takes the most frequent pair, of equals the one of smaller ids", function()
    -- "ab" comes three times; then "cd" and " ab" come twice, and a space has a late id
    local tok = trained({ "ab cd ab cd ab" }, { vocab = 258 + 3, special = { "<s>", "<t>" } })
    assert.are.equal(258, tok:id "ab")
    assert.are.equal(259, tok:id "cd")
    assert.are.equal(260, tok:id " ab")
  end)

  it("stops where pairs are rare", function()
    local tok = trained({ "abcabc xyz" }, { min_frequency = 2 })
    assert.is_nil(tok:id "xy")
    assert.is_truthy(tok:id "abc")
  end)

  it("refuses what cannot be", function()
    local function says(text, fn)
      local ok, err = pcall(fn)
      assert.is_false(ok)
      assert.matches(text, tostring(err), 1, true)
    end
    says("vocab must be at least 258", function() trained({ "x" }, { vocab = 200 }) end)
    says("no text to learn from", function() trained {} end)
    says("a text must be a string or a document, got number", function() trained { 5 } end)
    says("the pattern is no regular expression", function() trained({ "x" }, { pattern = "(" }) end)
    says("is the text of an ordinary token too", function()
      trained({ ("moon "):rep(9) }, { special = { "<s>", "moon" } })
    end)
    says("text (UTF-8) of its own", function() trained({ "x" }, { special = { "\xff" } }) end)
    says("special token 2", function() trained({ "x" }, { special = { "a", "a" } }) end)
  end)
end)

describe("tokenizer.json", function()
  local good = json.encode(assert(json.load(GOLDEN .. "tokenizer.json")))

  local function loading(change)
    local t = json.decode(good)
    change(t)
    local path = os.tmpname()
    assert(json.save(path, t))
    local tok, err, code = ml.text.load(path)
    os.remove(path)
    return tok, err, code
  end

  it("comes back as it was", function()
    local tok = assert(loading(function() end))
    assert.are.equal(saved(assert(ml.text.load(GOLDEN .. "tokenizer.json"))), saved(tok))
    local strings = assert(loading(function(t)
      for i, m in ipairs(t.model.merges) do t.model.merges[i] = m[1] .. " " .. m[2] end
    end))
    assert.are.equal(saved(tok), saved(strings))
  end)

  local broken = {
    { "merges: number 1 is not of two tokens", function(t) t.model.merges[1] = { "a", "zzz" } end },
    { "makes a token that is not there", function(t)
      table.insert(t.model.merges, { "Z", "Z" })
    end },
    { "are the same", function(t) table.insert(t.model.merges, t.model.merges[1]) end },
    { "comes twice", function(t) t.model.vocab["!"] = t.model.vocab["A"] end },
    { "their ids are not 0 to", function(t) t.model.vocab["!"] = 5000 end },
    { "has the id -3", function(t) t.model.vocab["!"] = -3 end },
    { "token 2 is empty", function(t)
      t.model.vocab["!"] = nil
      t.model.vocab[""] = 2
    end },
    { "has the id 99999999", function(t) t.model.vocab["!"] = 99999999 end },
    { "a Unigram model is not supported", function(t) t.model.type = "Unigram" end, "unsupported" },
    { "a WordPiece model is not supported", function(t) t.model.type = "WordPiece" end,
      "unsupported" },
    { "model: dropout is not supported", function(t) t.model.dropout = 0.1 end, "unsupported" },
    { "normalizer: Lowercase is not supported", function(t)
      t.normalizer = { type = "Sequence", normalizers = { { type = "NFC" },
                                                          { type = "Lowercase" } } }
    end, "unsupported" },
    { "normalizer: Replace: expected a pattern", function(t)
      t.normalizer = { type = "Replace", content = "" }
    end },
    { "pre_tokenizer: Whitespace is not supported", function(t)
      t.pre_tokenizer = { type = "Sequence", pretokenizers = { { type = "Whitespace" } } }
    end, "unsupported" },
    { "pre_tokenizer: Digits behind ByteLevel", function(t)
      table.insert(t.pre_tokenizer.pretokenizers, { type = "Digits" })
    end, "unsupported" },
    { "Split: behavior is Sideways", function(t)
      t.pre_tokenizer.pretokenizers[1].behavior = "Sideways"
    end },
    { "&& in a regular expression is not supported", function(t)
      t.pre_tokenizer.pretokenizers[1].pattern.Regex = "[a-z&&[^b]]"
    end, "unsupported" },
    { "the pattern has 70000 bytes, more than 65536", function(t)
      t.pre_tokenizer.pretokenizers[1].pattern.Regex = ("a"):rep(70000)
    end },
    { "added token 0 has 2000 bytes", function(t)
      local word = ("<"):rep(2000)
      t.model.vocab[t.added_tokens[1].content] = nil
      t.model.vocab[word], t.added_tokens[1].content = 0, word
    end },
    { "the pattern is no regular expression", function(t)
      t.pre_tokenizer.pretokenizers[1].pattern.Regex = "(a"
    end },
    { "expected a model", function(t) t.model = 5 end },
    { "no id and content", function(t) t.added_tokens[1].content = "" end },
    { "post_processor: BertProcessing is not supported", function(t)
      t.post_processor = { type = "BertProcessing" }
    end, "unsupported" },
    { "TemplateProcessing: single: expected an array, got null", function(t)
      t.post_processor = { type = "TemplateProcessing" }
    end },
    { "post_processor: id 7777 is no token", function(t)
      t.post_processor = { type = "TemplateProcessing",
        single = { { SpecialToken = { id = "x" } }, { Sequence = { id = "A" } } },
        special_tokens = { x = { ids = { 7777 } } } }
    end },
    { "decoder: Metaspace is not supported, only ByteLevel", function(t)
      t.decoder.type = "Metaspace"
    end, "unsupported" },
    { "decoder: null is not supported", function(t) t.decoder = json.null end, "unsupported" },
    { "truncation: a table is not supported", function(t) t.truncation = { max_length = 5 } end,
      "unsupported" },
    { "has the ids 7 and ", function(t) t.added_tokens[1].id = 7 end },
    { "added_tokens: expected an array, got 5", function(t) t.added_tokens = 5 end },
    { "merges: expected an array, got an object", function(t) t.model.merges = { a = 1 } end },
    { "vocab: expected an object, got an array", function(t)
      t.model.vocab = json.array { 1, 2 }
    end },
  }
  for _, case in ipairs(broken) do
    it("says: " .. case[1], function()
      local tok, err, code = loading(case[2])
      assert.is_nil(tok)
      assert.matches(case[1], err, 1, true)
      assert.are.equal(case[3] or "format", code)
    end)
  end

  it("that is cut off, nested or huge is refused soon and without much memory", function()
    local path = os.tmpname()
    local function says(what, text)
      local file = assert(io.open(path, "wb"))
      file:write(text)
      file:close()
      local tok, err, code = ml.text.load(path)
      assert.is_nil(tok)
      assert.matches(what, err, 1, true)
      assert.are.equal("format", code)
    end
    local before, from = core.sys.rss(), os.clock()
    for k = 1, 80 do says("json.decode", good:sub(1, #good * k // 81)) end
    for _, s in ipairs { "[", '{"model":', '{"model":{"vocab":{"a":[' } do
      says("json.decode", s:rep(300000))
    end
    for _, id in ipairs { "1e300", "9007199254740993", "16777216", "1.5", '"7"', "null", "[]" } do
      says("model: vocab", (good:gsub('"!":%d+', '"!":' .. id)))
    end
    assert.is_true(os.clock() - from < 20)
    assert.is_true(core.sys.rss() - before < 1 << 28)
    os.remove(path)
  end)

  it("that is no file is an answer", function()
    local tok, _, code = ml.text.load "no/such/tokenizer.json"
    assert.is_nil(tok)
    assert.are.equal("io", code)
  end)

  it("survives the fuzz corpus", function() -- see tests/fuzz/tokenizer_fuzz.c for its form
    local alphabet, bpe = require "moonlit.text.alphabet", require "moonlit.text.bpe"
    local pipe, count = io.popen "ls tests/fuzz/corpus/tokenizer", 0
    for name in pipe:lines() do
      local file = assert(io.open("tests/fuzz/corpus/tokenizer/" .. name, "rb"))
      local head, text = file:read("a"):match "^([^\xff]*)\xff?(.*)$"
      file:close()
      local t = json.decode(head)
      for b = 0, t and t.bytes and 255 or -1 do
        t.model.vocab[alphabet.chars[b]] = t.bytes + b
      end
      local tok, err, code = bpe.of(t or {})
      local fine, ids = pcall(function() return tok:encode(text) end)
      if not tok then
        assert.is_string(err)
        assert.is_true(code == "format" or code == "unsupported")
      elseif fine then -- what has no token or is rewritten does not come back
        assert.is_true(not tok:is_exact() or text == tok:decode(ids))
      else assert.matches("the pattern gives up", ids) end
      count = count + 1
    end
    pipe:close()
    assert.is_true(count > 20)
  end)
end)
