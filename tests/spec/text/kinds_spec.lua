-- Tokenizers of every kind: what Hugging Face's `tokenizers` makes of some texts with small files
-- that it trained (tests/oracle/text.py 0 --fixture), and what encode and decode promise beyond.
local bpe = require "moonlit.text.bpe"
local core = require "moonlit.core"
local json = require "moonlit.json"
local ml = require "moonlit"

local spans_like = require "spans"

local KINDS = "tests/golden/tokenizer/kinds/"

-- rewritten to NFC, NFKC: a composed character stands for all it was made of with us, for the first
-- of them there
local composes = { qwen = true, metaspace = true }

local function fixture(name)
  local t = assert(json.load(KINDS .. name .. ".json"))
  return assert(bpe.of(t.tokenizer)), t.cases
end

-- a tokenizer of single bytes
local function bytes(pattern)
  local tokens = {}
  for b = 0, 255 do tokens[b + 1] = string.char(b) end
  return bpe.new { tokens = tokens, special = {}, merges = {}, pattern = pattern }
end

local function streamed(tok, ids)
  local put, out = tok:decoder(), {}
  for i, id in ipairs(ids) do
    out[i] = put(id)
    assert.is_truthy(utf8.len(out[i]) or tok.core:decode(ids, true):find "[\x80-\xff]")
  end
  return table.concat(out) .. put(nil)
end

