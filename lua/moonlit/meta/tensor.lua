---@meta
--- Methods of a tensor that are not ops, operators, indexing.
-- luacheck: ignore 212 241

--- A tensor: elements of one dtype in up to 8 dimensions, seen through sizes and strides; several
--- tensors may share the same elements. f32 and f64 compute; bf16 and f16 only store.
---
--- t[k] reads and t[k] = v writes (a number or a tensor that broadcasts). k is one selector of
--- the first dimension or an array of them: a position, { first, last [, step] } with both ends
--- included, ml.all, or, alone, a tensor: i64 positions, or a mask (bool, u8) of all elements or
--- of the first dimension. Ranges are views. #t is t:size(1).
---@class Tensor
---@operator add(Tensor|number): Tensor
---@operator sub(Tensor|number): Tensor
---@operator mul(Tensor|number): Tensor
---@operator div(Tensor|number): Tensor
---@operator pow(Tensor|number): Tensor
---@operator unm: Tensor
---@operator len: integer
---@field [integer|table|Tensor|function] Tensor
local Tensor = {}

-- ---- questions ----

--- All sizes, or that of one dimension.
--- > ml.zeros(2, 3):size()  --> 2, 3
--- > ml.zeros(2, 3):size(-1)  --> 3
---@param dim? integer
---@return integer ...
function Tensor:size(dim) end

--- The sizes as an array.
--- > ml.zeros(2, 3):shape()  --> { 2, 3 }
---@return integer[]
function Tensor:shape() end

--- For each dimension, how many elements of the storage lie between neighbours.
--- > ml.zeros(2, 3):t():stride()  --> { 1, 3 }
---@return integer[]
function Tensor:stride() end

--- How many dimensions it has; 0 for a single number.
--- > ml.zeros(2, 3):dim()  --> 2
---@return integer
function Tensor:dim() end

--- How many elements it has.
--- > ml.zeros(2, 3):numel()  --> 6
---@return integer
function Tensor:numel() end

--- Its dtype's name.
--- > ml.tensor({ 1, 2 }):dtype()  --> i64
---@return dtype
function Tensor:dtype() end

--- Do its elements lie in memory in their own order, without gaps?
--- > ml.zeros(2, 3):is_contiguous(), ml.zeros(2, 3):t():is_contiguous()  --> true, false
---@return boolean
function Tensor:is_contiguous() end

--- Was it made by no recorded op? Gradients end up in leaves.
--- > x = ml.ones(2, { grad = true })
--- > x:is_leaf(), (x * 2):is_leaf()  --> true, false
---@return boolean
function Tensor:is_leaf() end

--- Do two tensors look at the same storage?
--- > x = ml.zeros(4)
--- > x:shares(x:view(2, 2)), x:shares(x:clone())  --> true, false
---@param other Tensor
---@return boolean
function Tensor:shares(other) end

-- ---- values ----

--- The one element as a Lua number or boolean; raises when there are more, or none.
--- > ml.tensor({ 1.5, 2 }):sum():item()  --> 3.5
---@return number|boolean
function Tensor:item() end

--- The elements as nested tables; a single number as itself.
--- > ml.tensor({{ 1, 2 }, { 3, 4 }}):table()[2]  --> { 3, 4 }
---@return table|number|boolean
function Tensor:table() end

--- The elements in order as one string, little endian; ml.frombytes reads it.
--- > #ml.zeros(3):bytes()  --> 12
---@return string
function Tensor:bytes() end

--- Writes src, broadcast and cast, over the elements, and returns the tensor. Recorded, the
--- gradient goes to src; a leaf that requires one is written inside no_grad only.
--- > ml.zeros(2, 2):copy_(ml.tensor { 1, 2 })  --> {{ 1.0000, 2.0000 }, { 1.0000, 2.0000 }}
---@param src Tensor
---@return Tensor
function Tensor:copy_(src) end

--- Writes one value everywhere, and returns the tensor.
--- > ml.zeros(2):fill_(3)  --> { 3.0000, 3.0000 }
---@param value number|boolean
---@return Tensor
function Tensor:fill_(value) end

--- Writes 0 everywhere, and returns the tensor.
--- > ml.ones(2):zero_()  --> { 0.0000, 0.0000 }
---@return Tensor
function Tensor:zero_() end

--- Lets go of the elements now instead of when the collector comes. Safe to call twice; any other
--- use raises afterwards. `local x <close> = ...` does the same at the end of its block.
function Tensor:free() end

-- ---- gradients ----

--- Whether it requires a gradient; given a boolean, sets that (f32 and f64 leaves only) and
--- returns the tensor.
--- > ml.ones(2):requires_grad(true):requires_grad()  --> true
---@param want? boolean
---@return boolean|Tensor
function Tensor:requires_grad(want) end

--- The gradient that backward passes have added up, or nil.
--- > x = ml.tensor({ 1, 2 }, { dtype = "f32", grad = true })
--- > (x * x):sum():backward()
--- > x:grad()  --> { 2.0000, 4.0000 }
---@return Tensor|nil
function Tensor:grad() end

--- Drops the gradient, and returns the tensor.
--- > ml.ones(2, { grad = true }):discard_grad():grad()  --> nil
---@return Tensor
function Tensor:discard_grad() end

--- The same elements without a history: a leaf that requires no gradient.
--- > (ml.ones(2, { grad = true }) * 2):detach():requires_grad()  --> false
---@return Tensor
function Tensor:detach() end

--- Adds this tensor's gradient into every leaf it was made of, and frees what the graph kept: a
--- second call raises, and so does a tensor the graph needs that was written to since. The tensor
--- must be one number, or dy is given.
--- > x = ml.ones(2, { grad = true })
--- > (x * 3):backward(ml.tensor { 1.0, 10.0 })
--- > x:grad()  --> { 3.0000, 30.0000 }
---@param dy? Tensor  of this tensor's shape and dtype; 1 for a single number
function Tensor:backward(dy) end

-- ---- said in Lua (lua/moonlit/tensor.lua) ----

--- The largest element; along a dimension, the largest and their positions.
--- > ml.tensor({ 3, 9, 5 }):max()  --> 9
--- > ml.tensor({{ 3, 9 }, { 7, 1 }}):max(2)  --> { 9, 7 }, { 2, 1 }
---@param dim? integer
---@param opt? {keepdim: boolean?}  keepdim = false
---@return Tensor values
---@return Tensor? positions  i64, 1-based; the first of equals
function Tensor:max(dim, opt) end

--- The smallest element; along a dimension, the smallest and their positions.
--- > ml.tensor({{ 3, 9 }, { 7, 1 }}):min(1)  --> { 3, 1 }, { 1, 2 }
---@param dim? integer
---@param opt? {keepdim: boolean?}  keepdim = false
---@return Tensor values
---@return Tensor? positions  i64, 1-based; the first of equals
function Tensor:min(dim, opt) end

--- Views of so many positions each; the last may be shorter. An array of sizes must add up to the
--- dimension.
--- > ml.arange(5):split(2)[3]  --> { 5 }
--- > ml.arange(5):split({ 1, 4 })[2]  --> { 2, 3, 4, 5 }
---@param size integer|integer[]
---@param dim? integer  = 1
---@return Tensor[]
function Tensor:split(size, dim) end

--- Is |x - y| <= atol + rtol |y| everywhere? NaN is close to nothing.
--- > ml.ones(2):allclose(ml.ones(2) + 1e-7)  --> true
---@param y Tensor|number
---@param opt? {rtol: number?, atol: number?}  rtol = 1e-5, atol = 1e-8
---@return boolean
function Tensor:allclose(y, opt) end

return Tensor
