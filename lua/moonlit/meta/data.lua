---@meta
--- core.data: lines out of files and into them, token files, and rows of ids cut from them. What is
--- wrong with a file is an answer, not an error: nil, message and a code ("io", "format").
-- luacheck: ignore 212 241

---@class moonlit.core
local core = {}
---@class moonlit.core.data
core.data = {}

--- A text file to be read by lines, plain or gzip of any number of members (it is gzip when it
--- begins as one; a name in .gz must). Memory stays within the limit, whatever the file expands to.
--- > (select(3, core.data.lines("no/such/file", 100)))  --> io
---@param path string
---@param limit integer  bytes of a line
---@return moonlit.Lines|nil
---@return string? message
---@return string? code
function core.data.lines(path, limit) end

--- A text file to be written, which appears whole, when committed, or not at all.
--- > (select(3, core.data.out("no/such/place/file", false)))  --> io
---@param path string
---@param gzip boolean  without name and time: equal text gives equal bytes
---@return moonlit.Out|nil
---@return string? message
---@return string? code
function core.data.out(path, gzip) end

--- An empty shard to add documents to.
---@return moonlit.ShardBuilder
function core.data.builder() end

--- Maps a token file into memory, after checking it.
--- > (select(3, core.data.shard "no/such/file"))  --> io
---@param path string
---@param verify? boolean  = true: read it all, for its SHA-256 and the range of its ids
---@return moonlit.Shard|nil
---@return string? message
---@return string? code
function core.data.shard(path, verify) end

--- A shard's documents as rows of length + 1 ids, each id a target once.
---@param shard moonlit.Shard
---@param length integer
---@param whole? boolean  = false: consecutive ids, each row beginning on the last id of the one
---        before; true: whole documents, best-fit, longest first; only one longer than a row is cut
---@return moonlit.Rows
function core.data.rows(shard, length, whole) end

--- Bytes put aside, in a file without a name that goes with the handle.
--- > (select(3, core.data.spill "no/such/place"))  --> io
---@param dir string  where the file lies
---@return moonlit.Spill|nil
---@return string? message
---@return string? code
function core.data.spill(dir) end

--- Values to be brought together by key. Few stay in memory, many are sorted in a file.
---@param dir string  where the file would lie
---@return moonlit.Groups
function core.data.groups(dir) end

-- ---- handles: all have :free(), safe to call twice; the collector and <close> call it too ----

---@class moonlit.Lines
local Lines = {}

--- The next line without its end (\n or \r\n) and its number; nil after the last. A line beyond the
--- limit and gzip data that is wrong or ends early are nil, "path:line: ...", "format".
---@return string|nil
---@return integer|string|nil number
---@return string? code
function Lines:next() end

--- Passes over the next line, however long; meant for one that next refused.
---@return integer|nil bytes  it had, without its \n
---@return string head     its first bytes, 1024 at most; or what was wrong
---@return integer|string number  or the code
function Lines:skip() end

--- All that follows the line given last, as it is; at most the limit.
---@return string|nil
---@return string? message
---@return string? code
function Lines:rest() end

--- Closes the file.
function Lines:free() end

---@class moonlit.Out
local Out = {}

--- Adds text.
---@param text string
---@return true|nil
---@return string? message
---@return string? code
function Out:put(text) end

--- Gives the file its name, durably, and ends this handle.
---@return true|nil
---@return string? message
---@return string? code
function Out:commit() end

--- Takes away what was not committed.
function Out:free() end

---@class moonlit.ShardBuilder
local ShardBuilder = {}

--- Adds a document.
--- > b = core.data.builder()
--- > b:add({ 3, 1, 2 }, { 0, 1, 1 }, "first")
--- > b:add(ml.tensor({ 4, 5 }, { dtype = "i64" }))
--- > b:shard():tokens()  --> 5
---@param ids integer[]|Tensor  from 0 to 2147483647
---@param mask? integer[]|Tensor  one number an id; what is not 0 is learned. Absent: all
---@param name? string
function ShardBuilder:add(ids, mask, name) end

--- Writes the token file, which is replaced whole or not at all.
---@param path string
---@return true|nil
---@return string? message
---@return string? code
function ShardBuilder:save(path) end

