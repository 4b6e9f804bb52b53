---@meta moonlit.core
--- What the module moonlit.core holds: functions here, and by area
---   tensor.lua       methods of a tensor that are not ops, operators, indexing
---   elementwise.lua  arithmetic, functions of one element, comparison
---   reduce.lua       sums, extremes, sorting, softmax
---   shape.lua        views, joining, taking by position and by id
---   blocks.lua       products, norms, attention, loss
---   nn.lua optim.lua files.lua stats.lua sys.lua
--- These files are read by editors, by `?name` in the REPL, and by tests/spec/meta_spec.lua, which
--- runs every example: `> expression  --> what it prints`, without a tensor's first line.
---
--- Said once: dimensions and positions count from 1, -1 is the last; token and class ids count
--- from 0. A wrong argument raises; files and texts that are not right give nil, message, code.
-- luacheck: ignore 212 241

---@class moonlit.core
---@field methods Tensor       the methods of tensors, where Lua may add its own
---@field autograd moonlit.core.autograd
---@field ckpt moonlit.core.ckpt
---@field json moonlit.core.json
---@field math moonlit.core.math
---@field nn moonlit.core.nn
---@field optim moonlit.core.optim
---@field shingles moonlit.core.shingles
---@field stats moonlit.core.stats
---@field sys moonlit.core.sys
local core = {}

---@alias dtype "f32"|"f64"|"i64"|"i32"|"u8"|"bool"|"bf16"|"f16"
---@alias sizes integer|integer[]  numbers one after the other, or one array
---@alias create {dtype: dtype?, grad: boolean?}  grad = false: whether it requires a gradient

-- ---- making tensors ----

--- A tensor of numbers: nested tables, a number or boolean, a string's bytes, or another tensor
--- (copied, without its history). Whole numbers make i64, booleans bool, a string u8, everything
--- else f32. Raises where tables differ in length or depth.
--- > ml.tensor {{ 1, 2 }, { 3, 4 }}  --> {{ 1, 2 }, { 3, 4 }}
--- > ml.tensor({ 1, 2.5 }, { dtype = "f64" })  --> { 1.0000, 2.5000 }
--- > ml.tensor "ab"  --> { 97, 98 }
---@param value table|number|boolean|string|Tensor
---@param opt? create  dtype as said above
---@return Tensor
function core.tensor(value, opt) end

--- A tensor from the bytes of its elements in order, little endian: the inverse of x:bytes().
--- Raises when the string's length is not that of the sizes.
--- > ml.frombytes("\1\0\2\0", "u8", 2, 2)  --> {{ 1, 0 }, { 2, 0 }}
---@param bytes string
---@param dtype dtype
---@param ... sizes
---@return Tensor
function core.frombytes(bytes, dtype, ...) end

--- Zeros; sizes, then options { dtype = "f32", grad = false }.
--- > ml.zeros(2, 3)  --> {{ 0.0000, 0.0000, 0.0000 }, { 0.0000, 0.0000, 0.0000 }}
--- > ml.zeros({ 2 }, { dtype = "i64" })  --> { 0, 0 }
---@param ... sizes|create
---@return Tensor
function core.zeros(...) end

--- Ones; sizes, then options { dtype = "f32", grad = false }.
--- > ml.ones(2)  --> { 1.0000, 1.0000 }
---@param ... sizes|create
---@return Tensor
function core.ones(...) end

--- One value everywhere; f32, or bool for a boolean, unless the options say otherwise.
--- > ml.full({ 2, 2 }, 0.5)  --> {{ 0.5000, 0.5000 }, { 0.5000, 0.5000 }}
--- > ml.full(2, true)  --> { true, true }
---@param sizes sizes  one number, or an array
---@param value number|boolean
---@param opt? create
---@return Tensor
function core.full(sizes, value, opt) end

--- Zeros of x's sizes and, unless the options say otherwise, its dtype.
--- > ml.zeros_like(ml.tensor { 5, 6 })  --> { 0, 0 }
---@param x Tensor
---@param opt? create
---@return Tensor
function core.zeros_like(x, opt) end

--- Ones of x's sizes and, unless the options say otherwise, its dtype.
--- > ml.ones_like(ml.tensor { 5, 6 })  --> { 1, 1 }
---@param x Tensor
---@param opt? create
---@return Tensor
function core.ones_like(x, opt) end

