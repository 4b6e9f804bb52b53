--- Files of documents through rules that look at one document each, by several processes at once.
---
---   local docs = ml.data.parts(ledger, "crawl.jsonl.gz", { dir = "parts", workers = 4,
---     rules = function(l, docs) return l:filter("c4", docs, ml.data.filter.c4()) end })
---
--- A .jsonl file is cut into parts of so many lines, any other is one part. Each part's documents
--- and books are files in dir; a part whose books are there already is not done again, so a run
--- that was killed goes on. Neither what comes out nor what the ledger says depends on how many
--- workers there were: parts are joined in their order.
local core = require "moonlit.core"
local json = require "moonlit.json"
local ledger = require "moonlit.data.ledger"
local lfs = require "lfs"
local must = require "moonlit.must" "data.parts"
local options = require "moonlit.options"
local paths_of = require "moonlit.data.paths"
local read = require "moonlit.data.read"
local write = require "moonlit.data.write"

--- dir: for the parts, one folder for what they depend on; rules: (ledger, docs) -> docs, steps of
--- a ledger; key: names the rules and their limits; read: options of data.read
local defaults = { dir = options.required, rules = options.required, workers = 1, lines = 10000,
                   source = options.optional, key = "", read = {} }

-- where a part lies, without the endings
local function place_of(o, file, block) return ("%s/%05d-%07d"):format(o.dir, file, block) end

local function is_cut(path) return path:find "%.jsonl$" or path:find "%.jsonl%.gz$" end

-- one part's documents through the rules; its books are there when it is done
local function do_part(o, place, docs)
  local books = ledger()
  must(write(place .. ".jsonl", o.rules(books, books:read(o.source, docs))))
  must(books:save(place .. ".json"))
end

-- which blocks of a file are to be done here, each looked up once
local function chooser(o, file, share)
  local known = {}
  return function(block)
    if known[block] == nil then
      known[block] = (file + block) % o.workers == share
                     and not lfs.attributes(place_of(o, file, block) .. ".json", "mode")
    end
    return known[block]
  end
end

local function reader(o, path, only)
  local with = { only = only }
  for name, value in pairs(o.read) do with[name] = value end
  return read(path, with)
end

-- the parts of a file that are this worker's
local function do_file(o, file, path, share)
  local mine, block = chooser(o, file, share), 0
  if not is_cut(path) and not mine(0) then return end
  local documents = reader(o, path, is_cut(path) and function(number)
    block = (number - 1) // o.lines
    return mine(block)
  end or nil)
  local ahead = documents() -- and `block` is where it stands
  while ahead do
    local here = block
    do_part(o, place_of(o, file, here), function()
      local doc = ahead
      if not doc or block ~= here then return nil end
      ahead = documents()
      return doc
    end)
  end
end

local function do_share(o, paths, share)
  for file, path in ipairs(paths) do do_file(o, file, path, share) end
end

-- the books of no document: which steps there are
local function empty_books(o)
  local l = ledger()
  for _ in o.rules(l, l:read(o.source, function() end)) do end -- luacheck: ignore 512
  return l:finish()
end

-- the parts in their order: books, and an iterator of documents
local function join(o)
  local books, parts = { empty_books(o) }, {}
  for name in lfs.dir(o.dir) do
    local part = name:match "^(%d+%-%d+)%.json$"
    if part then parts[#parts + 1] = ("%s/%s.jsonl"):format(o.dir, part) end
  end
  table.sort(parts)
  for i, path in ipairs(parts) do books[i + 1] = must(json.load((path:gsub("l$", "")))) end
  -- a line of a part may be longer than the one it was: \u0000 is six bytes
  return books, #parts > 0 and read(parts, { limit = 1 << 40 }) or function() end
end

-- what the parts depend on: the rules, and the files as they look
local function folder_of(o, paths)
  local list = { o.key, tostring(o.lines), tostring(o.source) }
  for _, path in ipairs(paths) do
    local a = lfs.attributes(path) or {}
    list[#list + 1] = ("%s %s %s"):format(path, a.size, a.modification)
  end
  return ("%s/%s"):format(o.dir, core.sys.sha256(table.concat(list, "\n")):sub(1, 16))
end

--- @param books Ledger
--- @param given string|string[]  files, directories, patterns, as data.read takes them
--- @param opt table  see defaults above; source: what the ledger calls documents that name none,
---   the first path unless given
--- @return function iterator of the ledger: what came out of the rules
--- @return string[] files  that were read
return function(books, given, opt)
  local o = options(opt, defaults, "data.parts")
  if (math.tointeger(o.workers) or 0) < 1 or (math.tointeger(o.lines) or 0) < 1 then
    error(("data.parts: workers and lines must be positive integers, got %s and %s"):format(
      tostring(o.workers), tostring(o.lines)), 2)
  end
  reader(o, given) -- all can be read, or say so before anything starts
  local paths = {}
  for _, path in ipairs(type(given) == "table" and given or { given }) do
    for _, file in ipairs(paths_of.expand(path)) do paths[#paths + 1] = file end
  end
  o.source = o.source or paths[1]
  o.dir = folder_of(o, paths)
  must(core.sys.mkdir(o.dir))
  if o.workers == 1 then do_share(o, paths, 0)
  else must(core.sys.workers(o.workers, function(i) do_share(o, paths, i - 1) end)) end
  return books:join(join(o)), paths
end
