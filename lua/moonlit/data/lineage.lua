--- What a file was made of: beside FILE lies FILE.lineage.json, with its SHA-256 and those of the
--- files it was made of, which may have such notes of their own. So a chain of hashes leads from a
--- token file back to raw text, and every token to the line it comes from.
---
---   assert(ml.data.lineage.note({ "run/data/train.shard" }, { "curated/data/train.jsonl" }))
---   local t = assert(ml.data.lineage.trace("run/data/train.shard", 123456))
---   t.document, t.place, t.origin         -- 17, 90, "crawl.jsonl.gz:812"
---   for _, f in ipairs(t.files) do print(f.path, f.state) end    -- "same", "changed", "missing"
---
--- Paths are kept as they were given: a chain is followed from the directory where it was made.
local core = require "moonlit.core"
local json = require "moonlit.json"
local lfs = require "lfs"
local shard = require "moonlit.data.shard"

local lineage = {}

local WHO = "data.lineage: "

local function note_of(path) return path .. ".lineage.json" end

local function entry_of(path)
  local hash, bytes, code = core.ckpt.hash_file(path)
  if not hash then return nil, WHO .. bytes, code end
  return { path = path, bytes = bytes, sha256 = hash }
end

--- Says what files were made of. One that cannot be read is noted without its hash: documents that
--- were to come from it were counted as lost, or all would have stopped.
--- @param made string[]  paths
--- @param from string[]  paths of files; none for what was made of nothing but a recipe
--- @return boolean|nil true; nil, message, code where what was made cannot be read or noted
function lineage.note(made, from)
  local made_of = json.array {}
  for i, path in ipairs(from) do made_of[i] = entry_of(path) or { path = path, sha256 = "" } end
  for _, path in ipairs(made) do
    local note, err, code = entry_of(path)
    if not note then return nil, err, code end
    note.path, note.made_of = path:match "[^/]*$", made_of
    note, err, code = json.save(note_of(path), note)
    if not note then return nil, err, code end
  end
  return true
end

local function is_entry(e)
  return type(e) == "table" and type(e.path) == "string" and type(e.sha256) == "string"
end

local function load_note(path)
  if not lfs.attributes(note_of(path), "mode") then return nil end
  local note, err = json.load(note_of(path))
  if not note then return nil, WHO .. err, "format" end
  local fine = is_entry(note) and type(note.made_of) == "table"
  for _, e in ipairs(fine and note.made_of or {}) do fine = fine and is_entry(e) end
  if fine then return note end
  return nil, WHO .. note_of(path) .. ": expected what a file was made of, got something else",
         "format"
end

local function state_of(path, sha256)
  local now = core.ckpt.hash_file(path)
  if not now then return "missing" end
  return now == sha256 and "same" or "changed"
end

-- a file and those behind it, each once; depth: notes can be made to run in a circle
local function follow(list, path, sha256, seen, depth)
  if seen[path] or depth > 32 then return true end
  seen[path] = true
  list[#list + 1] = { path = path, sha256 = sha256, state = state_of(path, sha256) }
  local note, err, code = load_note(path)
  if err then return nil, err, code end
  for _, e in ipairs(note and note.made_of or {}) do
    local fine
    fine, err, code = follow(list, e.path, e.sha256, seen, depth + 1)
    if not fine then return nil, err, code end
  end
  return true
end

--- The files behind a file, itself first, each with its hash when it was used and whether it is
--- still the same.
--- @return {path: string, sha256: string, state: string}[]|nil, string? message, string? code
function lineage.files(path)
  local note, err, code = load_note(path)
  if not note then
    return nil, err or WHO .. path .. ": there is no " .. note_of(path), code or "io"
  end
  local list = {}
  err, code = select(2, follow(list, path, note.sha256, {}, 0))
  if err then return nil, err, code end
  return list
end

--- Where a token of a token file comes from.
--- @param path string   a shard with a note
--- @param token integer from 0
--- @return table|nil { document = its number, place = of the token in it, ids = tensor of the
---         document's, origin = "file:line" or an id, files = as of lineage.files }; nil, message,
---         code
function lineage.trace(path, token)
  local s, err, code = shard.open(path)
  if not s then return nil, err, code end
  if math.type(token) ~= "integer" or token < 0 or token >= s:tokens() then
    error(("%s%s has tokens 0 to %d, got %s"):format(WHO, path, s:tokens() - 1, tostring(token)), 2)
  end
  local files
  files, err, code = lineage.files(path)
  if not files then return nil, err, code end
  local number, place = s:at(token)
  local ids, _, origin = s:document(number)
  return { document = number, place = place, ids = ids, origin = origin, files = files }
end

return lineage
