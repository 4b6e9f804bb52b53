--- The files that a user means: files, directories, patterns; in an order that is always the same.
---
---   ml.data.paths "crawl"                    -- every .txt, .jsonl, .txt.gz, .jsonl.gz below it
---   ml.data.paths { "a.jsonl", "more/*.jsonl.gz", "deep/**/part-0[0-4].jsonl" }
---
--- In a pattern * is any run of characters but /, ? one of them, [abc] and [!a-z] one of a set, **
--- any number of directories. A name that is there as it stands is no pattern. What one path means
--- is sorted by its bytes; the paths keep their order, and a file that two of them mean comes once.
--- Names that begin with a dot are passed over unless the pattern has the dot.
local lfs = require "lfs"

local WHO = "data.paths: "
local DEEP = 64 -- directories in directories: more is a link that leads back

local function fail(...) error(WHO .. string.format(...), 0) end

local function is_data(name)
  name = name:gsub("%.gz$", "")
  return name:find "%.jsonl$" ~= nil or name:find "%.txt$" ~= nil
end

-- ---- directories ----

local function entries(dir)
  local list = {}
  local fine, err = pcall(function()
    for name in lfs.dir(dir) do
      if name ~= "." and name ~= ".." then list[#list + 1] = name end
    end
  end)
  if not fine then fail("%s", (tostring(err):gsub("^.-cannot open", "cannot open"))) end
  table.sort(list)
  return list
end

local function join(dir, name)
  return dir == "" and name or dir:find "/$" and dir .. name or dir .. "/" .. name
end

local function mode(path) return lfs.attributes(path, "mode") end

local function check_depth(dir, depth)
  if depth > DEEP then fail("%s: more than %d directories in one another", dir, DEEP) end
end

local function walk(dir, into, depth)
  check_depth(dir, depth)
  for _, name in ipairs(entries(dir)) do
    local path = join(dir, name)
    local hidden = name:sub(1, 1) == "."
    if not hidden and mode(path) == "directory" then walk(path, into, depth + 1)
    elseif not hidden and is_data(name) then into[#into + 1] = path end
  end
end

-- ---- patterns ----

-- one name of a pattern as Lua's
local function lua_pattern(text)
  local out, at = { "^" }, 1
  while at <= #text do
    local c = text:sub(at, at)
    local negated, set, stop = text:match("^%[(!?)(%]?[^%]]*)%]()", at)
    if c == "*" then out[#out + 1] = ".*"
    elseif c == "?" then out[#out + 1] = "."
    elseif set and set ~= "" then
      set = set:gsub("[%%%]%^]", "%%%0")
      out[#out + 1] = "[" .. (negated == "!" and "^" or "") .. set .. "]"
      at = stop - 1
    else out[#out + 1] = c:gsub("%W", "%%%0") end
    at = at + 1
  end
  out[#out + 1] = "$"
  return table.concat(out)
end

local function is_pattern(text) return text:find "[*?%[]" ~= nil end

local match

-- ** : this directory, and every one below it
local function match_below(dir, names, at, into, depth)
  check_depth(dir, depth)
  match(dir, names, at + 1, into)
  for _, name in ipairs(entries(dir == "" and "." or dir)) do
    local path = join(dir, name)
    if name:sub(1, 1) ~= "." and mode(path) == "directory" then
      match_below(path, names, at, into, depth + 1)
    end
  end
end

-- a path of which the first `at` names are matched
local function go_on(path, names, at, into)
  local kind = mode(path)
  if at == #names and kind == "file" then into[#into + 1] = path
  elseif at < #names and kind == "directory" then match(path, names, at + 1, into) end
end

-- the files below dir that names[at ..] mean
function match(dir, names, at, into)
  local name = names[at]
  if name == "**" and at < #names then return match_below(dir, names, at, into, 1) end
  if not is_pattern(name) then return go_on(join(dir, name), names, at, into) end
  local pattern = lua_pattern(name)
  for _, entry in ipairs(entries(dir == "" and "." or dir)) do
    local shown = entry:sub(1, 1) ~= "." or name:sub(1, 1) == "."
    if shown and entry:find(pattern) then go_on(join(dir, entry), names, at, into) end
  end
end

-- ---- both ----

local function expand(path)
  local list, kind = {}, mode(path)
  if kind == "directory" then walk(path, list, 1)
  elseif kind or not is_pattern(path) then return { path } -- who opens it says what is wrong
  else
    local names = {}
    for name in path:gmatch "[^/]+" do names[#names + 1] = name end
    match(path:sub(1, 1) == "/" and "/" or "", names, 1, list)
  end
  if #list == 0 then
    fail("%s: expected .txt, .jsonl, .txt.gz or .jsonl.gz files, found none", path)
  end
  table.sort(list)
  return list
end

--- @param paths string|string[]
--- @return string[] files; raises where a directory or a pattern means none
return function(paths)
  if type(paths) ~= "table" then paths = { paths } end
  local list, seen = {}, {}
  for i, path in ipairs(paths) do
    if type(path) ~= "string" then
      error(("%spath %d must be a string, got %s"):format(WHO, i, type(path)), 2)
    end
    for _, file in ipairs(expand(path)) do
      if not seen[file] then list[#list + 1] = file end
      seen[file] = true
    end
  end
  return list
end
