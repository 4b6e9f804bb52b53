--- What a text is made of: NeMo Curator's heuristics of characters, lines and paragraphs (Jennings
--- et al. 2024), with its thresholds. Made for English: letters that are not ASCII count as
--- symbols.
---
---   local keep = ml.data.filter.symbols { max_urls = 0.1, max_digits = false }
---
--- Its rules on words are gopher_quality's and c4's; those on repetition are gopher_repetition's.
--- Where NeMo divides by nothing, a text without a line, the reason is "empty".
local core = require "moonlit.core"
local document = require "moonlit.data.document"
local options = require "moonlit.options"

local defaults = { -- shares of the characters, of lines that are not blank, of paragraphs
  max_symbols = 0.25,      -- no ASCII letter or digit, nor \n ? ! , . : spaces are symbols too
  max_digits = 0.15,
  max_urls = 0.2,          -- of addresses that begin with http
  max_blanks = 0.25,       -- spaces, tabs, line ends
  max_brackets = 0.1,
  max_open_lines = 0.85,   -- lines that do not end in . ? ! " or '
  max_boilerplate = 0.4,   -- paragraphs that name a policy or cookies; "lorem ipsum" is all of them
  max_word_length = 1000,  -- characters between white space
}

local policies = { "terms of use", "privacy policy", "cookie policy", "uses cookies",
                   "privacy overview", "use of cookies", "use cookies", "privacy & cookies policy",
                   "privacy and cookies policy" }

local function has_policy(paragraph)
  for _, phrase in ipairs(policies) do
    if paragraph:find(phrase, 1, true) then return true end
  end
  return false
end

-- the share of paragraphs, parted by \n\n, that are boilerplate
local function boilerplate(text)
  local lower, n, found = text:lower(), 0, 0
  if lower:find("lorem ipsum", 1, true) then return 1 end
  local from = 1
  repeat
    local stop, next_from = lower:find("\n\n", from, true)
    n = n + 1
    if has_policy(lower:sub(from, (stop or #lower + 1) - 1)) then found = found + 1 end
    from = next_from and next_from + 1
  until not from
  return found / n
end

-- lines that are not blank, the share that ends without a mark, the longest word
local function lines_of(text)
  local lines, open, longest = 0, 0, 0
  for line in text:gmatch "[^\n]+" do
    if line:find "%S" then
      lines = lines + 1
      local _, _, words = core.stats.lines(line)
      for _, length in ipairs(words) do longest = math.max(longest, length) end
      if not line:find "[.?!\"']%s*$" then open = open + 1 end
    end
  end
  return lines, document.ratio(open, lines), longest
end

--- @param opt? table  thresholds, as above; false turns one off
--- @return fun(doc: table): boolean, string?
return function(opt)
  local o = options(opt, defaults, "filter.symbols")
  local rules = { -- in the order they are tried
    { "non_alpha_numeric", o.max_symbols, function(s)
      return (s.chars - s.plain) / s.chars
    end },
    { "numbers", o.max_digits, function(s) return s.digits / s.chars end },
    { "urls", o.max_urls, function(s) return s.url / s.chars end },
    { "white_space", o.max_blanks, function(s) return s.blank / s.chars end },
    { "parentheses", o.max_brackets, function(s) return s.brackets / s.chars end },
    { "punctuation", o.max_open_lines, function(s) return s.open end },
    { "boilerplate", o.max_boilerplate, function(s) return boilerplate(s.text) end },
    { "long_word", o.max_word_length, function(s) return s.longest end },
  }
  return function(doc)
    local text = document.text(doc, "filter.symbols")
    local lines, open, longest = lines_of(text)
    if lines == 0 then return false, "empty" end
    local s = core.stats.symbols(text)
    s.open, s.longest, s.text = open, longest, text
    for _, rule in ipairs(rules) do
      local name, most, measure = table.unpack(rule)
      if most and measure(s) > most then return false, name end
    end
    return true
  end
end
