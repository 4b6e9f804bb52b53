---@meta
--- core.stats and core.shingles: what curation counts in a text. Texts are UTF-8; a byte that is
--- none counts as one character, a symbol. Lengths are in characters.
-- luacheck: ignore 212 241

---@class moonlit.core
local core = {}
---@class moonlit.core.stats
core.stats = {}

--- The words of a text, as near to spaCy's as a few rules come: runs of letters, marks and digits,
--- in which an apostrophe, a dot, _ or @ may stand between two, a comma between digits, a hyphen
--- before a digit (UTF-8); options (-f), initials (U.S.) and addresses (http://x.org) whole; a run
--- of dashes or of dots; every other character that is not white space is a word, a symbol.
--- > core.stats.words "Don't, 3.5 -- x@y.org!"  --> { Don't, ,, 3.5, --, x@y.org, ! }
---@param text string
---@return string[]
function core.stats.words(text) end

--- What Gopher's quality rules ask: words; plain (words that are no symbols) and plain_chars; alpha
--- (words with a letter); stops (how many of the stop words occur); hashes (#), ellipses; lines, of
--- which bullets and trailing begin with a bullet or dash, and end in an ellipsis.
--- > core.stats.quality("the cat and the dog...", { "the", "and", "of" }).stops  --> 2
---@param text string
---@param stop_words string[]  at most 64
---@return table<string, integer>
function core.stats.quality(text, stop_words) end

--- What Gopher's rules against repetition ask: chars; paragraphs and lines, each { count, again,
--- again_chars }; top[2] to top[4], characters of the most frequent words in a row; grams[5] to
--- grams[10], characters of words in a row that came before.
--- > core.stats.repetition("a b\n\na b\n\nc").paragraphs.again_chars  --> 3
--- > core.stats.repetition("a b a b c").top[2]  --> 6
---@param text string
---@return table
function core.stats.repetition(text) end

--- What FineWeb's rules ask: lines that are not blank { count, again, again_chars }; ended and
--- brief, how many of them end a sentence and have at most so many characters; chars, breaks,
--- words.
--- > core.stats.layout("One two.\nThree\n", 5).ended  --> 1
---@param text string
---@param brief integer
---@return table
function core.stats.layout(text, brief) end

--- Characters.
--- > core.stats.chars "día"  --> 3
---@param text string
---@return integer
function core.stats.chars(text) end

--- Sentences: what ends in . ! ? or the like before white space, closing quotes included; a rest
--- counts too.
--- > core.stats.sentences 'He said "Yes." Then 3.5 more'  --> 2
---@param text string
---@return integer
function core.stats.sentences(text) end

--- Lines, as Python's splitlines cuts them, without white space around them; for each its words,
--- parted by white space, and the characters of the longest.
--- > core.stats.lines "one two\r\n three "  --> { one two, three }, { 2, 1 }, { 3, 5 }
---@param text string
---@return string[]
---@return integer[]
---@return integer[]
function core.stats.lines(text) end

--- Characters of some kinds: chars, all; plain, ASCII letters and digits and \n ? ! , . ; digits of
--- any script; blank, spaces, tabs, \n \r \b; brackets; url, those of addresses in http or https.
--- > s = core.stats.symbols "See http://x.org/a (p. 12)"
--- > s.chars, s.plain, s.digits, s.blank, s.brackets, s.url  --> 26, 17, 2, 3, 2, 14
---@param text string
---@return {chars: integer, plain: integer, digits: integer, blank: integer, brackets: integer,
---         url: integer}
function core.stats.symbols(text) end

--- How many letters are of which script, and how many letters there are. Scripts: latin, greek,
--- cyrillic, armenian, hebrew, arabic, devanagari, bengali, tamil, thai, georgian, hangul, kana,
--- han, other; those without a letter are left out.
--- > counts, letters = core.stats.scripts "abc, где 12"
--- > counts.latin, counts.cyrillic, letters  --> 3, 3, 6
---@param text string
---@return table<string, integer> counts
---@return integer letters
function core.stats.scripts(text) end

--- A text cut into pieces without a rest: lines, paragraphs (to an empty line) or sentences of
--- lines, each with the white space behind it. Where each ends, a hash of its words, and how many
--- they are; words as of core.shingles.
--- > ends, keys, words = core.stats.pieces("Yes. It is 3.\nyes, it is 4", "sentence")
--- > ends  --> { 5, 14, 26 }
--- > words  --> { 1, 3, 4 }
---@param text string
---@param unit "line"|"paragraph"|"sentence"
---@return integer[] ends
---@return integer[] keys
---@return integer[] words
function core.stats.pieces(text, unit) end

---@class moonlit.core.shingles
core.shingles = {}

--- The set of n words in a row: ascending 64-bit hashes in a string. Words are runs of letters and
--- digits in lower case, without marks; every number is the same. Fewer words give an empty set.
--- > #core.shingles.of("one two three", 2)  --> 16
--- > core.shingles.of("Page 3, line 1", 4) == core.shingles.of("page 12 line 7.5", 4)  --> true
---@param text string
---@param n integer  1 to 1000
---@return string
function core.shingles.of(text, n) end

--- A MinHash signature: for every band 8 bytes, a hash of so many minima (rows). Sets that share a
--- part s of their hashes agree in a band with probability s^rows.
--- > #core.shingles.signature(core.shingles.of("a b c", 2), 14, 8, 1)  --> 112
---@param set string
---@param bands integer  1 to 1024
---@param rows integer  1 to 1024
---@param seed integer
---@return string
function core.shingles.signature(set, bands, rows, seed) end

--- How many hashes are in both sets.
--- > core.shingles.shared(core.shingles.of("a b c", 2), core.shingles.of("x a b", 2))  --> 1
---@param a string
---@param b string
---@return integer
function core.shingles.shared(a, b) end

--- Each hash of a set modulo n: rows of a table, for a model of words (i64).
--- > core.shingles.ids(core.shingles.of("one two three", 2), 1):table()  --> { 0, 0 }
---@param set string
---@param n integer
---@return Tensor
function core.shingles.ids(set, n) end

--- The set of what is in any of them.
--- > #core.shingles.union { core.shingles.of("a b", 1), core.shingles.of("b c", 1) }  --> 24
---@param sets string[]
---@return string
function core.shingles.union(sets) end

return core
