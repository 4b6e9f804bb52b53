--- Which documents belong together, two by two, and what stays of each cluster: the document that
--- comes first in the order of shelf:before. Only documents that have a mate take memory.
local json = require "moonlit.json"
local must = require "moonlit.must" "dedup"
local write = require "moonlit.data.write"

local Clusters = {}
Clusters.__index = Clusters

local SHOWN = 3 -- clusters in a report, ids of each

function Clusters:root(i)
  local parent, root = self.parent, i
  while parent[root] do root = parent[root] end
  while parent[i] do -- the next time it is one step
    local above = parent[i]
    if above ~= root then parent[i] = root end
    i = above
  end
  return root
end

function Clusters:unite(a, b)
  a, b = self:root(a), self:root(b)
  if a ~= b then self.parent[math.max(a, b)] = math.min(a, b) end
end

-- lists of documents that belong together; the one that stays is first
local function lists(self, shelf)
  local numbers, by_root, all = {}, {}, {}
  for i in pairs(self.parent) do numbers[#numbers + 1] = i end
  table.sort(numbers)
  for _, i in ipairs(numbers) do
    local root = self:root(i)
    if not by_root[root] then
      by_root[root] = { root }
      all[#all + 1] = by_root[root]
    end
    table.insert(by_root[root], i)
  end
  for _, list in ipairs(all) do
    table.sort(list, function(a, b) return shelf:before(a, b) end)
  end
  return all
end

local function named(shelf, list, most)
  local copies = json.array {}
  for i = 2, math.min(#list, most + 1) do copies[i - 1] = shelf:name(list[i]) end
  return { stays = shelf:name(list[1]), documents = #list, copies = copies }
end

local function report(shelf, all)
  local r = { clusters = #all, documents = 0, largest = json.array {} }
  table.sort(all, function(a, b)
    if #a ~= #b then return #a > #b end
    return shelf:before(a[1], b[1])
  end)
  for i, list in ipairs(all) do
    r.documents = r.documents + #list
    if i <= SHOWN then r.largest[i] = named(shelf, list, SHOWN) end
  end
  return r
end

--- @param path string?  gets every cluster, a line { stays, documents, copies } each
--- @return function(i) -> what stays in its place, nil where it stays itself
--- @return table report  { clusters = how many, documents = in them, largest = three of those }
function Clusters:settle(shelf, path)
  local all, original, i = lists(self, shelf), {}, 0
  local r = report(shelf, all)
  for _, list in ipairs(all) do
    for k = 2, #list do original[list[k]] = list[1] end
  end
  if path then
    must(write(path, function()
      i = i + 1
      return all[i] and named(shelf, all[i], #all[i])
    end))
  end
  return function(number) return original[number] end, r
end

return function() return setmetatable({ parent = {} }, Clusters) end
