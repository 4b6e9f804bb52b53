---@meta
--- Ops that move elements or only look at them differently: views, joining, copies, casts, taking
--- by position and by id. A view shares its elements with the tensor it was made from.
-- luacheck: ignore 212 241

---@class moonlit.core
local core = {}
---@class Tensor
local Tensor = {}

-- ---- views ----

--- So many positions of a dimension, from start on, every step-th.
--- > ml.arange(6):narrow(1, 2, 3)  --> { 2, 3, 4 }
--- > ml.arange(6):narrow(1, 1, 3, 2)  --> { 1, 3, 5 }
---@param dim integer
---@param start integer  a position
---@param length integer
---@param step? integer  = 1
---@return Tensor
function Tensor:narrow(dim, start, length, step) end
core.narrow = Tensor.narrow

--- One position of a dimension, which goes away.
--- > ml.tensor({{ 1, 2 }, { 3, 4 }}):select(2, 1)  --> { 1, 3 }
---@param dim integer
---@param position integer
---@return Tensor
function Tensor:select(dim, position) end
core.select = Tensor.select

--- Two dimensions change places.
--- > ml.zeros(2, 3, 4):transpose(1, 3):shape()  --> { 4, 3, 2 }
---@param dim integer
---@param other integer
---@return Tensor
function Tensor:transpose(dim, other) end
core.transpose = Tensor.transpose

--- A matrix, transposed.
--- > ml.tensor({{ 1, 2 }, { 3, 4 }}):t()  --> {{ 1, 3 }, { 2, 4 }}
---@return Tensor
function Tensor:t() end
core.t = Tensor.t

--- Dimensions in another order: dimension i of the result is x's dims[i].
--- > ml.zeros(2, 3, 4):permute(3, 1, 2):shape()  --> { 4, 2, 3 }
---@param ... integer|integer[]  each dimension once
---@return Tensor
function Tensor:permute(...) end
core.permute = Tensor.permute

--- Other sizes for the same elements in the same order, without a copy; one size may be -1, what is
--- left. Raises where strides do not allow it: reshape copies then.
--- > ml.arange(6):view(2, -1)  --> {{ 1, 2, 3 }, { 4, 5, 6 }}
---@param ... sizes
---@return Tensor
function Tensor:view(...) end
core.view = Tensor.view

--- view where strides allow it, else a copy.
--- > ml.tensor({{ 1, 2 }, { 3, 4 }}):t():reshape(4)  --> { 1, 3, 2, 4 }
---@param ... sizes
---@return Tensor
function Tensor:reshape(...) end
core.reshape = Tensor.reshape

--- All elements in one dimension.
--- > ml.tensor({{ 1, 2 }, { 3, 4 }}):flatten()  --> { 1, 2, 3, 4 }
---@return Tensor
function Tensor:flatten() end
core.flatten = Tensor.flatten

--- Dimensions of size 1 repeated, new ones in front, without a copy; -1 keeps a size. Ops broadcast
--- by themselves: this is rarely needed.
--- > ml.arange(2):expand(3, -1)  --> {{ 1, 2 }, { 1, 2 }, { 1, 2 }}
---@param ... sizes
---@return Tensor
function Tensor:expand(...) end
core.expand = Tensor.expand

--- A new dimension of size 1.
--- > ml.zeros(2, 3):unsqueeze(2):shape()  --> { 2, 1, 3 }
---@param dim integer  where it will be; one past the last, too
---@return Tensor
function Tensor:unsqueeze(dim) end
core.unsqueeze = Tensor.unsqueeze

--- Without a dimension of size 1, or without all of them.
--- > ml.zeros(1, 3, 1):squeeze(1):shape()  --> { 3, 1 }
--- > ml.zeros(1, 3, 1):squeeze():shape()  --> { 3 }
---@param dim? integer  raises if it is not 1 long
---@return Tensor
function Tensor:squeeze(dim) end
core.squeeze = Tensor.squeeze

--- Any window onto the elements of a contiguous tensor. Windows may overlap; the gradient adds up.
--- > ml.arange(5):strided({ 3, 2, 1, 1 })  --> {{ 1, 2 }, { 2, 3 }, { 3, 4 }}
---@param windows integer[]  sizes, then as many strides, in elements
---@param offset? integer  = 0, in elements
---@return Tensor
function Tensor:strided(windows, offset) end
core.strided = Tensor.strided

