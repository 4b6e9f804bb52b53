---@meta
--- Ops along a dimension: sums, extremes, sorting, softmax. Without a dimension a reduction is over
--- all elements and gives a single number (0 dimensions). Sums have one order, fixed by the shape.
-- luacheck: ignore 212 241

---@class moonlit.core
local core = {}
---@class Tensor
local Tensor = {}

-- ---- sums ----

--- The sum, over all elements or along a dimension. Integers and bool make i64.
--- > ml.tensor({{ 1, 2 }, { 3, 4 }}):sum()  --> 10
--- > ml.tensor({{ 1, 2 }, { 3, 4 }}):sum(1)  --> { 4, 6 }
---@param dim? integer
---@param opt? {keepdim: boolean?}  keepdim = false; true leaves the dimension, 1 long
---@return Tensor
function Tensor:sum(dim, opt) end
core.sum = Tensor.sum

--- The mean; integers and bool make f32.
--- > ml.tensor({ true, false, true, true }):mean()  --> 0.7500
--- > ml.tensor({{ 1, 2 }, { 3, 4 }}):mean(2)  --> { 1.5000, 3.5000 }
---@param dim? integer
---@param opt? {keepdim: boolean?}  keepdim = false
---@return Tensor
function Tensor:mean(dim, opt) end
core.mean = Tensor.mean

--- The variance: the sum of squared distances from the mean over n - correction, at least 0.
--- Integers make f32.
--- > ml.tensor({ 1, 2, 3 }):var()  --> 1.0000
--- > ml.tensor({ 1, 2, 3 }):var(1, { correction = 0 })  --> 0.6667
---@param dim? integer
---@param opt? {keepdim: boolean?, correction: integer?}  keepdim = false, correction = 1
---@return Tensor
function Tensor:var(dim, opt) end
core.var = Tensor.var

--- The Euclidean norm, sqrt(sum(x^2)). f32 or f64; the gradient of a zero norm is 0.
--- > ml.tensor({ 3.0, 4.0 }):norm()  --> 5.0000
---@param dim? integer
---@param opt? {keepdim: boolean?}  keepdim = false
---@return Tensor
function Tensor:norm(dim, opt) end
core.norm = Tensor.norm

--- Sums of everything up to each position along a dimension. Integers and bool make i64.
--- > ml.tensor({ 3, 1, 2 }):cumsum(1)  --> { 3, 4, 6 }
---@param dim integer
---@return Tensor
function Tensor:cumsum(dim) end
core.cumsum = Tensor.cumsum

--- Is any element other than 0? bool; of nothing, false.
--- > ml.tensor({ false, true }):any()  --> true
---@param dim? integer
---@param opt? {keepdim: boolean?}  keepdim = false
---@return Tensor
function Tensor:any(dim, opt) end
core.any = Tensor.any

--- Are all elements other than 0? bool; of nothing, true. As a selector, t[{ ml.all, 1 }], it is
--- the whole dimension.
--- > ml.tensor({{ true, false }, { true, true }}):all(2)  --> { false, true }
---@param dim? integer
---@param opt? {keepdim: boolean?}  keepdim = false
---@return Tensor
function Tensor:all(dim, opt) end
core.all = Tensor.all

-- ---- extremes: the first of equals; raises where there is no element ----

--- The largest element; x:max() is the same.
--- > ml.tensor({ 3, 9, 5 }):amax()  --> 9
---@return Tensor
function Tensor:amax() end
core.amax = Tensor.amax

--- The smallest element; x:min() is the same.
--- > ml.tensor({ 3, 9, 5 }):amin()  --> 3
---@return Tensor
function Tensor:amin() end
core.amin = Tensor.amin

--- The largest along a dimension, and their positions; x:max(dim) is the same.
--- > ml.tensor({ 3, 9, 5 }):max_along(1)  --> 9, 2
---@param dim integer
---@param opt? {keepdim: boolean?}  keepdim = false
---@return Tensor values
---@return Tensor positions  i64, 1-based
function Tensor:max_along(dim, opt) end
core.max_along = Tensor.max_along

--- The smallest along a dimension, and their positions; x:min(dim) is the same.
--- > ml.tensor({ 3, 9, 5 }):min_along(1)  --> 3, 1
---@param dim integer
---@param opt? {keepdim: boolean?}  keepdim = false
---@return Tensor values
---@return Tensor positions  i64, 1-based
function Tensor:min_along(dim, opt) end
core.min_along = Tensor.min_along

--- The position of the largest, 1-based; without a dimension, among all elements in order.
--- > ml.tensor({{ 3, 9 }, { 7, 1 }}):argmax(2)  --> { 2, 1 }
---@param dim? integer
---@param opt? {keepdim: boolean?}  keepdim = false
---@return Tensor  i64
function Tensor:argmax(dim, opt) end
core.argmax = Tensor.argmax

--- The position of the smallest, 1-based; without a dimension, among all elements in order.
--- > ml.tensor({{ 3, 9 }, { 7, 1 }}):argmin()  --> 4
---@param dim? integer
---@param opt? {keepdim: boolean?}  keepdim = false
---@return Tensor  i64
function Tensor:argmin(dim, opt) end
core.argmin = Tensor.argmin

--- The id of the largest, 0-based: the class that logits favour.
--- > ml.tensor({{ 3, 9 }, { 7, 1 }}):argmax_ids(2)  --> { 1, 0 }
---@param dim? integer
---@param opt? {keepdim: boolean?}  keepdim = false
---@return Tensor  i64
function Tensor:argmax_ids(dim, opt) end
core.argmax_ids = Tensor.argmax_ids

-- ---- order: stable, ties by the first position ----

--- Sorted along a dimension, and where each value was.
--- > ml.tensor({ 3, 9, 5 }):sort()  --> { 3, 5, 9 }, { 1, 3, 2 }
---@param dim? integer  = -1
---@param opt? {descending: boolean?}  descending = false
---@return Tensor values
---@return Tensor positions  i64, 1-based
function Tensor:sort(dim, opt) end
core.sort = Tensor.sort

--- The k largest along a dimension, largest first, and their positions.
--- > ml.tensor({ 3, 9, 5 }):topk(2)  --> { 9, 5 }, { 2, 3 }
---@param k integer  1 to the dimension's size
---@param dim? integer  = -1
---@return Tensor values
---@return Tensor positions  i64, 1-based
function Tensor:topk(k, dim) end
core.topk = Tensor.topk

--- The k largest along a dimension, largest first, and their ids.
--- > ml.tensor({ 3, 9, 5 }):topk_ids(2)  --> { 9, 5 }, { 1, 2 }
---@param k integer  1 to the dimension's size
---@param dim? integer  = -1
---@return Tensor values
---@return Tensor ids  i64, 0-based
function Tensor:topk_ids(k, dim) end
core.topk_ids = Tensor.topk_ids

-- ---- softmax ----

--- e^x over the sum of e^x along a dimension, without overflow. f32 or f64.
--- > ml.tensor({ 1.0, 2.0 }):softmax(1)  --> { 0.2689, 0.7311 }
---@param dim integer
---@return Tensor
function Tensor:softmax(dim) end
core.softmax = Tensor.softmax

--- log(softmax(x)), in nats. f32 or f64.
--- > ml.tensor({ 1.0, 2.0 }):log_softmax(-1)  --> { -1.3133, -0.3133 }
---@param dim integer
---@return Tensor
function Tensor:log_softmax(dim) end
core.log_softmax = Tensor.log_softmax

return { core = core, Tensor = Tensor }
