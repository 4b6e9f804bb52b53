-- filter.url: an address, whether its document stays, and why not.
local kit = require "kit"
local ml = require "moonlit"

describe("filter.url", function()
  local keep = ml.data.filter.url { domains = { "spam.example", "www.bad.org" },
    urls = { "https://ok.org/one/page" }, words = { "casino" }, soft_words = { "free", "win" },
    parts = { "xxx" } }

  for _, case in ipairs {
    { "https://ok.org/two" },
    { "https://spam.example/", "domain" },
    { "http://a.b.spam.example:8080/x", "domain" },
    { "http://me:pw@SPAM.Example./x", "domain" },
    { "https://nospam.example/" },
    { "https://spam.example.org/" },
    { "https://ok.org/spam.example" },
    { "https://bad.org/" },
    { "https://www.bad.org", "domain" },
    { "HTTPS://OK.org/one/page/", "url" },
    { "ok.org/one/page", "url" },
    { "https://ok.org/one/page2" },
    { "https://ok.org/CASINO-night", "word" },
    { "https://ok.org/casinos" },
    { "https://ok.org/free" },
    { "https://ok.org/free/free" },
    { "https://ok.org/Win-it/free", "soft_words" },
    { "https://ok.org/x-X.x", "part" },
    { "https://ok.org/\xff\0[%a" },
  } do
    it(case[1]:gsub("%c", "?"), function()
      local fine, reason = keep { text = "", url = case[1] }
      assert.are.equal(case[2], reason)
      assert.are.equal(case[2] == nil, fine)
    end)
  end

  it("has a say over documents without an address", function()
    assert.is_true(keep { text = "" })
    assert.is_true(keep { text = "", url = "" })
    local strict = ml.data.filter.url { missing = false, field = "from", domains = { "a.b" } }
    assert.are.same({ false, "missing" }, { strict { text = "", url = "http://c.d" } })
    assert.are.same({ false, "domain" }, { strict { text = "", from = "http://x.a.b" } })
  end)

  it("refuses lists that are none", function()
    kit.raises(function() ml.data.filter.url { words = "casino" } end, "words must be a list")
    kit.raises(function() ml.data.filter.url { parts = { "a", "" } } end,
               "parts[2] must be a string")
    kit.raises(function() ml.data.filter.url { domain = {} } end, 'did you mean "domains"')
  end)
end)
