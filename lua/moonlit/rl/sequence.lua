--- From a number a token to a number a sequence, and what stands between: the rows of rl.batch.
---
---   local batch = ml.rl.batch(ml.rl.sides(pairs))
---   local chosen, rejected = ml.rl.halves(ml.rl.sum(batch, model:logprobs(batch)))
---   local scores = ml.rl.last(batch, judge:scores(batch))             -- at the end of turn
---   local values = ml.rl.values(critic, batch)                        -- before each token
local core = require "moonlit.core"

local sequence = {}

local function check(who, batch, x)
  if type(batch) ~= "table" or not batch.mask then
    error(("rl.%s: expected a batch with a mask, got %s"):format(who, type(batch)), 3)
  elseif x and (not core.is_tensor(x) or x:dim() ~= 2 or x:size(1) ~= batch.mask:size(1)
                or x:size(2) ~= batch.mask:size(2)) then
    error(("rl.%s: expected a tensor (%d, %d), as the batch has"):format(who, batch.mask:size(1),
                                                                        batch.mask:size(2)), 3)
  end
end

--- (B): the sum of each row over the tokens that are learned.
--- @param batch table  of rl.batch, a row a sequence
--- @param x Tensor  (B, T)
function sequence.sum(batch, x)
  check("sum", batch, x)
  return (x * batch.mask):sum(2)
end

--- (B): each row's value at its last token that is learned; at its first id where there is none.
function sequence.last(batch, x)
  check("last", batch, x)
  local kept = core.ne(batch.mask, 0):to(batch.mask:dtype())
  local place = (kept * core.arange(batch.mask:size(2)):to(kept:dtype())):argmax(2)
  return x:gather(2, place:unsqueeze(2)):squeeze(2)
end

--- (B, T): what a critic with a score head expects before each token is known; 0 at the first.
function sequence.values(critic, batch)
  check("values", batch)
  local scores = critic:scores(batch)
  local rows, width = scores:size(1), scores:size(2)
  local none = core.zeros({ rows, 1 }, { dtype = scores:dtype() })
  return core.cat({ none, scores:narrow(2, 1, width - 1) }, 2)
end

--- Pairs (rl.pairs) as one list of rows: all that were chosen, then all that were rejected.
--- @param pairs {chosen: table, rejected: table}[]
function sequence.sides(pairs)
  local rows = {}
  for i, pair in ipairs(pairs) do
    rows[i], rows[#pairs + i] = pair.chosen, pair.rejected
  end
  return rows
end

--- The first half of a tensor and the second: chosen, rejected.
function sequence.halves(x)
  local n = x:size(1) // 2
  return x:narrow(1, 1, n), x:narrow(1, n + 1, n)
end

return sequence
