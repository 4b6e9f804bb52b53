---@meta
--- core.text: byte-level BPE. Tokens are byte strings; what tokenizer.json holds is moonlit.text's
--- business. What is wrong with a vocabulary or a pattern is an answer: nil, message, "format".
-- luacheck: ignore 212 241

---@class moonlit.core
local core = {}
---@class moonlit.core.text
core.text = {}

--- An encoder. Bytes that have no token are left out; a merge needs two tokens and what it makes.
--- > (select(3, core.text.bpe { tokens = { "a", "a" }, merges = {} }))  --> format
---@param spec moonlit.core.TokenizerSpec
---@return moonlit.CoreBpe|nil
---@return string? message
---@return string? code
function core.text.bpe(spec) end

---@class moonlit.core.TokenizerSpec
---@field tokens string[]           in the order of their ids
---@field shown? table<integer, string>  [position] = what decode writes, where that is another text
---@field kinds? table<integer, integer>  [position] = 1 special, 2 not made by merges
---@field flags? table<integer, integer>  [position] = 16 found as it is written, plus 1 only with
---  special, 2 as a word of its own, 4 and 8 with the white space before and behind it
---@field normal? table<integer, integer>  [position] = 1: found in the text as it is rewritten
---@field merges? integer[]         ids a, b, a, b, ... the best first; nil: two tokens that make a
---  third merge, the best is that of the least id
---@field ignore_merges? boolean    a piece that is a token is that token
---@field chars? boolean            pieces begin as characters, not as bytes
---@field fallback? integer[]       256 ids for the bytes of unknown characters, -1: none
---@field unknown? integer          the id of what is unknown still
---@field fuse? boolean             unknown characters side by side are one token
---@field rewrite? moonlit.core.TokenizerStep[]
---@field cut? moonlit.core.TokenizerStep[]

---@class moonlit.core.TokenizerStep
---@field kind string     "form", "prepend", "replace" or "cut"
---@field how string      a form's name; "always", "unless" (it is there), "first" (of the text,
---  unless it is there); "all"; "isolated", "removed", "previous", "next", "contiguous"
---@field pattern? string  PCRE2, of replace and cut
---@field linear? boolean  the pattern is known to take time as its text is long: no limit is needed
---@field invert? boolean  of cut: what lies between the matches are the matches
---@field with? string     what replace and prepend put

--- What learns merges from texts.
--- > (select(3, core.text.trainer "("))  --> format
---@param pattern string   PCRE2: what it matches, and what lies between, are pieces
---@param linear? boolean  as a step has it
---@param cut? boolean     a long text may be cut for the threads, which named patterns allow
---@return moonlit.CoreTrainer|nil
---@return string? message
---@return string? code
function core.text.trainer(pattern, linear, cut) end

-- ---- handles: all have :free(), safe to call twice; the collector and <close> call it too ----

---@class moonlit.CoreBpe
local CoreBpe = {}

--- The ids of a text.
---@param text string
---@param special boolean  true: the text of a special token is that token
---@param spans boolean    true: where they stand, too
---@return integer[]
---@return integer[]? spans  first and last byte of each
function CoreBpe:encode(text, special, spans) end

--- The same of many texts, on all threads.
---@param texts string[]
---@param special boolean
---@param spans boolean
---@return integer[][]
---@return integer[][]? spans
function CoreBpe:encode_all(texts, special, spans) end

--- The ids of a file. With cut, which the patterns that have names allow, all threads share it.
---@param path string
---@param cut boolean
---@return Tensor|nil  i64
---@return string? message
---@return string? code
function CoreBpe:encode_file(path, cut) end

--- The bytes of ids, one after the other.
---@param ids integer[]
---@param show boolean  false leaves special tokens out
---@return string
function CoreBpe:decode(ids, show) end

--- A token's bytes, its kind (0, 1 special, 2 not made by merges), and what decode writes; nothing
--- where there is none.
---@param id integer
---@return string|nil
---@return integer? kind
---@return string? shown
function CoreBpe:token(id) end

--- The id of a token, nothing where there is none.
---@param bytes string
---@param added boolean  among those that merges do not make, or among the others
---@return integer|nil
function CoreBpe:find(bytes, added) end

--- The merges, the best first.
---@return integer[]  ids a, b, a, b, ...
function CoreBpe:merges() end

--- How many tokens there are.
---@return integer
function CoreBpe:count() end

--- Give its memory back.
function CoreBpe:free() end

---@class moonlit.CoreTrainer
local CoreTrainer = {}

--- Count the pieces of texts, on all threads.
---@param texts string[]
function CoreTrainer:add(texts) end

--- Merge the most frequent pair, of equals the one of smaller ids, until there are `vocab` tokens.
---@param alphabet string       256 bytes: those with the ids first, first + 1, ...
---@param first integer         ids below it are left alone
---@param vocab integer
---@param min_frequency integer a pair that comes less often is not merged
---@return integer[]            a, b and the id of what they make, for each merge
function CoreTrainer:run(alphabet, first, vocab, min_frequency) end

--- Give its memory back.
function CoreTrainer:free() end