--- The (n, n) identity; f32 unless the options say otherwise.
--- > ml.eye(2)  --> {{ 1.0000, 0.0000 }, { 0.0000, 1.0000 }}
---@param n integer
---@param opt? create
---@return Tensor
function core.eye(n, opt) end

--- arange(last) or arange(first, last [, step]): last is included, as in Lua's own for. Whole
--- numbers make i64, others f32; first = 1, step = 1.
--- > ml.arange(4)  --> { 1, 2, 3, 4 }
--- > ml.arange(0, 1, 0.5)  --> { 0.0000, 0.5000, 1.0000 }
---@param first number
---@param last? number
---@param step? number  not 0
---@param opt? create
---@return Tensor
---@overload fun(last: number, opt?: create): Tensor
function core.arange(first, last, step, opt) end

--- Normal numbers of mean 0 and variance 1, f32 or f64. Element i is a function of the seed and
--- of how many were drawn before, whatever the threads.
--- > ml.randn(2, 3):shape()  --> { 2, 3 }
---@param ... sizes|create
---@return Tensor
function core.randn(...) end

--- Uniform numbers in [0, 1), f32 or f64.
--- > ml.rand(100):lt(1):all()  --> true
---@param ... sizes|create
---@return Tensor
function core.rand(...) end

--- Uniform integers from lo to hi, both included; i64.
--- > ml.randint(7, 7, 3)  --> { 7, 7, 7 }
---@param lo integer
---@param hi integer  not below lo
---@param ... sizes
---@return Tensor
function core.randint(lo, hi, ...) end

--- Is this value a tensor? A freed one is not.
--- > ml.is_tensor(ml.zeros(2)), ml.is_tensor(2)  --> true, false
---@param value any
---@return boolean
function core.is_tensor(value) end

-- ---- sampling ----

--- Draws one id from each row of logits (rows, V), which are not changed; temperature 0 takes the
--- largest. top_k, top_p and min_p apply in this order. A draw is a function of (seed, rollout,
--- prompt, sample, position) alone, so a text does not depend on its batch. The log-probability
--- is that of the id at this temperature, over all V, before anything was cut away.
--- > core.sample(ml.tensor {{ 0.5, 2, 1 }}, { temperature = 0 }, { 1 }, { 1 }, { 1 })[1]  --> 1
---@param logits Tensor  (rows, V), f32 or f64
---@param opt table|nil  { temperature = 1, top_k = 0, top_p = 1, min_p = 0, seed = 0, rollout = 0 }
---@param prompt integer[]    which prompt each row belongs to
---@param sample integer[]    which of its samples
---@param position integer[]  which position of it
---@return integer[] ids       0-based
---@return number[]  logprobs  natural logarithms
function core.sample(logits, opt, prompt, sample, position) end

-- ---- autograd ----

---@class moonlit.core.autograd
core.autograd = {}

--- Whether gradients are recorded; given a boolean, switches that, and returns what was before.
--- > core.autograd.enabled()  --> true
---@param on? boolean
---@return boolean
function core.autograd.enabled(on) end

--- f(...) without recording; its results. Recording is as before afterwards, errors included.
--- > ml.no_grad(function(x) return (x * 2):requires_grad() end, ml.ones(2, { grad = true }))
---   --> false
---@param f function  may not yield
---@param ... any
---@return any ...
function core.autograd.no_grad(f, ...) end

--- f(...) with recording, inside no_grad too; its results.
--- > ml.no_grad(core.autograd.with_grad, core.autograd.enabled)  --> true
---@param f function  may not yield
---@param ... any
---@return any ...
function core.autograd.with_grad(f, ...) end

--- An operation written in Lua. forward(ctx, ...) runs without recording and returns one tensor;
--- backward(ctx, dy) returns a gradient or nil for each argument of forward. ctx is a fresh
--- table a call; ctx:save(t, ...) keeps tensors as ctx.saved and has backward raise if one of
--- them was changed since. always = true records even if no argument requires a gradient, for
--- functions whose parameters are upvalues. At most 16 tensors among the arguments, 8 saved.
--- > twice = core.autograd.fn { forward = function(_, x) return x * 2 end,
---     backward = function(_, dy) return dy * 2 end }
--- > twice(ml.tensor { 1, 2 })  --> { 2, 4 }
---@param op {forward: function, backward: function, always: boolean?}
---@return fun(...): Tensor
function core.autograd.fn(op) end

return core
