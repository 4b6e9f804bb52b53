--- What the losses share: checked shapes, masks that let nothing through, means that are 0 and not
--- NaN when nothing counts, and the sequences of packed rows. Internal to moonlit.loss.
local core = require "moonlit.core"

local masked = {}

local function sizes(x) return ("(%s)"):format(table.concat(x:shape(), ", ")) end

--- Raises, in the name of whoever called the loss, unless x is a tensor of y's shape.
--- @param who string   the loss
--- @param name string  what x is
--- @param x any
--- @param y Tensor
--- @param whose string  what y is
--- @param level? integer  as error() counts, from here; 3 unless given
function masked.same(who, name, x, y, whose, level)
  level = level or 3
  if not core.is_tensor(x) then
    error(("%s: %s must be a tensor, got %s"):format(who, name, type(x)), level)
  end
  if sizes(x) ~= sizes(y) then
    error(("%s: %s must have the shape of %s, %s, got %s"):format(who, name, whose, sizes(y),
                                                                  sizes(x)), level)
  end
end

--- Raises unless x is a float tensor, of so many dimensions if dims is given.
function masked.floats(who, name, x, dims)
  if not core.is_tensor(x) then
    error(("%s: %s must be a tensor, got %s"):format(who, name, type(x)), 3)
  end
  if x:dtype() ~= "f32" and x:dtype() ~= "f64" then
    error(("%s: %s must be f32 or f64, got %s"):format(who, name, x:dtype()), 3)
  end
  if dims and x:dim() ~= dims then
    error(("%s: %s must have %d dimensions, got %s"):format(who, name, dims, sizes(x)), 3)
  end
end

--- Raises unless value is one of the names.
function masked.one_of(who, name, value, names, level)
  for _, known in ipairs(names) do
    if value == known then return end
  end
  error(('%s: %s must be one of "%s", got "%s"'):format(who, name, table.concat(names, '", "'),
                                                        tostring(value)), level or 3)
end

--- The mask as bool: true where it is not 0; everywhere if there is none.
--- @param mask Tensor|nil  of x's shape, any dtype
function masked.keep(mask, x)
  if not mask then return core.ones(x:shape(), { dtype = "bool" }) end
  return core.ne(mask:detach(), 0)
end

--- x where kept, 0 elsewhere: neither a value nor a gradient of what is masked comes through, be
--- it NaN.
function masked.only(x, keep) return core.where(keep, x, 0) end

--- How many are kept.
function masked.count(keep) return keep:sum():item() end

--- The sum of what is kept over `over`, by default how many are; 0 if none is.
function masked.mean(x, keep, over)
  return masked.only(x, keep):sum() / math.max(over or masked.count(keep), 1)
end

--- masked.mean as a number.
function masked.number(x, keep) return masked.mean(x:to("f64"), keep):item() end

--- Which sequence every position of (B, T) belongs to: (B * T) positions from 1, and how many
--- there are. Each row is one, unless documents say otherwise.
--- @param doc Tensor|nil  (B, T) integers: a change is the beginning of another
function masked.sequences(doc, x)
  local rows, length = x:size()
  local first = core.zeros({ rows, length }, { dtype = "bool" })
  first:narrow(2, 1, 1):fill_(true)
  if doc and length > 1 then
    local here, before = doc:narrow(2, 2, length - 1), doc:narrow(2, 1, length - 1)
    first:narrow(2, 2, length - 1):copy_(core.ne(here, before))
  end
  local ids = first:flatten():cumsum(1)
  return ids, rows * length == 0 and 0 or ids[rows * length]:item()
end

--- Sums of (B, T) over each of n sequences: (n).
function masked.per_sequence(x, ids, n)
  return core.zeros({ n }, { dtype = x:dtype() }):scatter_add(1, ids, x:flatten())
end

return masked