-- ---- copies ----

--- The tensor itself if its elements lie in order, else a copy of which they do.
--- > ml.tensor({{ 1, 2 }, { 3, 4 }}):t():contiguous():stride()  --> { 2, 1 }
---@return Tensor
function Tensor:contiguous() end
core.contiguous = Tensor.contiguous

--- A contiguous copy; the gradient flows through (detach cuts it).
--- > ml.tensor({ 1, 2 }):clone()  --> { 1, 2 }
---@return Tensor
function Tensor:clone() end
core.clone = Tensor.clone

--- Another dtype; the tensor itself if it has it. Between floats gradients flow through. Floats
--- become integers towards 0, narrow integers stop at their ends.
--- > ml.tensor({ 1.9, -1.9 }):to("i64")  --> { 1, -1 }
---@param dtype dtype
---@return Tensor
function Tensor:to(dtype) end
core.to = Tensor.to

-- ---- joining ----

--- Tensors one after the other along a dimension; their other sizes and dtypes must agree.
--- > ml.cat { ml.tensor { 1, 2 }, ml.tensor { 3 } }  --> { 1, 2, 3 }
---@param list Tensor[]
---@param dim? integer  = 1
---@return Tensor
function core.cat(list, dim) end

--- Tensors of one shape and dtype along a new dimension.
--- > ml.stack { ml.tensor { 1, 2 }, ml.tensor { 3, 4 } }  --> {{ 1, 2 }, { 3, 4 }}
---@param list Tensor[]
---@param dim? integer  = 1: where the new one will be
---@return Tensor
function core.stack(list, dim) end

-- ---- by index: positions count from 1, ids from 0 ----

--- y[i][j] = x[i][index[i][j]] along dimension 2, and so on: index and result have x's sizes but
--- for that dimension. Any dtype.
--- > ml.tensor({{ 1, 2 }, { 3, 4 }}):gather(2, ml.tensor {{ 2 }, { 1 }})  --> {{ 2 }, { 3 }}
---@param dim integer
---@param index Tensor  integers: positions, -1 the last
---@return Tensor
function Tensor:gather(dim, index) end
core.gather = Tensor.gather

--- gather by 0-based ids: the log-probabilities of tokens, say.
--- > ml.tensor({{ 1, 2 }, { 3, 4 }}):gather_ids(2, ml.tensor {{ 1 }, { 0 }})  --> {{ 2 }, { 3 }}
---@param dim integer
---@param ids Tensor  integers from 0
---@return Tensor
function Tensor:gather_ids(dim, ids) end
core.gather_ids = Tensor.gather_ids

--- x plus each element of src at its position along a dimension; equal positions add up, in order.
--- > ml.zeros(3):scatter_add(1, ml.tensor { 2, 2 }, ml.tensor { 1.0, 5.0 })
---   --> { 0.0000, 6.0000, 0.0000 }
---@param dim integer
---@param index Tensor  integers: positions; x's sizes but for that dimension
---@param src Tensor  of index' sizes and x's dtype, f32 or f64
---@return Tensor
function Tensor:scatter_add(dim, index, src) end
core.scatter_add = Tensor.scatter_add

--- The listed positions of a dimension, in that order; any dtype. t[index] is the same for the
--- first dimension.
--- > ml.tensor({ 10, 20, 30 }):index_select(1, ml.tensor { 3, 1 })  --> { 30, 10 }
---@param dim integer
---@param index Tensor  (n) integers: positions
---@return Tensor
function Tensor:index_select(dim, index) end
core.index_select = Tensor.index_select

--- Rows of a table (V, C) by 0-based id: ids of any sizes give (ids.., C).
--- > ml.tensor({{ 0.0, 1.0 }, { 2.0, 3.0 }}):embedding(ml.tensor { 1, 0 })
---   --> {{ 2.0000, 3.0000 }, { 0.0000, 1.0000 }}
---@param ids Tensor  integers from 0 to V - 1
---@return Tensor
function Tensor:embedding(ids) end
core.embedding = Tensor.embedding

return { core = core, Tensor = Tensor }
