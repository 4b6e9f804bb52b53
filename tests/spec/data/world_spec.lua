-- The built-in world: the same for ever, its parts apart, its truth true.
local ml = require "moonlit"
local core = require "moonlit.core"
local draw = require "moonlit.data.world.draw"
local names = require "moonlit.data.world.names"
local velu = require "moonlit.data.world.velu"

local w = ml.data.world { seed = 1 }

local function texts(iterator)
  local list = {}
  for doc in iterator do list[#list + 1] = doc.text end
  return list
end

local function each_part(fn) for _, part in ipairs { "train", "valid", "test" } do fn(part) end end

describe("the world", function()
  it("is a function of its seed", function()
    local all = table.concat(texts(w:crawl(200)), "\n") .. table.concat(texts(w:traces("test", 50)))
    assert.are.equal("cce15357b32827a6157d7c14edf4faea7a101f431c42be17ea6176e6935bcc1a",
                     core.sys.sha256(all))
    assert.are.same(texts(w:crawl(20)), texts(ml.data.world { seed = 1 }:crawl(20)))
    assert.are_not.same(texts(w:crawl(3)), texts(ml.data.world { seed = 2 }:crawl(3)))
  end)

  it("has item i whatever was asked for before", function()
    local few, many = texts(w:documents("train", 5)), texts(w:documents("train", 20))
    for i = 1, 5 do assert.are.equal(few[i], many[i]) end
  end)

  it("has names of which a tenth each is held out", function()
    local count = #names.train + #names.valid + #names.test
    assert.are.equal(9600, count)
    assert.is_true(#names.test > 0.08 * count and #names.test < 0.12 * count)
    assert.is_true(#names.valid > 0.08 * count and #names.valid < 0.12 * count)
  end)

  it("keeps names apart", function()
    local part_of = {}
    each_part(function(part)
      for _, name in ipairs(names[part]) do part_of[name] = part end
    end)
    each_part(function(part)
      for _, text in ipairs(texts(w:documents(part, 60))) do
        for word in text:gmatch "%u%l+" do
          if part_of[word] then assert.are.equal(part, part_of[word]) end
        end
      end
    end)
  end)

  it("keeps sums, calculations and sentences apart, and they are right", function()
    each_part(function(part)
      for _, item in ipairs(w:tasks(part, 60).sums) do
        local a, b = item.prompt:match "(%d+)%+(%d+)"
        assert.are.equal(part, draw.part(a .. "+" .. b))
        assert.are.equal(tostring(a + b), item.answer)
      end
      for _, item in ipairs(w:tasks(part, 60).calculator) do
        assert.are.equal(part, draw.part(item.call))
        assert.are.equal(item.result, ml.data.tools.calculator { expression = item.call })
        assert.matches(item.result, item.answer, 1, true)
      end
      for c in w:chats(part, 60, "translate") do
        local english = c.messages[1].content:match ": (.*)$"
        local first = english:sub(1, 1):lower() .. english:sub(2)
        local word = english:match "^%u%l+"
        assert.are.equal(part, draw.part(word == "The" and first or english))
      end
    end)
  end)

  it("works sums out digit by digit", function()
    for doc in w:traces("train", 200) do
      local a, b, working, sum = doc.text:match "^Sum: (%d+)%+(%d+)\n(.*)%. So (%d+)%.$"
      if a then
        assert.are.equal(a + b, math.tointeger(sum))
        for step, value in working:gmatch "([%d+]+)=(%d+)" do
          assert.are.equal(value, ml.data.tools.calculator { expression = step })
        end
      end
    end
  end)

  it("asks only what was said", function()
    for _, name in ipairs { "questions", "questions_back" } do
      for _, item in ipairs(w:tasks("test", 60)[name]) do
        local said = {}
        for _, m in ipairs(item.messages) do said[#said + 1] = m.content end
        local value = item.answer:match "^That is (.*)%.$"
        assert.matches(value, table.concat(said, "\n"), 1, true)
        assert.are.equal("user", item.messages[#item.messages].role)
      end
    end
  end)

  it("sums stories up", function()
    for c in w:chats("test", 60, "summary") do
      local who, did, thing, place =
        c.messages[2].content:match "^In short, (%u%l+) (%l+) (.*) at the (%l+)%.$"
      local text = c.messages[1].content
      assert.matches(("%s %s %s."):format(who, did, thing), text, 1, true)
      assert.matches("the " .. place, text, 1, true)
    end
  end)

  it("has a second language of its own", function()
    local seen, count = {}, 0
    for _, word in pairs(velu.words) do
      assert.is_nil(seen[word])
      seen[word], count = true, count + 1
    end
    assert.is_true(count >= 100)
    for c in w:chats("train", 100, "translate") do -- the verb is last and agrees
      assert.matches("%l+ra%.$", (c.messages[2].content:gsub("mo%.$", "ra."):gsub("shi%.$", "ra.")))
    end
  end)

  it("has conversations that can be learned from", function()
    local seen = {}
    for c in w:chats("train", 300) do
      assert.is_true(ml.data.chat.check(c.messages))
      seen[c.task] = true
    end
    for _, task in ipairs { "summary", "translate", "questions", "calculator", "sums", "style" } do
      assert.is_true(seen[task])
    end
  end)

  it("knows which reply is better", function()
    for pair in w:pairs("train", 200) do
      local better, worse = pair.chosen[1].content, pair.rejected[1].content
      assert.is_true(w.gold(better, pair.full) > w.gold(worse, pair.full))
      assert.is_true(w.preferred(better, pair.full))
      assert.is_false(w.preferred(worse, pair.full))
    end
  end)
end)

describe("the crawl", function()
  it("says what was done to it", function()
    local by_id, kinds = {}, {}
    for doc in w:crawl(800) do
      local truth = doc.truth
      by_id[doc.id] = doc
      kinds[truth.kind] = (kinds[truth.kind] or 0) + 1
      assert.are.equal(truth.kind == "junk", truth.junk)
      for _, text in ipairs(truth.personal) do assert.matches(text, doc.text, 1, true) end
      if truth.kind == "copy" then
        assert.are.equal(by_id[truth.duplicate_of].text, doc.text)
      elseif truth.kind == "near" then
        assert.is_not_nil(by_id[truth.duplicate_of])
      end
      if truth.boilerplate then
        assert.is_true(select(2, doc.text:gsub("\n", "")) >= 3)
      end
    end
    for _, kind in ipairs { "page", "copy", "near", "junk" } do
      assert.is_true(kinds[kind] > 40, kind)
    end
  end)

  it("has card numbers that pass", function()
    local count = 0
    for doc in w:crawl(800) do
      for _, text in ipairs(doc.truth.personal) do
        local digits = text:find "^%d%d%d%d %d" and text:gsub(" ", "")
        if digits then
          local sum = 0
          for i = 1, 16 do
            local v = tonumber(digits:sub(i, i)) * (i % 2 == 1 and 2 or 1)
            sum = sum + (v > 9 and v - 9 or v)
          end
          assert.are.equal(0, sum % 10)
          count = count + 1
        end
      end
    end
    assert.is_true(count > 5)
  end)
end)

describe("world", function()
  it("names what it cannot use", function()
    assert.has_error(function() w:documents("trian", 3) end,
      'world:documents: part must be "train", "valid" or "test", got trian')
    assert.has_error(function() w:chats("train", 3, "sumary") end)
    assert.has_error(function() ml.data.world { seeed = 1 } end)
  end)
end)
