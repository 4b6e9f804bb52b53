--- Documents by the address they come from, as RefinedWeb and FineWeb sort them: lists of domains,
--- addresses and words that are not wanted.
---
---   local keep = ml.data.filter.url { domains = { "spam.example" }, words = { "casino" },
---     soft_words = { "free", "win" }, parts = { "xxx" } }
---   keep { text = "...", url = "https://a.spam.example/x" }        -- false, "domain"
---
--- A domain stands for all below it. words are whole ones of the address, of soft_words two
--- different ones must occur, parts may stand inside of words, over marks: "x-x-x" holds "xxx".
--- Capitals do not count anywhere; in datatrove they hide a word.
local options = require "moonlit.options"

--- field: of the document; missing: whether one without an address stays
local defaults = { domains = {}, urls = {}, words = {}, soft_words = {}, parts = {},
                   min_soft_words = 2, field = "url", missing = true }

local function set_of(list, name, shape)
  if type(list) ~= "table" then
    error(("filter.url: %s must be a list, got %s"):format(name, type(list)), 3)
  end
  local set = {}
  for i, item in ipairs(list) do
    if type(item) ~= "string" or item == "" then
      error(("filter.url: %s[%d] must be a string, got %s"):format(name, i,
        item == "" and "an empty one" or type(item)), 3)
    end
    set[shape(item)] = true
  end
  return set
end

-- without scheme and last slash, small
local function address(url)
  return (url:lower():gsub("^%a[%w+.-]*://", ""):gsub("/+$", ""))
end

local function squeezed(text) return (text:lower():gsub("[^%w]", "")) end

local function host_of(url)
  return address(url):match("^[^/?#]*"):gsub("^.*@", ""):gsub(":%d*$", ""):gsub("%.$", "")
end

-- a.b.example, b.example, example
local function is_below(host, domains)
  local at = 1
  while at do
    if domains[host:sub(at)] then return true end
    at = host:find(".", at, true)
    at = at and at + 1
  end
  return false
end

local function count_words(url, set)
  local n, seen = 0, {}
  for word in url:lower():gmatch "%w+" do
    if set[word] and not seen[word] then n, seen[word] = n + 1, true end
  end
  return n
end

local function has_part(url, parts)
  local text = squeezed(url)
  for part in pairs(parts) do
    if text:find(part, 1, true) then return true end
  end
  return false
end

--- @param opt table  see defaults above
--- @return fun(doc: table): boolean, string?  the reason: missing, domain, url, word, soft_words,
---   part
return function(opt)
  local o = options(opt, defaults, "filter.url")
  local domains = set_of(o.domains, "domains", host_of)
  local urls = set_of(o.urls, "urls", address)
  local words = set_of(o.words, "words", squeezed)
  local soft = set_of(o.soft_words, "soft_words", squeezed)
  local parts = set_of(o.parts, "parts", squeezed)
  return function(doc)
    local url = type(doc) == "table" and doc[o.field]
    if type(url) ~= "string" or url == "" then
      if o.missing then return true end
      return false, "missing"
    elseif is_below(host_of(url), domains) then return false, "domain"
    elseif urls[address(url)] then return false, "url"
    elseif count_words(url, words) > 0 then return false, "word"
    elseif count_words(url, soft) >= o.min_soft_words then return false, "soft_words"
    elseif has_part(url, parts) then return false, "part" end
    return true
  end
end
