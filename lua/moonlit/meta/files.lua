---@meta
--- core.ckpt and core.json. What is wrong with a file is an answer, not an error: nil, message
--- and a code ("io", "format", "unsupported").
-- luacheck: ignore 212 241

---@class moonlit.core
local core = {}
---@class moonlit.core.ckpt
core.ckpt = {}

--- The tensors of a .safetensors or .npy file, in the file's order, and its metadata.
--- > (select(2, core.ckpt.load "no/such/file.npy")):match "^[^:]+"  --> no/such/file.npy
---@param path string
---@return {name: string, tensor: Tensor}[]|nil
---@return table<string, string>|string metadata
---@return string? code
function core.ckpt.load(path) end

--- Writes tensors to a .safetensors or .npy file, which is replaced whole or not at all.
---@param path string
---@param tensors {name: string, tensor: Tensor}[]
---@param metadata {[1]: string, [2]: string}[]  keys and values
---@param keep_order? boolean  = false: the format's own order
---@return true|nil
---@return string? message
---@return string? code
function core.ckpt.save(path, tensors, metadata, keep_order) end

--- SHA-256 of a file, in hexadecimal, its size in bytes, and the CRC-32C of every chunk of 1 MiB,
--- eight digits each.
---@param path string
---@return string|nil hex
---@return integer|string bytes
---@return string? crc32c  or the code of what went wrong
function core.ckpt.hash_file(path) end

--- A directory of files that appears whole or not at all, written while the caller goes on: fill
--- it, start it, ask what became of it.
---@param dir string  its name in the end; DIR.tmp until then. `latest` beside it names it
---@return moonlit.Save
function core.ckpt.begin(dir) end

---@class moonlit.Save
local Save = {}

--- A file of this text.
---@param name string
---@param text string
function Save:text(name, text) end

--- A .safetensors file of these tensors, as they are now: they may change afterwards.
---@param name string
---@param tensors {name: string, tensor: Tensor}[]
---@param metadata {[1]: string, [2]: string}[]  keys and values
---@param keep_order? boolean  = false: the format's own order
function Save:tensors(name, tensors, metadata, keep_order) end

--- A file that the caller has written into DIR.tmp itself.
---@param name string
function Save:file(name) end

--- A file elsewhere that must be on the disk before the directory appears.
---@param path string
function Save:log(path) end

--- Writes it all, reads it back and compares. A last file, manifest.json, has every other's size,
--- SHA-256 and CRC-32C.
---@param about string  a JSON object: further members of manifest.json
---@param background boolean  false: it is done on return
function Save:start(about, background) end

--- Is it still being written?
---@return boolean
function Save:busy() end

--- Waits until it is written; says what became of it.
---@return true|nil
---@return string? message
---@return string? code
function Save:wait() end

--- Waits, and lets go of it.
function Save:free() end

-- ---- JSON ----

---@class moonlit.core.json
core.json = {}

--- JSON's null, which no Lua value is.
--- > core.json.encode { core.json.null }  --> [null]
---@type lightuserdata
core.json.null = nil

--- The value of a text. 64-bit integers are exact; a key given twice and nesting deeper than 1000
--- are refused.
--- > core.json.decode('{ "a": [1, 2.5] }').a  --> { 1, 2.5 }
--- > (select(3, core.json.decode "{"))  --> format
---@param text string
---@return any
---@return string? message
---@return string? code
function core.json.decode(text) end

--- The text of a value: keys sorted, floats in the fewest digits that read back to the same number.
--- Raises for what JSON cannot hold: NaN, holes, strings that are not UTF-8, functions.
--- > core.json.encode { b = 0.1, a = { 1, 2 } }  --> {"a":[1,2],"b":0.1}
---@param value any
---@param indent? integer  = 0: one line; spaces a level otherwise
---@return string
function core.json.encode(value, indent) end

--- Marks a table as an array, so that an empty one is written as [] too, and returns it.
--- > core.json.encode(core.json.array {})  --> []
---@param t? table  a new one unless given
---@return table
function core.json.array(t) end

return { core = core, Save = Save }
