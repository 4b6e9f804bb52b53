--- Personal data masked: e-mail addresses, IPv4 addresses, telephone and card numbers, keys.
---
---   local mask = ml.data.pii { phone = "<tel>", ip = false }
---   local doc, counts = mask { id = "1", text = "Write to anna@example.com." }
---   doc.text == "Write to <email>."      counts.email == 1
---
--- Every kind becomes one fixed word, so the output depends on nothing but the text. What is
--- masked stands between boundaries: neither "4.19.72.1055" nor "1.2.3.4.5" is an address. No
--- pattern backtracks; the time is proportional to the text.
local document = require "moonlit.data.document"
local options = require "moonlit.options"

-- ---- boundaries: white space, punctuation, the ends of the text ----

-- the first bytes of punctuation beyond ASCII: U+0080 to U+00BF, U+2000 to U+207F, U+3000 to
-- U+303F, U+FF00 to U+FF3F; all else from byte 128 on is taken for a letter
local punctuation = { "\xC2", "\xE2\x80", "\xE2\x81", "\xE3\x80", "\xEF\xBC" }

local function is_punctuation(char)
  for _, lead in ipairs(punctuation) do
    if char:sub(1, #lead) == lead then return true end
  end
  return false
end

local function is_letter(char)
  return char:find("^[%w_]") ~= nil or char:find("^[\128-\255]") ~= nil and not is_punctuation(char)
end

local CHAR_END = "[^\x80-\xBF][\x80-\xBF]*$" -- the last character

local function bounded(text, first, last)
  local before = text:sub(math.max(1, first - 4), first - 1):match(CHAR_END) or ""
  return not is_letter(before) and not is_letter(text:sub(last + 1, last + 3))
end

-- ---- e-mail: from every @ to both sides ----

local NAME_MAX, DOMAIN_MAX = 64, 255 -- bytes (RFC 5321)

-- what stands before the @, without punctuation in front
local function name_before(text, at)
  local name = text:sub(math.max(1, at - NAME_MAX), at - 1)
  name = name:match("[%w!#$%%&'*+/=?^_`{|}~.\128-\255-]+$") or ""
  for _, lead in ipairs(punctuation) do
    name = name:match(".*" .. lead .. "[\x80-\xBF]+(.*)$") or name
  end
  return (name:gsub("^[^%w_\128-\255]+", ""))
end

-- what follows it, if it ends in a top-level domain
local function domain_after(text, at)
  local domain = text:sub(at + 1, at + DOMAIN_MAX):match("^[%w.\128-\255-]+") or ""
  for _, lead in ipairs(punctuation) do
    domain = domain:sub(1, (domain:find(lead, 1, true) or #domain + 1) - 1)
  end
  domain = domain:gsub("[.-]+$", "")
  local fine = domain:find("^[%w\128-\255]") and not domain:find("..", 1, true)
  return fine and domain:find("%.[%a\128-\255][%w\128-\255-]+$") and domain or ""
end

local function find_emails(text, add)
  local at = text:find("@", 1, true)
  while at do
    local name, domain = name_before(text, at), domain_after(text, at)
    if name ~= "" and domain ~= "" and bounded(text, at - #name, at + #domain) then
      add(at - #name, at + #domain)
    end
    at = text:find("@", at + 1, true)
  end
end

-- ---- IPv4 ----

local function is_octets(a, b, c, d)
  for _, part in ipairs { a, b, c, d } do
    if #part > 3 or tonumber(part) > 255 then return false end
  end
  return true
end

-- this machine, nobody, everybody: they lead to no person
local function is_nobody(a, b, c, d)
  return a == "127" or (a .. b .. c .. d) == "0000" or (a .. b .. c .. d) == "255255255255"
end

-- four octets, with no further part on either side
local function find_addresses(text, add)
  for first in text:gmatch("()%d[%d.]*") do
    local a, b, c, d, after = text:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)()", first)
    if a and is_octets(a, b, c, d) and not is_nobody(a, b, c, d)
       and text:sub(first - 1, first - 1) ~= "." and not text:find("^%.%d", after)
       and bounded(text, first, after - 1) then
      add(first, after - 1)
    end
  end
end

-- ---- numbers in groups: telephones and cards ----

-- the groups of digits from `at` on, with what stands before each: one space, dot, dash or slash,
-- and brackets
local function groups_at(text, at)
  local groups = {}
  while #groups < 20 do
    local lead = text:match(#groups == 0 and "^%+?%(?" or "^%)?[ ./-]?%(?", at)
    local digits = text:match("^%d+", at + #lead)
    if not digits then break end
    at = at + #lead + #digits
    groups[#groups + 1] = { lead = lead, digits = digits, last = at - 1 }
  end
  return groups
end

local function luhn(digits)
  local sum = 0
  for i = 1, #digits do
    local d = digits:byte(-i) - 48
    if i % 2 == 0 then d = d > 4 and 2 * d - 9 or 2 * d end
    sum = sum + d
  end
  return sum % 10 == 0
end

-- 13 to 19 digits, in one piece or parted alike by spaces or dashes; the number of groups
local function card_groups(groups, i)
  local digits, best = "", nil
  for j = i, #groups do
    local lead = j > i and groups[j].lead or ""
    if j > i and (lead ~= " " and lead ~= "-" or lead ~= groups[i + 1].lead) then break end
    digits = digits .. groups[j].digits
    if #digits > 19 then break end
    if #digits >= 13 and digits:find("^[2-6]") and luhn(digits) then best = j - i + 1 end
  end
  return best
end

-- how many digits the groups have, "3-3-4"
local function shape(groups, i, count)
  local sizes = {}
  for j = i, math.min(i + count - 1, #groups) do sizes[#sizes + 1] = #groups[j].digits end
  return table.concat(sizes, "-")
end

-- areas of North America begin with 2 to 9
local function is_american(groups, i)
  return shape(groups, i, 3) == "3-3-4" and groups[i].digits:find("^[2-9]") ~= nil
end

-- the most groups from i on that have `least` to `most` digits together
local function groups_within(groups, i, least, most)
  local digits, count = 0, nil
  for j = i, #groups do
    digits = digits + #groups[j].digits
    if digits > most then break end
    if digits >= least then count = j - i + 1 end
  end
  return count
end

-- with the country's code, or with the zero of long distance, which a date has too
local function long_groups(groups, i)
  if groups[i].lead:find("+", 1, true) then return groups_within(groups, i, 8, 15) end
  if not groups[i].digits:find("^0%d") or shape(groups, i, 3) == "2-2-4" then return nil end
  local count = groups_within(groups, i, 9, 11)
  return count and count > 1 and count or nil
end

-- the number of groups that are a telephone number
local function phone_groups(groups, i)
  local count = long_groups(groups, i)
  if count then return count end
  if is_american(groups, i) then return 3 end
  if groups[i].digits == "1" and groups[i + 1] and is_american(groups, i + 1) then return 4 end
  if shape(groups, i, 2) == "3-4" and groups[i + 1].lead == "-"
     and groups[i].digits:find("^[2-9]") then
    return 2
  end
end

-- a "+" or "(" in front belongs to a telephone number, not to a card
local function add_card(text, groups, i, count, add)
  local first = groups[i].last - #groups[i].digits + 1
  local last = groups[i + count - 1].last
  return bounded(text, first, last) and (add(first, last) or true)
end

local function add_phone(text, groups, i, count, add)
  local g = groups[i]
  local lead = i == 1 and g.lead or g.lead:match("%(?$")
  local first, last = g.last - #g.digits - #lead + 1, groups[i + count - 1].last
  return bounded(text, first, last) and (add(first, last) or true)
end

local STRETCH = 200 -- bytes that are looked ahead

-- the digits of what may be groups from `at` on, STRETCH if it is too long to tell; where it ends
local function stretch_at(text, at)
  local stretch = text:sub(at, at + STRETCH - 1):match("^.[%d ()./-]*")
  if #stretch == STRETCH then return STRETCH, at + #stretch - 1 end
  return #stretch >= 7 and select(2, stretch:gsub("%d", "")) or 0, at + #stretch - 1
end

-- every run of groups of so many digits at least, from its first group that matches
local function find_in_groups(text, add, runs, least, count_of, add_found)
  for _, run in ipairs(runs) do
    local groups, i = run.groups, 1
    while run.digits >= least and groups[i] do
      local count = count_of(groups, i)
      local found = count and add_found(text, groups, i, count, add)
      i = i + (found and count or 1)
    end
  end
end

-- runs of groups that could be a telephone number
local function runs_of(text)
  local runs, at = {}, text:find("[+(%d]")
  while at do
    local digits, stop = stretch_at(text, at)
    if digits >= 7 then
      local groups = groups_at(text, at)
      runs[#runs + 1] = { groups = groups, digits = digits }
      stop = groups[1] and groups[#groups].last or at
    end
    at = text:find("[+(%d]", stop + 1)
  end
  return runs
end

local function find_cards(text, add, runs)
  find_in_groups(text, add, runs, 13, card_groups, add_card)
end

local function find_phones(text, add, runs)
  find_in_groups(text, add, runs, 7, phone_groups, add_phone)
end

-- ---- keys: what it begins with, what it goes on with, how long that is at least, its form ----

local prefixes = {
  { "AKIA", "^[%u%d]+", 16 }, { "ASIA", "^[%u%d]+", 16 }, { "AIza", "^[%w_-]+", 30 },
  { "ghp_", "^%w+", 30 }, { "gho_", "^%w+", 30 }, { "ghs_", "^%w+", 30 },
  { "github_pat_", "^[%w_]+", 30 }, { "glpat-", "^[%w_-]+", 16 }, { "hf_", "^%w+", 20 },
  { "sk-", "^[%w_-]+", 16 }, { "sk_live_", "^%w+", 16 }, { "sk_test_", "^%w+", 16 },
  { "xoxb-", "^[%w-]+", 16 }, { "xoxp-", "^[%w-]+", 16 },
  { "eyJ", "^[%w_.-]*[%w_-]", 30, "^[^.]+%.[^.]+%.[^.]+$" },
}

local function find_prefixed(text, add, prefix, pattern, least, form)
  local first = text:find(prefix, 1, true)
  while first do
    local rest = text:match(pattern, first + #prefix) or ""
    local last = first + #prefix + #rest - 1
    local fine = #rest >= least and (not form or rest:find(form))
    if fine and bounded(text, first, last) then add(first, last) end
    first = text:find(prefix, last + 1, true)
  end
end

local BEGIN = "%-%-%-%-%-BEGIN [%u ]*PRIVATE KEY%-%-%-%-%-"
local END = "%-%-%-%-%-END [%u ]*PRIVATE KEY%-%-%-%-%-"

-- a private key's lines, to its end or that of the text
local function find_private_keys(text, add)
  local first, from = text:find("PRIVATE KEY-----", 1, true) -- much faster than the pattern
  if first then first, from = text:find(BEGIN) end
  while first do
    local last = select(2, text:find(END, from + 1)) or #text
    add(first, last)
    first, from = text:find(BEGIN, last + 1)
  end
end

local function find_keys(text, add)
  find_private_keys(text, add)
  for _, p in ipairs(prefixes) do find_prefixed(text, add, table.unpack(p)) end
end

-- ---- all of them ----

-- of two that begin at the same place the earlier kind wins
local kinds = { { "key", find_keys }, { "email", find_emails }, { "card", find_cards },
                { "phone", find_phones }, { "ip", find_addresses } }

-- spans in the order of the text; of two that overlap, the one that begins first
local function find_all(text, words)
  local spans, kept = {}, {}
  local runs = (words.card or words.phone) and runs_of(text)
  for rank, kind in ipairs(kinds) do
    if words[kind[1]] then
      kind[2](text, function(first, last)
        spans[#spans + 1] = { first = first, last = last, rank = rank, kind = kind[1] }
      end, runs)
    end
  end
  table.sort(spans, function(a, b)
    if a.first ~= b.first then return a.first < b.first end
    return a.rank < b.rank
  end)
  for _, s in ipairs(spans) do
    if #kept == 0 or s.first > kept[#kept].last then kept[#kept + 1] = s end
  end
  return kept
end

local function mask(text, words)
  local out, at, counts = {}, 1, {}
  for _, s in ipairs(find_all(text, words)) do
    out[#out + 1] = text:sub(at, s.first - 1)
    out[#out + 1] = words[s.kind]
    at = s.last + 1
    counts[s.kind] = (counts[s.kind] or 0) + 1
  end
  if at == 1 then return text, counts end
  out[#out + 1] = text:sub(at)
  return table.concat(out), counts
end

--- @param opt? {email: string|false?, ip: string|false?, phone: string|false?,
---        card: string|false?, key: string|false?}  the word in its place, "<email>" and so on;
---        false leaves the kind alone
--- @return fun(doc: table): table, table<string, integer>  the document, a new one if its text has
---         changed, and how many of each kind were masked
return function(opt)
  local defaults = {}
  for _, kind in ipairs(kinds) do defaults[kind[1]] = ("<%s>"):format(kind[1]) end
  local words = options(opt, defaults, "data.pii")
  return function(doc)
    local before = document.text(doc, "data.pii")
    local after, counts = mask(before, words)
    if next(counts) == nil then return doc, counts end
    return document.with_text(doc, after), counts
  end
end
