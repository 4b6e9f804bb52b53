--- C4's rules (Raffel et al. 2020), line by line: a line goes or stays, three things condemn the
--- whole document. What stays becomes a new document, its lines joined by \n.
---
---   local keep = ml.data.filter.c4 { terminal_punctuation = false }      -- as FineWeb runs it
---   local fine, doc = keep { text = "..." }        -- doc only where the text has changed
---
--- The order of the rules is the published one, and shows: words are counted before citations are
--- cut out, and a line that is dropped early hides its "lorem ipsum" and its bracket.
local core = require "moonlit.core"
local document = require "moonlit.data.document"
local options = require "moonlit.options"

local defaults = {
  max_word_length = 1000,      -- characters; a longer word takes its line with it
  citations = true,            -- cut out [1], [edit], [citation needed]
  terminal_punctuation = true, -- lines end in . ? ! " or ' and not in ...
  min_words = 3,               -- of a line, parted by white space
  lorem_ipsum = true, curly_bracket = true,   -- condemn the document
  javascript = true, policy = true,           -- condemn the line
  min_sentences = 5,           -- of what is left
}

local policies = { "terms of use", "privacy policy", "cookie policy", "uses cookies",
                   "use of cookies", "use cookies" }

local function without_citations(line)
  if not line:find("[", 1, true) then return line end
  line = line:gsub("%[%d*%]", "")
  line = line:gsub("%[edit%]", "")
  return (line:gsub("%[citation needed%]", ""))
end

local function ends_well(line)
  return line:sub(-1):find("[.?!\"']") ~= nil and line:sub(-3) ~= "..."
end

local function has_policy(lower)
  for _, phrase in ipairs(policies) do
    if lower:find(phrase, 1, true) then return true end
  end
  return false
end

-- the line as it stays; nil where it goes; nil and a reason where the document does
local function judge(o, line, words, longest)
  if o.max_word_length and longest > o.max_word_length then return nil end
  if o.citations then line = without_citations(line) end
  if o.terminal_punctuation and not ends_well(line) then return nil end
  if o.min_words and words < o.min_words then return nil end
  local lower = line:lower()
  if o.lorem_ipsum and lower:find("lorem ipsum", 1, true) then return nil, "lorem_ipsum" end
  if o.javascript and lower:find("javascript", 1, true) then return nil end
  if o.curly_bracket and line:find("{", 1, true) then return nil, "curly_bracket" end
  if o.policy and has_policy(lower) then return nil end
  return line
end

--- @param opt? table  rules, as above; false turns one off
--- @return fun(doc: table): boolean, string|table|nil
return function(opt)
  local o = options(opt, defaults, "filter.c4")
  return function(doc)
    local before = document.text(doc, "filter.c4")
    local lines, words, longest = core.stats.lines(before)
    local kept, sentences = {}, 0
    for i, line in ipairs(lines) do
      local stays, reason = judge(o, line, words[i], longest[i])
      if reason then return false, reason end
      if stays then
        kept[#kept + 1] = stays
        if o.min_sentences then sentences = sentences + core.stats.sentences(stays) end
      end
    end
    if o.min_sentences and sentences < o.min_sentences then return false, "too_few_sentences" end
    local after = table.concat(kept, "\n"):match("^%s*(.*%S)") or ""
    if after == before then return true end
    return true, document.with_text(doc, after)
  end
end