--- The same without a file.
---@return moonlit.Shard
function ShardBuilder:shard() end

--- Lets go of what was added.
function ShardBuilder:free() end

---@class moonlit.Shard
local Shard = {}

--- How many documents it holds.
--- > b = core.data.builder()
--- > b:add({ 3, 1, 2 }, nil, "first")
--- > b:shard():documents()  --> 1
---@return integer
function Shard:documents() end

--- How many ids it holds.
---@return integer
function Shard:tokens() end

--- The largest id and 1; 0 without ids.
--- > b = core.data.builder()
--- > b:add { 3, 1, 2 }
--- > b:shard():vocab()  --> 4
---@return integer
function Shard:vocab() end

--- SHA-256 of all it holds, in hexadecimal: the same for the same documents.
--- > #core.data.builder():shard():hash()  --> 64
---@return string
function Shard:hash() end

--- The document that holds a token, and its place in there.
--- > b = core.data.builder()
--- > b:add { 3, 1, 2 }
--- > b:add { 4, 5 }
--- > b:shard():at(4)  --> 2, 2
---@param token integer  of the shard, from 0
---@return integer document  from 1
---@return integer place  from 1
function Shard:at(token) end

--- Document i: its ids (i64), mask (f32; nil when no document has one) and name.
--- > b = core.data.builder()
--- > b:add({ 3, 1, 2 }, nil, "first")
--- > (select(3, b:shard():document(1)))  --> first
---@param i integer  from 1
---@return Tensor ids
---@return Tensor|nil mask
---@return string|nil name
function Shard:document(i) end

--- Lets go of the file; rows made from it stay good.
function Shard:free() end

---@class moonlit.Spill
local Spill = {}

--- Puts bytes behind those put before.
--- > s = core.data.spill "/tmp"
--- > s:put "one"  --> 0
--- > s:put "two"  --> 3
--- > s:get(1, 4)  --> netw
---@param bytes string
---@return integer|nil at  where they begin
---@return string? message
---@return string? code
function Spill:put(bytes) end

--- So many bytes of those put.
---@param at integer
---@param bytes integer
---@return string|nil
---@return string? message
---@return string? code
function Spill:get(at, bytes) end

--- Lets go of the file, and all that was put.
function Spill:free() end

---@class moonlit.Groups
local Groups = {}

--- The value under each of some keys.
--- > g = core.data.groups "/tmp"
--- > g:add(7, "same key")
--- > g:add(8, "othr key" .. "same key")
--- > (g:next())  --> { 7, 8 }
--- > (g:next())  --> nil
---@param value integer
---@param keys string  8 bytes each, hashes: their highest bits must vary
---@return boolean|nil
---@return string? message
---@return string? code
function Groups:add(value, keys) end

--- The next key that more than one value came under, and they, ascending; nil after the last. From
--- then on nothing can be added.
---@return integer[]|nil values
---@return integer|string|nil key
---@return string? code
function Groups:next() end

--- Lets go of all values.
function Groups:free() end

---@class moonlit.Rows
local Rows = {}

--- How many rows there are.
---@return integer
function Rows:count() end

--- Some of the rows: ids, mask and doc, each (rows, length + 1); ids and doc i64, mask f32. mask is
--- 0 at the first id of a document and where a row is filled up; doc numbers a row's documents.
--- > b = core.data.builder()
--- > b:add { 3, 1, 2 }
--- > b:add { 4, 5 }
--- > ids, mask, doc = core.data.rows(b:shard(), 2):batch { 1, 2 }
--- > ids:table()  --> { { 3, 1, 2 }, { 2, 4, 5 } }
--- > mask:table()  --> { { 0.0, 1.0, 1.0 }, { 0.0, 0.0, 1.0 } }
--- > doc:table()  --> { { 0, 0, 0 }, { 0, 1, 1 } }
---@param rows integer[]  from 1
---@return Tensor ids
---@return Tensor mask
---@return Tensor doc
function Rows:batch(rows) end

--- Lets go of the rows and the shard.
function Rows:free() end

return { core = core, Lines = Lines, Out = Out, ShardBuilder = ShardBuilder, Shard = Shard,
         Spill = Spill, Groups = Groups, Rows = Rows }
