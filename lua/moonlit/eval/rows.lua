--- Log-likelihoods of pieces of token rows, the same bits at any batch size: a model's row does not
--- depend on its neighbours or on the padding, and each row is added up on its own.
---
---   rows.score(model, { { ids = { 7, 8, 9 }, from = 2 } }, 16)    -- { log p(8|7) + log p(9|7 8) }
local core = require "moonlit.core"
local tensor = require "moonlit.tensor"

local rows = {}

-- rows of like length side by side, so that little is padded
local function by_length(list)
  local order = {}
  for i = 1, #list do order[i] = i end
  table.sort(order, function(a, b)
    local la, lb = #list[a].ids, #list[b].ids
    if la ~= lb then return la > lb end
    return a < b
  end)
  return order
end

-- any id will do behind a row's end: nothing looks ahead
local function padded(ids, width)
  local row = table.move(ids, 1, #ids, 1, {})
  for i = #ids + 1, width do row[i] = ids[1] end
  return row
end

local function score_batch(model, list, order, first, last, sums)
  local block, width = {}, #list[order[first]].ids
  for i = first, last do block[#block + 1] = padded(list[order[i]].ids, width) end
  local ids <close> = tensor.tensor(block, { dtype = "i64" })
  local logp <close> = model:logprobs { ids = ids }
  local values = logp:table()
  for i = first, last do
    local row, sum = list[order[i]], 0.0
    for t = row.from, #row.ids do sum = sum + values[i - first + 1][t] end
    sums[order[i]] = sum
  end
end

--- @param model Model
--- @param list {ids: integer[], from: integer}[]  at most context + 1 ids; from 2 up, as a row's
---        first id has nothing before it
--- @param batch integer  rows in a forward
--- @return number[] sums  of log p(ids[t] | ids[1..t-1]), t from `from` to the end
function rows.score(model, list, batch)
  local order, sums = by_length(list), {}
  core.autograd.no_grad(function()
    for first = 1, #order, batch do
      score_batch(model, list, order, first, math.min(first + batch - 1, #order), sums)
    end
  end)
  return sums
end

--- Rows of at most context + 1 ids that together have every id from the second on once among those
--- to score, each row `stride` new ones; the last new id of a row is the first of the next one's
--- context, or further back where there is room: as lm-evaluation-harness rolls its windows.
--- @return {ids: integer[], from: integer}[]
function rows.cut(ids, context, stride)
  local list, done = {}, 1
  while done < #ids do
    local last = math.min(#ids, done == 1 and context + 1 or done + stride)
    local first = math.max(1, last - context)
    list[#list + 1] = { ids = table.move(ids, first, last, 1, {}), from = done - first + 2 }
    done = last
  end
  return list
end

--- The option `batch` or another count, or an error that names it.
function rows.count(o, name, who)
  local v = math.tointeger(o[name])
  if v and v >= 1 then return v end
  error(("%s: %s must be a positive integer, got %s"):format(who, name, tostring(o[name])), 3)
end

--- What comes before a document's first token: the id of <|endoftext|>, or nil.
function rows.start_id(tok)
  return tok.id and tok:id "<|endoftext|>" or nil
end

return rows
