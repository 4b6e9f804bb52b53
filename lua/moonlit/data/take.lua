--- The first n of an iterator, as a list: documents that are looked at more than once.
---
---   local valid = ml.data.take(ml.data.open("corpus.jsonl", "valid"), 200)
--- @param items function  an iterator
--- @param n integer       how many at most
--- @return table[]
return function(items, n)
  if type(items) ~= "function" then
    error("data.take: expected an iterator, got " .. type(items), 2)
  elseif math.type(n) ~= "integer" or n < 0 then
    error("data.take: n must be an integer, 0 or more, got " .. tostring(n), 2)
  end
  local list = {}
  while #list < n do
    local item = items()
    if item == nil then break end
    list[#list + 1] = item
  end
  return list
end
