--- The regular expressions that cut a text into pieces before BPE, as the models' own files have
--- them. A piece never joins another, so a pattern decides what can become a token.
local CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
local UPPER, LOWER = [=[[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]]=], [=[[\p{Ll}\p{Lm}\p{Lo}\p{M}]]=]
local BEFORE = [=[[^\r\n\p{L}\p{N}]?]=]

local named = {
  qwen2 = CONTRACTIONS .. [=[|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|]=]
    .. [=[ ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+]=],
  ["llama-bpe"] = CONTRACTIONS .. [=[|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|]=]
    .. [=[ ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+]=],
  ["gpt-2"] = [=['s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+]=],
  ["gpt-4"] = [=['(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+|]=]
    .. [=[ ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++\z|\s*[\r\n]|\s+(?!\S)|\s]=],
  ["gpt-4o"] = BEFORE .. UPPER .. "*" .. LOWER .. "+" .. CONTRACTIONS .. "?|"
    .. BEFORE .. UPPER .. "+" .. LOWER .. "*" .. CONTRACTIONS .. "?|"
    .. [=[\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+]=],
}

-- DeepSeek's three: numbers, Chinese and Japanese, the rest
local PUNCTUATION = [=[[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]]=]
local deepseek = {
  [=[\p{N}{1,3}]=], "[\u{4e00}-\u{9fa5}\u{3040}-\u{309f}\u{30a0}-\u{30ff}]+",
  PUNCTUATION .. "[A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|"
    .. [=[\s*[\r\n]+|\s+(?!\S)|\s+]=],
}

-- Known to take time as the text is long: these are compiled to machine code, which does not count
-- how often it turns back; any other expression is run with a limit, three times as slow.
local linear = {}
for _, pattern in pairs(named) do linear[pattern] = true end
for _, pattern in ipairs(deepseek) do linear[pattern] = true end

return { named = named, linear = linear }
