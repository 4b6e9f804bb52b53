--- The regular expressions that cut a text into pieces before BPE, as the models' own files have
--- them. A piece never joins another, so a pattern decides what can become a token.
local CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
local UPPER, LOWER = [=[[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]]=], [=[[\p{Ll}\p{Lm}\p{Lo}\p{M}]]=]
local BEFORE = [=[[^\r\n\p{L}\p{N}]?]=]

return {
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