describe("a tokenizer like", function()
  for _, name in ipairs { "llama3", "qwen", "llama2", "mistral", "metaspace", "gemma" } do
    it(name .. " does as tokenizers does", function()
      local tok, cases = fixture(name)
      assert.is_true(#cases >= 80)
      local texts = {}
      for i, case in ipairs(cases) do
        texts[i] = case.text
        assert.are.same(case.plain, tok:encode(case.text))
        assert.are.same(case.default, tok:encode(case.text, { special = true, add = true }))
        assert.are.equal(case.decoded, tok:decode(case.default))
        assert.are.equal(case.decoded, streamed(tok, case.default))
      end
      for i, ids in ipairs(tok:encode_all(texts)) do assert.are.same(cases[i].plain, ids) end
    end)

    it(name .. " comes back from its file", function()
      local tok, cases = fixture(name)
      local path = os.tmpname()
      assert(tok:save(path))
      local again = assert(ml.text.load(path))
      os.remove(path)
      for _, case in ipairs(cases) do
        assert.are.same(case.default, again:encode(case.text, { special = true, add = true }))
      end
    end)
  end
end)

describe("encode", function()
  it("tells where tokens stand", function()
    for _, name in ipairs { "llama3", "qwen", "llama2", "mistral", "metaspace", "gemma" } do
      local tok, cases = fixture(name)
      for _, case in ipairs(cases) do
        local ids, info = tok:encode(case.text, { special = true, spans = true })
        local last = 0
        assert.are.equal(2 * #ids, #info.spans)
        if not composes[name] then
          assert.are.same(case.spans, spans_like(case.spans, case.text, info.spans))
        end
        for i = 1, #info.spans, 2 do
          local a, b = info.spans[i], info.spans[i + 1]
          assert.is_true(a >= 1 and a <= last + 1 and b <= #case.text and b >= last or b >= a)
          last = math.max(last, b)
          if name == "llama3" and not tok:is_special(ids[(i + 1) // 2]) then
            assert.are.equal(tok:bytes(ids[(i + 1) // 2]), case.text:sub(a, b))
          end
        end
      end
    end
  end)

  it("keeps to a length and says what it left out", function()
    local tok = fixture "llama3"
    local all = tok:encode("the moon rose over the harbour", { add = true })
    local few, info = tok:encode("the moon rose over the harbour", { add = true, max = 4 })
    assert.are.same(table.move(all, 1, 4, 1, {}), few)
    assert.are.equal(#all - 4, info.left_out)
    local lists, infos = tok:encode_all({ "a", "moon moon moon moon" }, { max = 2, spans = true })
    assert.are.equal(0, infos[1].left_out)
    assert.is_true(#lists[2] == 2 and #infos[2].spans == 4 and infos[2].left_out > 0)
    assert.has_error(function() tok:encode("x", { add = true, max = 0 }) end,
                     "encode: max must be an integer, 1 or more, got 0")
  end)

  it("rewrites marks in any order, and a million of them at once", function()
    local t = assert(json.load(KINDS .. "qwen.json")).tokenizer
    local tok = assert(bpe.of(t))
    assert.are.same(tok:encode "\u{1ead}", tok:encode "a\u{302}\u{323}")
    assert.are.same(tok:encode "\u{ac01}", tok:encode "\u{1100}\u{1161}\u{11a8}")
    local marks = ("\u{301}\u{323}"):rep(100000)
    assert.are.equal(("\u{323}"):rep(100000), tok:decode(tok:encode("x" .. marks)):sub(2, 200001))
    t.normalizer = { type = "NFKC" }
    tok = assert(bpe.of(t))
    assert.are.same(tok:encode "1\u{2044}2 \u{30ac} \u{ac00}",
                    tok:encode "\u{bd} \u{ff76}\u{ff9e} \u{3131}\u{314f}")
  end)

  it("takes time as the text is long, whatever repeats in it", function()
    local function seconds(tok, s)
      local from = os.clock()
      tok:encode(s)
      return os.clock() - from
    end
    for _, name in ipairs { "llama3", "llama2" } do
      local tok = fixture(name)
      for _, c in ipairs { "a", " ", "\u{7684}", "^", "\n", "\u{301}" } do
        local few = seconds(tok, c:rep(100000 // #c))
        assert.is_true(seconds(tok, c:rep(1000000 // #c)) < 30 * few + 0.5, c)
      end
    end
  end)

  it("gives up on a pattern that turns back for ever", function()
    for _, pattern in ipairs { "(a|aa)+[b-d][x-z]", "(?:a{1,100}){1,100}[cd]" } do
      local from = os.clock()
      local fine, err = pcall(bytes(pattern).encode, bytes(pattern), ("a"):rep(100000) .. "b")
      assert.is_false(fine)
      assert.matches("the pattern gives up on this text", err)
      assert.is_true(os.clock() - from < 20)
    end
  end)

  it("leaves out what has no token, and says which bytes that are", function()
    local t = assert(json.load(KINDS .. "llama3.json")).tokenizer
    local last, name = -1, nil
    for word, id in pairs(t.model.vocab) do
      if id > last then last, name = id, word end
    end
    t.model.merges[#t.model.merges] = nil
    t.model.vocab[name], t.model.vocab["\u{11f}"] = t.model.vocab["\u{11f}"], nil -- byte 0x1E..
    local tok = assert(bpe.of(t))
    assert.are.equal(1, #tok:missing())
    assert.are.equal("ab", tok:decode(tok:encode("a" .. tok:missing() .. "b")))
    assert.are.equal("", (fixture "llama3"):missing())
  end)
end)

describe("a special token", function()
  it("is never made by merges", function() -- a file that has such a merge: text stays text
    local tokens = {}
    for b = 0, 255 do tokens[b + 1] = string.char(b) end
    tokens[257], tokens[258] = "s>", "<s>"
    local tok = assert(bpe.new { tokens = tokens, special = { [258] = true }, pattern = ".+",
                                 merges = { 115, 62, 60, 256 } })
    assert.are.same({ 60, 256 }, tok:encode "<s>")
    assert.are.same({ 257 }, tok:encode("<s>", { special = true }))
  end)
end)

describe("a tiktoken file", function()
  local function load(text, opt)
    local path = os.tmpname()
    assert(core.sys.write(path, text))
    local tok, err, code = ml.text.load(path, opt)
    os.remove(path)
    return tok, err, code
  end

  local letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
  local function base64(s)
    local out = {}
    for i = 1, #s, 3 do
      local a, b, c = s:byte(i, i + 2)
      local v = a << 16 | (b or 0) << 8 | (c or 0)
      for k = 0, 3 do
        local at = (v >> 18 - 6 * k & 63) + 1
        out[#out + 1] = k > (c and 3 or b and 2 or 1) and "=" or letters:sub(at, at)
      end
    end
    return table.concat(out)
  end

  local lines = {}
  for b = 0, 255 do lines[b + 1] = base64(string.char(b)) .. " " .. b end
  for _, s in ipairs { "ab", "abc", "bc" } do
    lines[#lines + 1] = base64(s) .. " " .. #lines
  end
  local good = table.concat(lines, "\n") .. "\n"
  local told = { pattern = "gpt-2", special = { ["<|e|>"] = 300 } }

  it("merges by rank", function()
    local tok = assert(load(good, told))
    assert.are.same({ 257 }, tok:encode "abc")
    assert.are.same({ 256, 258 }, tok:encode "abbc")
    assert.are.same({ 300 }, tok:encode("<|e|>", { special = true }))
    assert.are.equal(301, tok:size())
    local path = os.tmpname()
    assert(tok:save(path))
    local again = assert(ml.text.load(path))
    os.remove(path)
    assert.are.same(tok:encode "abbcabcab<|e|>", again:encode "abbcabcab<|e|>")
  end)

  it("that is wrong is refused", function()
    local function says(what, text, opt)
      local tok, err, code = load(text, opt or told)
      assert.is_nil(tok)
      assert.matches(what, err, 1, true)
      assert.are.equal("format", code)
    end
    says("259 tokens are none of the published files: tell the pattern", good, {})
    says("rank 5 comes twice", good .. "eHl6 5\n")
    says("line 260: expected a token in base64 and its rank", good .. "eH=6 400\n")
    says("rank 259 is missing", good .. "eHl6 260\n")
    says("cannot have the id 5", good, { pattern = "gpt-2", special = { x = 5 } })
    says("token 259 has 4098 bytes, more than 4096", good .. base64(("x"):rep(4098)) .. " 259\n")
    says("tokens 256 and 259 are the same", good .. base64 "ab" .. " 259\n")
  end)
end)
