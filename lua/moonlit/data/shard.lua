--- Token files: documents as ids in one file, mapped into memory when opened; the system reads what
--- is used. Ids take two bytes, or four where one is above 65535; csrc/data/shard.c has the layout.
---
---   assert(ml.data.shard.write("train.shard", sequences))   -- { ids =, mask =, id = } each
---   local shard = assert(ml.data.shard.open "train.shard")
---   shard:documents()  shard:tokens()  shard:vocab()        -- vocab: the largest id + 1
---   local ids, mask, id = shard:document(1)                  -- tensors; mask and id may be nil
---   shard:hash()                                             -- SHA-256 of all the file holds
---
--- Opening checks every size, the SHA-256 and every id: a file that opens is the one written. A
--- shard is put together in memory; a corpus larger than that goes into several.
local core = require "moonlit.core"
local options = require "moonlit.options"

local shard = {}

local arguments = { "ids", "mask", "id" } -- of builder:add

-- what the core says of its arguments, said of the sequence
local function retold(err)
  err = err:gsub("^.-:%d+: ", ""):gsub("^add: ", ""):gsub("^shard: ", "")
  return (err:gsub("^argument (%d)", function(n) return arguments[tonumber(n)] end))
end

local function add(builder, n, s, who)
  if type(s) ~= "table" then
    error(("%s: sequence %d: expected { ids = ... }, got a %s"):format(who, n, type(s)), 0)
  end
  local fine, err = pcall(function() builder:add(s.ids or s, s.mask, s.id) end)
  if not fine then error(("%s: sequence %d: %s"):format(who, n, retold(err)), 0) end
end

-- a builder with everything in it
local function build(sequences, who)
  if type(sequences) ~= "function" and type(sequences) ~= "table" then
    error(("%s: expected an iterator or a list, got %s"):format(who, type(sequences)), 3)
  end
  local builder, n = core.data.builder(), 0
  local function take(s)
    n = n + 1
    add(builder, n, s, who)
  end
  if type(sequences) == "function" then
    for s in sequences do take(s) end
  else
    for _, s in ipairs(sequences) do take(s) end
  end
  return builder, n
end

--- @param path string
--- @param sequences function|table  an iterator or a list of { ids = integers or a tensor, mask =
---        the same or nil (0 or 1, 1: learned; all are where there is none), id = string or nil }
--- @return integer|nil sequences written; nil, message, code when the file cannot be
function shard.write(path, sequences)
  local builder <close>, n = build(sequences, "data.shard.write")
  local done, err, code = builder:save(path)
  if not done then return nil, "data.shard.write: " .. err, code end
  return n
end

--- @param path string
--- @param opt? {verify: boolean?}  false leaves out the SHA-256 and the ids, which take a reading
---        of the whole file
--- @return userdata|nil, string?, string?  nil, message, code for what is no token file
function shard.open(path, opt)
  local o = options(opt, { verify = true }, "data.shard.open")
  local made, err, code = core.data.shard(path, o.verify)
  if not made then return nil, "data.shard.open: " .. err, code end
  return made
end

--- A shard that is in no file.
--- @param sequences function|table  as for write; a plain list of ids is one too
function shard.of(sequences, who)
  local builder <close> = build(sequences, who or "data.shard.of")
  return builder:shard()
end

return shard
