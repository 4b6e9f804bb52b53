-- Every rule of every filter: a text, whether it stays, and why not.
local ml = require "moonlit"
local core = require "moonlit.core"
local filter = ml.data.filter

local story = "The old man went to the harbour with his dog and a small basket. He wanted to be "
  .. "there before the ferry came, for his sister had written that she would have news of the "
  .. "family. Rain fell on the roofs, and nobody else was about that early. When the bell rang, "
  .. "he stood up and waved."

-- n words, the first 17576 all different
local function words(n, length)
  local out = {}
  for i = 1, n do
    out[i] = "w" .. string.char(97 + i % 26, 97 + i // 26 % 26, 97 + i // 676 % 26)
             .. ("x"):rep(length or 0)
  end
  return table.concat(out, " ")
end

local function check(make, cases)
  for _, case in ipairs(cases) do
    local name, text, reason, opt = table.unpack(case, 1, 4)
    it(name, function()
      local fine, why = make(opt) { text = text }
      if reason then
        assert.is_false(fine)
        assert.equal(reason, why)
      else
        assert.is_true(fine, tostring(why))
      end
    end)
  end
end

describe("filter.gopher_quality", function()
  local stops = " the of and to"
  check(filter.gopher_quality, {
    { "keeps a story", story },
    { "empty", "", "gopher_short_doc" },
    { "white space", " \n\t\n", "gopher_short_doc" },
    { "49 words", words(45) .. stops, "gopher_short_doc" },
    { "50 words", words(46) .. stops },
    { "symbols are no words", words(40) .. stops .. (" ,"):rep(20), "gopher_short_doc" },
    { "100,000 words", words(99996) .. stops },
    { "one more", words(99997) .. stops, "gopher_long_doc" },
    { "short words", ("a b "):rep(40) .. stops, "gopher_below_avg_threshold" },
    { "long words", words(60, 9) .. stops, "gopher_above_avg_threshold" },
    { "length is in characters", ("ééééé "):rep(60) .. stops },
    { "hashes", words(60) .. stops .. ("#"):rep(9), "gopher_too_many_hashes" },
    { "ellipses of three dots", (words(4) .. "... "):rep(20) .. stops, "gopher_too_many_ellipsis" },
    { "ellipses of one character", (words(4) .. "… "):rep(20) .. stops,
      "gopher_too_many_ellipsis" },
    { "bullets", ("• one two three the of\n"):rep(20), "gopher_too_many_bullets" },
    { "dashes, indented", ("  - one two three the of\n"):rep(20), "gopher_too_many_bullets" },
    { "lines that trail off", ("many words are on this line and the rest of it...  \n"):rep(3)
      .. ("many words are on this line and the rest of it.\n"):rep(3),
      "gopher_too_many_end_ellipsis" },
    { "numbers", words(60) .. (" 12345"):rep(20) .. stops, "gopher_below_alpha_threshold" },
    { "no stop words", words(60), "gopher_enough_stop_words" },
    { "one stop word twice", words(60) .. " the the", "gopher_enough_stop_words" },
    { "stop words are written small", words(60) .. " The Of And", "gopher_enough_stop_words" },
    { "a rule off", words(60), nil, { min_stop_words = false } },
    { "another threshold", "The dog and the cat with me.", nil, { min_words = 5 } },
    { "no words at all, all rules on but one", "", "gopher_below_avg_threshold",
      { min_words = false } },
  })

  it("refuses options it does not know, by the nearest name", function()
    assert.error_matches(function() filter.gopher_quality { max_non_alpha_words_ratio = 0.8 } end,
                         "filter.gopher_quality: unknown option")
    assert.error_matches(function() filter.gopher_quality { min_word = 3 } end,
                         'did you mean "min_words"')
    assert.error_matches(function() filter.gopher_quality() { text = 3 } end,
                         "expected a document with a text, got text = number")
  end)
end)

describe("filter.gopher_repetition", function()
  local one, two = words(9), story
  check(filter.gopher_repetition, {
    { "keeps a story", story },
    { "an empty text has no shares", "" },
    { "nothing but line breaks is two empty lines", "\n\n\n", "dup_line_frac" },
    { "paragraphs", "ab\n\nab\n\nab\n\n" .. two, "dup_para_frac" },
    { "characters of paragraphs", one .. "\n\n" .. one .. "\n\nx\n\ny\n\nz", "dup_para_char_frac" },
    { "lines", "ab\nab\nab\n" .. two, "dup_line_frac" },
    { "blank lines are no lines", "ab\n\n\n\ncd\n\n\n\n" .. two },
    { "characters of lines", one .. "\n" .. one .. "\nx\ny\nz", "dup_line_char_frac" },
    { "two words", ("good day "):rep(4) .. words(20), "top_2_gram",
      { top = { [2] = 0.2 } } },
    { "three words", "a bb c " .. ("one two three, "):rep(4) .. words(40), "top_3_gram",
      { top = { [3] = 0.18 }, grams = false } },
    { "four words", ("one two three four, "):rep(4) .. words(62), "top_4_gram",
      { grams = false } },
    { "five words", words(5) .. " " .. words(5) .. " " .. words(14):reverse(),
      "duplicated_5_n_grams", { top = false } },
    { "ten words", words(10) .. " " .. words(10) .. " " .. words(50):reverse(),
      "duplicated_10_n_grams", { grams = { [10] = 0.1 } } },
    { "the same without that rule", words(10) .. " " .. words(10) .. " " .. words(50):reverse(),
      nil, { grams = false } },
  })

  it("tells words that only look alike when glued together", function()
    local r = core.stats.repetition("ab c d e f, a bc d e f")
    assert.equal(0, r.grams[5])
  end)

  it("jumps behind a repeat, as the published scan does", function()
    assert.equal(5, core.stats.repetition(("a "):rep(10)).grams[5])
    assert.equal(10, core.stats.repetition(("a "):rep(15)).grams[5])
  end)

  it("refuses a limit for n that nobody counts", function()
    assert.error_matches(function() filter.gopher_repetition { top = { [5] = 0.1 } } end,
                         "top has no limit for n = 5")
  end)
end)

describe("filter.fineweb_quality", function()
  local line = "This line is long enough not to be called short, number %d."
  local function lines(n, mark)
    local out = {}
    for i = 1, n do out[i] = line:format(i):gsub("%.$", mark or ".") end
    return table.concat(out, "\n")
  end
  check(filter.fineweb_quality, {
    { "keeps lines", lines(9) },
    { "empty", "", "empty" },
    { "blank", " \n \n", "empty" },
    { "no marks", lines(9, ","), "line_punct_ratio" },
    { "quotes and colons end no sentence", lines(5, '"') .. "\n" .. lines(5, ":"),
      "line_punct_ratio" },
    { "other scripts' marks do", lines(9, "。") },
    { "white space behind the mark", lines(9, ".  \r"), "line_punct_ratio" },
    { "short lines", ("abc.\nde fg.\n"):rep(1) .. lines(1) .. "\nhi.\nho.", "short_line_ratio" },
    { "blank lines are not short ones", lines(3) .. "\n\n\n\n\n\n\n", nil },
    { "repeated lines", lines(9) .. "\n" .. line:format(1), "char_dup_ratio" },
    { "as many as the paper allows", lines(12) .. "\n" .. line:format(1), nil,
      { max_repeated_chars = 0.1 } },
    { "lists", ("abcdefghijabcdefghijabcdefghijk.\n\n"):gsub("", "", 0)
      .. "bbcdefghijabcdefghijabcdefghijk.\n\n", "list_ratio" },
  })
end)

describe("filter.c4", function()
  local good = "The dog ran home. The cat sat there. Who was it? I know! It was me."
  local function kept(text, opt)
    local fine, what = filter.c4(opt) { id = "1", text = text }
    return fine and (what and what.text or text), fine or what
  end
  local function stays(expected, text, opt)
    assert.equal(expected, (kept(text, opt)))
  end
  local function dropped(reason, text, opt)
    local text_kept, why = kept(text, opt)
    assert.is_false(text_kept)
    assert.equal(reason, why)
  end

  it("keeps good lines, and gives no new document where nothing changed", function()
    local doc = { text = good }
    local fine, new = filter.c4()(doc)
    assert.is_true(fine)
    assert.is_nil(new)
    fine, new = filter.c4() { text = good .. "\nHome | About", id = "a", source = "web" }
    assert.is_true(fine)
    assert.same({ text = good, id = "a", source = "web" }, new)
  end)

  it("drops lines", function()
    stays(good, "Home | About\n" .. good)                        -- no mark at the end
    stays(good, good .. "\nAnd so it went on...")                -- an ellipsis
    stays(good, good .. "\nToo short.")                          -- two words
    stays(good, good .. "\nPlease enable JavaScript to go on.")
    stays(good, good .. "\nRead our Privacy Policy before use.")
    stays(good, good .. "\nAnd " .. ("x"):rep(1001) .. " was it.")
    stays(good, good .. "\r\nPlease enable JavaScript to go on.\u{2028}Home")
    stays(good .. "\nAnd " .. ("é"):rep(1000) .. " was it.", good .. "\nAnd " .. ("é"):rep(1000)
          .. " was it.")
  end)

  it("drops documents", function()
    dropped("lorem_ipsum", good .. "\nThis is Lorem Ipsum text.")
    dropped("curly_bracket", good .. "\nif (x) { return it; }.")
    dropped("too_few_sentences", "One is here. Two is here. Three is here. Four is here.")
    dropped("too_few_sentences", "")
    stays("Only one sentence here.", "Only one sentence here.", { min_sentences = false })
  end)

  it("keeps the published order of the rules", function()
    stays(good, good .. "\nlorem ipsum {")                        -- the line goes first
    stays(good .. "\nIt is so.", good .. "\nIt is so.[12]")
    stays(good .. "\nTwo .", good .. "\nTwo [citation needed].")  -- words are counted before
    stays(good .. "\nHome | About", good .. "\nHome | About",
          { terminal_punctuation = false, min_words = 3 })
  end)
end)

describe("filter.length", function()
  check(filter.length, {
    { "nothing asked", "" },
    { "bytes", "é", "too_many_bytes", { max_bytes = 1 } },
    { "characters", "é", nil, { max_chars = 1 } },
    { "characters missing", "é", "too_few_chars", { min_chars = 2 } },
    { "words", "one two", "too_few_words", { min_words = 3 } },
    { "enough words", "one two.", nil, { min_words = 3, max_words = 3 } },
  })
end)

describe("filter.symbols", function()
  local a = ("a"):rep(70)
  check(filter.symbols, {
    { "keeps prose", story },
    { "empty", "", "empty" },
    { "blank", " \n\n ", "empty" },
    { "a quarter of symbols", ("abc;"):rep(10) .. "." },
    { "more", ("ab;"):rep(10), "non_alpha_numeric" },
    { "letters of others are symbols", ("Straße "):rep(10), "non_alpha_numeric" },
    { "bytes that are no UTF-8", ("ab\xff"):rep(10), "non_alpha_numeric" },
    { "NULs", ("ab\0"):rep(10), "non_alpha_numeric" },
    { "digits", ("a"):rep(85) .. ("1"):rep(15) .. "." },
    { "more digits", ("a"):rep(85) .. ("1"):rep(16) .. ".", "numbers" },
    { "an address", a .. a .. " http://example.org/a/b/c?d=e ." },
    { "long ones", a .. " http://example.org/aaaaaaa/bbbbbbb https://x.org .", "urls" },
    { "Http is none", a .. "a Http://example.org/aaaaaaaaabbbbbbbbbbbbbb ." },
    { "white space", ("aaa\n"):rep(24) .. "\n\n'", "white_space", { max_open_lines = false } },
    { "brackets", ("aaaaaaaa()"):rep(9), "parentheses", { max_open_lines = false } },
    { "brackets of mathematics", ("aaaaaaaa⟨⟩"):rep(9), "parentheses", { max_open_lines = false } },
    { "lines that end", ("open line\n"):rep(8) .. "ended.\n'ended'  \n" },
    { "lines that do not", ("open line\n"):rep(6) .. "ended.\n", "punctuation" },
    { "a policy in two of five paragraphs", "one.\n\ntwo.\n\nthree.\n\nUse cookies.\n\nPrivacy "
      .. "policy." },
    { "in two of four", "one.\n\ntwo.\n\nUse cookies.\n\nPrivacy policy.", "boilerplate" },
    { "lorem ipsum", "one.\n\ntwo.\n\nthree.\n\nLorem Ipsum.", "boilerplate" },
    { "a long word", ("a"):rep(1000) .. " b." },
    { "too long a word", ("a"):rep(1001) .. " b.", "long_word" },
    { "long in characters", ("é"):rep(600) .. ".", nil, { max_symbols = false } },
    { "all off", ";;;;;;", nil, { max_symbols = false, max_open_lines = false } },
  })
end)

-- tests/golden/data/filters.jsonl: what datatrove and, of symbols, NeMo Curator decide of documents
-- (tests/oracle/data.py)
describe("beside datatrove and NeMo", function()
  local made = { c4 = filter.c4(), c4_open = filter.c4 { terminal_punctuation = false },
                 gopher_quality = filter.gopher_quality(),
                 gopher_repetition = filter.gopher_repetition(),
                 fineweb_quality = filter.fineweb_quality(), symbols = filter.symbols() }
  for name, keep in pairs(made) do
    it(name .. " decides the same, for the same reason", function()
      for doc in ml.data.read "tests/golden/data/filters.jsonl" do
        local fine, reason = keep(doc)
        assert.equal(doc[name], fine and "" or reason)
      end
    end)
  end
end)

describe("core.stats", function()
  it("parts words about as spaCy does", function()
    local function is(text, ...) assert.same({ ... }, core.stats.words(text)) end
    is("It's 10,000.50 -- or 1,x...", "It's", "10,000.50", "--", "or", "1", ",", "x", "...")
    is("<a.b@c.org> ==__init__", "<", "a.b@c.org", ">", "=", "=", "_", "_", "init", "_", "_")
    is("end.Next 'quoted' x'", "end.Next", "'", "quoted", "'", "x", "'")
    is("e\u{301}té’s\0-\xff", "e\u{301}té’s", "\0", "-", "\xff")
    is("ls -l --all-of x-y UTF-8", "ls", "-l", "--all", "-", "of", "x", "-", "y", "UTF-8")
    is("the U.S. of A. Smith. hy-\nphen", "the", "U.S.", "of", "A.", "Smith", ".", "hy-", "phen")
    is("a:b at 12:30, n>=3 x=5", "a", ":", "b", "at", "12:30", ",", "n", ">", "=", "3", "x=5")
    is("the dogs 's we 'll 'so", "the", "dogs", "'s", "we", "'ll", "'", "so")
    is("(http://a.org/b?c=d), ftp:// x", "(", "http://a.org/b?c=d", ")", ",", "ftp", ":", "/", "/",
       "x")
  end)

  it("takes any bytes", function()
    local all = {}
    for i = 0, 255 do all[#all + 1] = string.char(i) end
    local text = table.concat(all):rep(3)
    for from = 1, 300, 7 do
      local piece = text:sub(from)
      core.stats.quality(piece, { "the" })
      assert.is_true(core.stats.repetition(piece).chars <= #piece)
      core.stats.layout(piece, 30)
      core.stats.sentences(piece)
      core.stats.lines(piece)
      assert.is_true(#core.shingles.of(piece, 1) % 8 == 0)
    end
  end)

  it("cuts lines as Python's splitlines does", function()
    assert.same({ "a", "b", "c", "", "d", "e", "f" },
                (core.stats.lines "a\nb\r\nc\r\rd\u{85}e\u{2029}f\n"))
    assert.same({}, (core.stats.lines ""))
  end)

  it("tells the order of words", function()
    local r = core.stats.repetition("a b b a")
    assert.equal(3, r.top[2])
    assert.not_equal(core.shingles.of("a b", 2), core.shingles.of("b a", 2))
  end)
end)
