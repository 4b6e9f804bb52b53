-- Duplicates, personal data, contamination and the books.
local ml = require "moonlit"
local core = require "moonlit.core"
local json = require "moonlit.json"

local function each(list)
  local i = 0
  return function()
    i = i + 1
    return list[i]
  end
end

local function ids_of(iterator)
  local ids = {}
  for doc in iterator do ids[#ids + 1] = doc.id end
  return ids
end

local function draw(index, step, n)
  return core.sys.random(77, 9, index, step, 0) % n + 1
end

-- a text of n words, a function of i
local function text_of(i, n)
  local words = {}
  for j = 1, n do
    local k = draw(i, j, 5000)
    words[j] = "w" .. string.char(97 + k % 26, 97 + k // 26 % 26, 97 + k // 676)
  end
  return words
end

describe("dedup.exact", function()
  local docs = { { id = "1", text = "a" }, { id = "2", text = "b" }, { id = "3", text = "a" },
                 { id = "4", text = "" }, { id = "5", text = "" }, { text = "b " } }

  it("keeps the first of equal texts", function()
    assert.same({ "1", "2", "4" }, ids_of(ml.data.dedup.exact()(each(docs))))
  end)

  it("says whom a copy repeats", function()
    local of = {}
    for doc, original in ml.data.dedup.exact():mark(each(docs)) do
      of[#of + 1] = ("%s=%s"):format(doc.id, original)
    end
    assert.equal("1=nil 2=nil 3=1 4=nil 5=4 nil=nil", table.concat(of, " "))
  end)

  it("keeps the smallest id, in whatever order they come", function()
    local backwards = {}
    for i = #docs, 1, -1 do backwards[#backwards + 1] = docs[i] end
    local ids = ids_of(ml.data.dedup.exact()(each(backwards)))
    table.sort(ids)
    assert.same({ "1", "2", "4" }, ids)
  end)

  it("gives documents back as they were, and names its clusters", function()
    local odd = { id = "raw", text = "bytes \xff\0", more = { 1, { x = 2.5 } }, flag = false }
    local list = os.tmpname() .. ".jsonl"
    local d = ml.data.dedup.exact { list = list }
    local out = {}
    for doc in d(each { docs[1], odd, docs[3], docs[4], docs[5] }) do out[#out + 1] = doc end
    assert.same({ docs[1], odd, docs[4] }, out)
    local one = { stays = "1", documents = 2, copies = { "3" } }
    local two = { stays = "4", documents = 2, copies = { "5" } }
    assert.equal(2, d.report.clusters)
    assert.equal(4, d.report.documents)
    local written = {}
    for line in io.lines(list) do written[#written + 1] = json.decode(line) end
    os.remove(list)
    for i, want in ipairs { one, two } do -- by the hash of the text
      assert.same(want, written[i])
      assert.same(want, d.report.largest[i])
    end
  end)
end)

describe("dedup.spans", function()
  local a = "The old mill stands by the river. It has not turned for forty years. Nobody knows why."
  local function words(i, n) return table.concat(text_of(i, n), " ") .. "." end

  local function cut(docs, opt)
    local d, out = ml.data.dedup.spans(opt), {}
    for doc in d(each(docs)) do out[doc.id] = doc.text end
    return out, d.report.counts
  end

  it("cuts three sentences that come again, and leaves them once", function()
    local docs = { { id = "1", text = words(1, 60) .. " " .. a .. " " .. words(2, 9) },
                   { id = "2", text = words(3, 60) .. "\n\nTHE OLD MILL stands by the river! It has"
                     .. " not turned for forty years. \"Nobody knows why.\" " .. words(4, 9) } }
    local out, counts = cut(docs)
    assert.same({ ["sentence spans"] = 1 }, counts)
    local whole = out["1"] == docs[1].text and "1" or "2"
    assert.equal(docs[tonumber(whole)].text, out[whole])
    local other = whole == "1" and words(3, 60) .. "\n\n" .. words(4, 9)
                  or words(1, 60) .. " " .. words(2, 9)
    assert.equal(other, out[whole == "1" and "2" or "1"])
    assert.same(out, (cut { docs[2], docs[1] }))
  end)

  it("cuts what a document says twice", function()
    local text = words(1, 60) .. " " .. a
    local out = cut { { id = "1", text = text .. " " .. a .. " " .. words(2, 9) } }
    assert.equal(text .. " " .. words(2, 9), out["1"])
    local line = words(7, 12) .. "\n"
    out = cut({ { id = "1", text = line:rep(5) .. words(8, 60) } }, { unit = "line" })
    assert.equal(line .. words(8, 60), out["1"])
  end)

  it("drops a document of which little is left, and says whose it was", function()
    local docs = { { id = "1", text = a .. "\n\n" .. words(1, 60) },
                   { id = "2", text = a .. "\n\n" .. words(2, 20) },
                   { id = "3", text = words(3, 20) } }
    local of = {}
    for doc, original in ml.data.dedup.spans({ unit = "paragraph" }):mark(each(docs)) do
      of[doc.id] = original
    end
    local first = core.sys.sha256(docs[1].text) < core.sys.sha256(docs[2].text)
    assert.same(first and { ["2"] = "1" } or {}, of) -- what is left of 1 is enough
  end)

  it("counts sentences beyond 65,535, where datatrove's file has no room for them", function()
    local list = {}
    for i = 1, 70000 do list[i] = ("Line %s of many is here now."):format(("x"):rep(i % 7 + 1)
      .. string.char(97 + i % 26, 97 + i // 26 % 26, 97 + i // 676 % 26, 97 + i // 17576)) end
    local long, last = table.concat(list, "\n"), table.concat(list, "\n", 69998, 70000)
    local out, counts = cut({ { id = "1", text = long },
                              { id = "2", text = words(1, 60) .. "\n" .. last } }, { unit = "line",
                              span = 3 })
    assert.same({ ["line spans"] = 1 }, counts)
    assert.is_true(out["1"] == table.concat(list, "\n", 1, 69997) or out["2"] == words(1, 60))
  end)

  it("leaves what has few words, and texts without any", function()
    local docs = { { id = "1", text = "Yes. No. Yes.\n" .. words(1, 60) }, { id = "3", text = "" },
                   { id = "2", text = "Yes. No. Yes.\n" .. words(2, 60) } }
    local out = cut(docs)
    for _, doc in ipairs(docs) do assert.equal(doc.text, out[doc.id]) end
  end)

  it("keeps the same whatever the order", function()
    local docs = {}
    for i = 1, 60 do
      local parts = {}
      for k = 1, 4 do parts[k] = words(draw(i, k, 40), 20) end
      docs[i] = { id = tostring(i), text = table.concat(parts, "\n\n") }
    end
    local opt = { unit = "paragraph", min_left = 30 }
    local once, counts = cut(docs, opt)
    assert.is_true(counts["paragraph spans"] > 50)
    for i = #docs, 2, -1 do
      local j = draw(i, 99, i)
      docs[i], docs[j] = docs[j], docs[i]
    end
    assert.same(once, (cut(docs, opt)))
    local seen = {} -- no paragraph stays twice
    for _, text in pairs(once) do
      for p in text:gmatch "[^\n]+" do
        assert.is_nil(seen[p])
        seen[p] = true
      end
    end
  end)

  it("refuses wrong options", function()
    local function with(o) return function() ml.data.dedup.spans(o) end end
    assert.error_matches(with { unit = "word" }, 'unit must be "sentence", "paragraph" or "line"')
    assert.error_matches(with { span = -1 }, "span must be a positive integer, got %-1")
    assert.error_matches(with { words = 3 }, 'dedup.spans: unknown .*"words"')
  end)
end)

describe("core.data.groups", function()
  -- more pairs than memory takes, beside a table
  it("brings together what has the same key", function()
    local g, want, groups = core.data.groups "/tmp", {}, 0
    for i = 1, 60000 do
      local key = core.sys.sha256(tostring(draw(5, i, 40000))):sub(1, 8)
      want[key] = want[key] or {}
      table.insert(want[key], i)
      g:add(i, key)
    end
    for values, key in function() return g:next() end do
      assert.same(want[string.pack("<i8", key)], values)
      groups = groups + 1
    end
    for _, list in pairs(want) do groups = groups - (#list > 1 and 1 or 0) end
    assert.equal(0, groups)
    assert.error_matches(function() g:add(1, "12345678") end, "nothing can be added")
  end)

  it("refuses what is no key", function()
    assert.error_matches(function() core.data.groups("/tmp"):add(1, "short") end,
                         "keys of 8 bytes each")
    assert.is_nil((core.data.spill "/no/such/place"))
    local s = core.data.spill "/tmp"
    s:put "abc"
    assert.error_matches(function() s:get(2, 3) end, "3 bytes at 2 of 3")
  end)
end)

describe("dedup.minhash", function()
  -- 300 texts of 120 words; 100 of them come again with two words changed, 50 with half of them
  local function planted()
    local docs, copy_of = {}, {}
    for i = 1, 300 do
      docs[i] = { id = ("d%03d"):format(i), text = table.concat(text_of(i, 120), " ") }
    end
    for i = 1, 150 do
      local words = text_of(i, 120)
      local changed = i <= 100 and { draw(i, 1001, 120), draw(i, 1002, 120) } or {}
      for j = 1, i > 100 and 60 or 0 do changed[j] = 2 * j end
      for _, at in ipairs(changed) do words[at] = "CHANGED" end
      local id = ("e%03d"):format(i)
      docs[#docs + 1] = { id = id, text = table.concat(words, ", ") }
      if i <= 100 then copy_of[id] = docs[i].id end
    end
    return docs, copy_of
  end

  local function shuffled(docs, seed)
    local out = table.move(docs, 1, #docs, 1, {})
    for i = #out, 2, -1 do
      local j = draw(i, seed, i)
      out[i], out[j] = out[j], out[i]
    end
    return out
  end

  it("finds planted near-duplicates and nothing else", function()
    local docs, copy_of = planted()
    local found, wrong = 0, 0
    for doc, original in ml.data.dedup.minhash():mark(each(docs)) do
      if original then
        local pair = copy_of[doc.id] == original or copy_of[original] == doc.id
        if pair then found = found + 1 else wrong = wrong + 1 end
      end
    end
    assert.equal(0, wrong)
    assert.is_true(found >= 98, found .. " of 100")
  end)

  it("keeps the same whatever the order", function()
    local docs = planted()
    local kept = ids_of(ml.data.dedup.minhash()(each(docs)))
    table.sort(kept)
    for seed = 1, 3 do
      local again = ids_of(ml.data.dedup.minhash()(each(shuffled(docs, seed))))
      table.sort(again)
      assert.same(kept, again)
    end
  end)

  it("gives every document once, in the order it came", function()
    local docs = planted()
    assert.same(ids_of(each(docs)), ids_of(ml.data.dedup.minhash():mark(each(docs))))
  end)

  it("joins by the true similarity, not by the bands", function()
    local docs = {}
    for i = 1, 40 do
      local words = text_of(1, 100)
      local mark = "x" .. string.char(97 + i % 26, 97 + i // 26)
      for j = 1, 10 do words[draw(i, j, 100)] = mark end
      docs[i] = { id = tostring(i), text = table.concat(words, " ") }
    end
    local loose = ml.data.dedup.minhash { threshold = 0, bands = 40, rows = 2 }
    assert.equal(1, #ids_of(loose(each(docs))))
    local strict = ml.data.dedup.minhash { threshold = 1, bands = 40, rows = 2 }
    assert.equal(40, #ids_of(strict(each(docs))))
    assert.is_true(strict.pairs > 300 and strict.alike == 0)
  end)

  it("joins what only a third text joins", function()
    local docs = {}
    for i = 1, 3 do
      local words = text_of(1, 100)
      for j = 1, 5 * (i - 1) do words[j] = "y" end
      docs[i] = { id = tostring(i), text = table.concat(words, " ") }
    end
    local d = ml.data.dedup.minhash { threshold = 0.85, bands = 60, rows = 3 }
    assert.equal(1, #ids_of(d(each(docs))))
  end)

  it("keeps what is too short, and copies of it", function()
    local docs = { { id = "1", text = "too short" }, { id = "2", text = "too short" },
                   { id = "3", text = "" } }
    assert.equal(3, #ids_of(ml.data.dedup.minhash()(each(docs))))
    assert.equal(0, #ids_of(ml.data.dedup.minhash()(each {})))
  end)

  it("does not compare a thousand copies with one another", function()
    local docs = {}
    for i = 1, 1000 do docs[i] = { id = tostring(i), text = table.concat(text_of(1, 50), " ") } end
    local d = ml.data.dedup.minhash()
    assert.equal(1, #ids_of(d(each(docs))))
    assert.is_true(d.pairs < 1100, tostring(d.pairs))
  end)

  it("estimates what its bands promise", function()
    local same, count = 0, 2000
    local a, b = {}, {}
    for i = 1, 90 do a[i], b[i] = "s" .. ("x"):rep(i), "s" .. ("x"):rep(i) end
    for i = 1, 30 do a[90 + i], b[90 + i] = "a" .. ("x"):rep(i), "b" .. ("x"):rep(i) end
    local sets = { core.shingles.of(table.concat(a, " "), 1),
                   core.shingles.of(table.concat(b, " "), 1) } -- alike by 90 / 150
    for seed = 1, count // 1000 do
      local x = core.shingles.signature(sets[1], 1000, 1, seed)
      local y = core.shingles.signature(sets[2], 1000, 1, seed)
      for i = 1, #x, 8 do
        if x:sub(i, i + 7) == y:sub(i, i + 7) then same = same + 1 end
      end
    end
    assert.is_true(math.abs(same / count - 0.6) < 0.04, tostring(same / count))
  end)
end)

describe("data.pii", function()
  local cases = {
    { "Write to anna@example.com.", "Write to <email>." },
    { "<anna.b+x@mail.example.co.uk>", "<<email>>" },
    { "“anna_b@example.org”—now", "“<email>”—now" },
    { "müller@exämple.de", "<email>" },
    { "a@b and @home and x@y.1", nil },
    { ("x"):rep(70) .. "@example.com", nil },
    { "at 192.168.1.20, ok", "at <ip>, ok" },
    { "8.8.8.8", "<ip>" },
    { "(10.0.0.7).", "(<ip>)." },
    { "section 1.2.3.4.5", nil },        -- five parts: a section
    { "firmware 4.19.72.1055", nil },    -- no octet
    { "1234.56.78.90", nil },
    { "v1.2.3.4 and x-1.2.3.4.", "v1.2.3.4 and x-<ip>." },
    { "127.0.0.1 0.0.0.0 255.255.255.255", nil },
    { "call (555) 123-4567 or 555.123.4567", "call <phone> or <phone>" },
    { "call 12 415-555-2671 now", "call 12 <phone> now" },
    { "+1 415 555 2671, +49 (0)30 123456, +44 20 7946 0958", "<phone>, <phone>, <phone>" },
    { "030/1234567 and 020 7946 0958", "<phone> and <phone>" },
    { "555-0142.", "<phone>." },
    { "01.02.2024 10:30 and 2024-01-15 and 1,234,567", nil },
    { "ISBN 978-0-306-40615-7, 1 2 3 4 5 6 7 8 9", nil },
    { "4111 1111 1111 1111", "<card>" },
    { "5500-0000-0000-0004 378282246310005", "<card> <card>" },
    { "4111 1111 1111 1112 and 4111111111111112", nil },  -- Luhn says no
    { "AKIAIOSFODNN7EXAMPLE", "<key>" },
    { "token=ghp_abcdefghijklmnopqrstuvwxyz0123456789;", "token=<key>;" },
    { "sk-abc and risk-averse people", nil },
    { "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\nx", "<key>\nx" },
    { "-----BEGIN PRIVATE KEY-----\nabc", "<key>" },
    { "", nil },
  }
  local mask = ml.data.pii()
  for _, case in ipairs(cases) do
    it(case[1]:sub(1, 50):gsub("\n", " "), function()
      local doc = { id = "1", text = case[1] }
      local out, counts = mask(doc)
      assert.equal(case[2] or case[1], out.text)
      assert.equal(case[1], doc.text)
      if not case[2] then
        assert.equal(doc, out)
        assert.same({}, counts)
      end
    end)
  end

  it("counts, and keeps the rest of the document", function()
    local out, counts = mask { id = "1", source = "web", text = "a@b.cd 1.2.3.4 e@f.gh" }
    assert.same({ id = "1", source = "web", text = "<email> <ip> <email>" }, out)
    assert.same({ email = 2, ip = 1 }, counts)
  end)

  it("takes other words, and leaves kinds alone", function()
    local other = ml.data.pii { email = "x@example.com", ip = false }
    assert.equal("x@example.com 1.2.3.4", other({ text = "a@b.cd 1.2.3.4" }).text)
    assert.error_matches(function() ml.data.pii { mail = "x" } end, 'did you mean "email"')
  end)

  it("is fast on what is made to be slow", function()
    for name, text in pairs {
      ats = ("@"):rep(50000), names = ("a@"):rep(50000), dots = "1" .. ("."):rep(100000) .. "1",
      digits = ("1"):rep(100000), groups = ("12 "):rep(30000), jwt = ("eyJ"):rep(30000),
      domain = "a@" .. ("a."):rep(50000), begin = ("-----BEGIN "):rep(10000),
    } do
      local start = os.clock() -- of the processor: other work does not count
      mask { text = text }
      assert.is_true(os.clock() - start < 5, name)
    end
  end)
end)

describe("data.decontaminate", function()
  local secret = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
  local keep, info = ml.data.decontaminate { "short", secret, { text = "What is the name of the "
    .. "river?  It is 12." } }

  it("drops documents that hold 13 words in a row of a text", function()
    local fine, reason, detail = keep { text = "He said: One, two, three, four -- " ..
      secret:sub(20):upper() .. "!" }
    assert.same({ false, "contaminated", "text 2" }, { fine, reason, detail })
    assert.is_true(keep { text = secret:sub(1, 60) })
    assert.is_true(keep { text = "" })
  end)

  it("looks for shorter texts whole, and says what it cannot look for", function()
    local fine, _, detail = keep { text = "what is the name of the river it is 7, or so" }
    assert.is_false(fine)
    assert.equal("text 3", detail)
    assert.is_true(keep { text = "a short name of the river it is" })
    assert.same({ texts = 3, skipped = 1, ngrams = 3 }, info)
  end)

  it("refuses what is no list of texts", function()
    assert.error_matches(function() ml.data.decontaminate "x" end, "expected a list of texts")
    assert.error_matches(function() ml.data.decontaminate { 3 } end, "text 1 is a number")
  end)
end)

describe("data.ledger", function()
  local function docs()
    return { { id = "1", text = "the first text", source = "web" },
             { id = "2", text = "no", source = "web" },
             { id = "3", text = "write to a@b.cd", source = "mail" },
             { id = "4", text = "the first text", source = "mail" },
             { id = "5", text = "bad \xff bytes are here" } }
  end

  local function run(l)
    local it = l:read("in", each(docs()))
    it = l:filter("length", it, ml.data.filter.length { min_words = 3 })
    it = l:dedup("exact", it, ml.data.dedup.exact())
    it = l:map("pii", it, ml.data.pii())
    return ids_of(it)
  end

  it("accounts for every document", function()
    local l = ml.data.ledger()
    assert.same({ "1", "3", "5" }, run(l))
    local books = l:finish()
    assert.same({ documents = 5, bytes = 65 }, books["in"])
    assert.same({ documents = 3, bytes = 14 + 16 + 20 }, books.out)
    assert.same({ ["in"] = { documents = 2, bytes = 16 }, out = { documents = 1, bytes = 14 } },
                books.sources.web)
    local _, length, exact, pii = table.unpack(books.steps)
    assert.same({ { reason = "too_few_words", documents = 1, bytes = 2, sources = { web = 1 },
                    examples = { { id = "2", source = "web", excerpt = "no" } } } },
                length.reasons)
    assert.equal("of 1", exact.reasons[1].examples[1].detail)
    assert.same({ email = 1 }, pii.counts)
    assert.equal(1, pii.changed.documents)
    assert.equal("write to <email>", pii.changes[1].excerpt)
  end)

  it("is the same file every time", function()
    local path, text = os.tmpname(), nil
    for _ = 1, 2 do
      local l = ml.data.ledger()
      run(l)
      assert.is_true(l:save(path))
      local file = io.open(path)
      local now = file:read("a")
      file:close()
      text = text or now
      assert.equal(text, now)
    end
    assert.equal(64, #json.decode(text).sha256)
    os.remove(path)
  end)

  it("shows no more examples than asked for", function()
    local l = ml.data.ledger { examples = 1 }
    local it = l:read("in", each(docs()))
    ids_of(l:filter("none", it, function() return false, "never" end))
    local why = l:finish().steps[2].reasons[1]
    assert.equal(5, why.documents)
    assert.equal(1, #why.examples)
  end)

  it("refuses books that do not add up", function()
    local l = ml.data.ledger()
    local it = l:dedup("lossy", l:read("in", each(docs())), { mark = function(_, source)
      return function() source() return source() end -- every second document is lost
    end })
    ids_of(it)
    assert.error_matches(function() l:finish() end,
                         'ledger: "lossy", source "in": documents do not add up: 1 came, 0 are')
  end)

  it("refuses documents that were not read to the end", function()
    local l = ml.data.ledger()
    l:read("in", each(docs()))()
    assert.error_matches(function() l:finish() end, '"in" was not read to its end')
    assert.error_matches(function() ml.data.ledger():finish() end, "nothing was read")
  end)

  it("refuses documents that change their source on the way", function()
    local l = ml.data.ledger()
    ids_of(l:map("rename", l:read("in", each(docs())), function(doc)
      return { id = doc.id, text = doc.text, source = "other" }
    end))
    assert.error_matches(function() l:finish() end, "do not add up")
  end)

  it("refuses wrong calls", function()
    local l = ml.data.ledger()
    local it = l:read("in", each(docs()))
    assert.error_matches(function() l:filter("x", each {}, print) end, "must come from this")
    assert.error_matches(function() l:read("in", each {}) end, 'there is a step "in" already')
    assert.error_matches(function() l:filter("x", it, 3) end, "expected a filter, got number")
    assert.error_matches(function() l:dedup("x", it, print) end, "expected a dedup object")
    local first = l:map("a", it, function() return nil end)
    assert.error_matches(function() l:map("b", it, print) end, "go elsewhere already")
    assert.error_matches(first, "ledger:map: a: expected a document")
  end)
end)
