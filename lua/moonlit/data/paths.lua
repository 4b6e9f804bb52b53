--- Names of files, directories and patterns as a list of files, always in the same order.
---
---   paths.expand "crawl"                 -- every .jsonl, .txt and their .gz below it
---   paths.expand "crawl/*/part-?.jsonl"  -- * and ? within one name
---
--- Nil and a message where there is no such file; names in a directory come in the order of bytes.
local lfs = require "lfs"

local paths = {}

--- Whether data.read knows what is in a file of such a name.
function paths.is_readable(path)
  local name = path:gsub("%.gz$", "")
  return name:find "%.jsonl$" ~= nil or name:find "%.txt$" ~= nil
end

local function entries(dir)
  local list = {}
  if lfs.attributes(dir, "mode") ~= "directory" then return list end
  for name in lfs.dir(dir) do
    if name:sub(1, 1) ~= "." then list[#list + 1] = name end
  end
  table.sort(list)
  return list
end

local function below(dir, into, depth)
  for _, name in ipairs(entries(dir)) do
    local path = dir .. "/" .. name
    if lfs.attributes(path, "mode") == "directory" then
      if depth < 32 then below(path, into, depth + 1) end
    elseif paths.is_readable(name) then into[#into + 1] = path end
  end
  return into
end

-- * and ? as a Lua pattern
local function pattern_of(part)
  return "^" .. part:gsub("[%^%$%(%)%%%.%[%]%+%-]", "%%%0"):gsub("%*", ".*"):gsub("%?", ".") .. "$"
end

-- one part of a name after the other; "" is where a path begins that is not absolute
local function matches(path)
  local found = { path:sub(1, 1) == "/" and "/" or "" }
  for part in path:gmatch "[^/]+" do
    local next_found = {}
    for _, base in ipairs(found) do
      if not part:find "[*?]" then next_found[#next_found + 1] = base .. part .. "/"
      else
        for _, name in ipairs(entries(base == "" and "." or base)) do
          if name:find(pattern_of(part)) then
            next_found[#next_found + 1] = base .. name .. "/"
          end
        end
      end
    end
    found = next_found
  end
  local list = {}
  for _, name in ipairs(found) do
    name = name:sub(1, -2)
    if lfs.attributes(name, "mode") then list[#list + 1] = name end
  end
  return list
end

--- @param path string
--- @return string[]|nil files, string? message
function paths.expand(path)
  local mode = lfs.attributes(path, "mode")
  if mode == "directory" then
    local list = below((path:gsub("(.)/+$", "%1")), {}, 0)
    if #list > 0 then return list end
    return nil, path .. ": expected files in .jsonl or .txt (or .gz of them) below it, got none"
  end
  if mode or not path:find "[*?]" then return { path } end
  local list = {}
  for _, name in ipairs(matches(path)) do
    local more, err = paths.expand(name)
    if not more then return nil, err end
    table.move(more, 1, #more, #list + 1, list)
  end
  if #list == 0 then return nil, path .. ": no file has such a name" end
  return list
end

return paths
