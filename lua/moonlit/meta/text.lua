---@meta
--- core.text: byte-level BPE. Tokens are byte strings; what tokenizer.json holds is moonlit.text's
--- business. What is wrong with a vocabulary or a pattern is an answer: nil, message, "format".
-- luacheck: ignore 212 241

---@class moonlit.core
local core = {}
---@class moonlit.core.text
core.text = {}

--- An encoder. Every byte needs a token of its own, every merge two tokens and the one it makes.
--- > (select(2, core.text.bpe({ "a" }, {}, {}, "a", false)))  --> no token for the byte 0x00
---@param tokens string[]           in the order of their ids
---@param special table<integer, boolean>  [position] = true for special tokens
---@param merges integer[]          ids a, b, a, b, ... the best merge first
---@param pattern string            PCRE2: what it matches, and what lies between, are pieces
---@param ignore_merges boolean     a piece that is a token is that token
---@return moonlit.CoreBpe|nil
---@return string? message
---@return string? code
function core.text.bpe(tokens, special, merges, pattern, ignore_merges) end

--- What learns merges from texts.
--- > (select(3, core.text.trainer "("))  --> format
---@param pattern string
---@return moonlit.CoreTrainer|nil
---@return string? message
---@return string? code
function core.text.trainer(pattern) end

-- ---- handles: all have :free(), safe to call twice; the collector and <close> call it too ----

---@class moonlit.CoreBpe
local CoreBpe = {}

--- The ids of a text.
---@param text string
---@param special boolean  true: the text of a special token is that token
---@return integer[]
function CoreBpe:encode(text, special) end

--- The same of many texts, on all threads.
---@param texts string[]
---@param special boolean
---@return integer[][]
function CoreBpe:encode_all(texts, special) end

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

--- A token's bytes (a special one's text), and whether it is special; nothing where there is none.
---@param id integer
---@return string|nil
---@return boolean?
function CoreBpe:token(id) end

--- The id of a token, nothing where there is none.
---@param bytes string
---@param special boolean  among the special ones, or among the others
---@return integer|nil
function CoreBpe:find(bytes, special) end

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
