--- Documents of a part of whatever a user points at.
---
---   for doc in ml.data.open("runs/curate", "train") do print(doc.text) end
---
--- A directory is a run of recipes/curate.lua: its data/<part>.jsonl. A file (.txt, .jsonl,
--- .jsonl.gz) is both parts at once: each 50th of its documents is "valid", the others "train"; a
--- text file's documents are its paragraphs, between blank lines.
local lfs = require "lfs"
local options = require "moonlit.options"
local read = require "moonlit.data.read"

local WHO = "data.open"
local parts = { train = true, valid = true }

-- read raises what is wrong with a file
local function try(path, opt)
  local fine, docs = pcall(read, path, opt)
  if fine then return docs, path end
  return nil, tostring(docs), "io"
end

--- @param path string
--- @param part string  "train" or "valid"
--- @param opt? {held: integer?, field: string?}  one of so many documents is held out (50); which
---        field of a JSON line is the text ("text"), or the conversation ("messages")
--- @return function|nil iterator of documents, string file | message, string? code
return function(path, part, opt)
  local o = options(opt, { held = 50, field = "text" }, WHO)
  if type(path) ~= "string" then error(WHO .. ": path must be a string, got " .. type(path), 2) end
  if not parts[part] then
    error(('%s: part must be "train" or "valid", got %s'):format(WHO, tostring(part)), 2)
  end
  if lfs.attributes(path, "mode") == "directory" then
    return try(("%s/data/%s.jsonl"):format(path, part), { field = o.field, origin = true })
  end
  local docs, err, code = try(path, { field = o.field, origin = true,
                                      split = path:find "%.txt$" and "blank" or nil })
  if not docs then return nil, err, code end
  local n = 0
  return function()
    for doc in docs do
      n = n + 1
      if (n % o.held == 0) == (part == "valid") then return doc end
    end
  end, path
end
