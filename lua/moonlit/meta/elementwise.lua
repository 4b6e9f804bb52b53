---@meta
--- Elementwise ops: arithmetic, functions of one element, choice, comparison. Every op is a method
--- and, of the same name, a function: x:exp(), ml.exp(x). A name that ends in _ is the op in place:
--- x becomes the result and is returned; its shape may not change.
-- luacheck: ignore 212 241

---@class moonlit.core
local core = {}
---@class Tensor
local Tensor = {}

-- ---- arithmetic: sizes broadcast, a number may stand on either side ----

--- x + y. Integers stay exact (i64 wraps around, narrower ones stop at their ends); a float beside
--- integers makes floats; f64 beside f32 makes f64; a whole number that x's dtype cannot hold, i64.
--- > ml.tensor({ 1, 2 }):add(ml.tensor { 10, 20 })  --> { 11, 22 }
--- > ml.tensor { 1, 2 } + 0.5  --> { 1.5000, 2.5000 }
---@param y Tensor|number
---@return Tensor
function Tensor:add(y) end
core.add = Tensor.add
Tensor.add_ = Tensor.add

--- x - y; dtypes as add.
--- > 10 - ml.tensor { 1, 2 }  --> { 9, 8 }
---@param y Tensor|number
---@return Tensor
function Tensor:sub(y) end
core.sub = Tensor.sub
Tensor.sub_ = Tensor.sub

--- x * y, element by element; dtypes as add. Matrices: matmul.
--- > ml.tensor {{ 1 }, { 2 }} * ml.tensor { 3, 4 }  --> {{ 3, 4 }, { 6, 8 }}
---@param y Tensor|number
---@return Tensor
function Tensor:mul(y) end
core.mul = Tensor.mul
Tensor.mul_ = Tensor.mul

--- x / y; integers make f32.
--- > ml.tensor { 7, 2 } / 2  --> { 3.5000, 1.0000 }
---@param y Tensor|number
---@return Tensor
function Tensor:div(y) end
core.div = Tensor.div
Tensor.div_ = Tensor.div

--- x ^ y; integers make f32. NaN for a negative x and a y that is not whole. Where y is 0 the
--- gradient of x is 0; where x is 0 and y not negative, that of y is.
--- > ml.tensor { 2, 3 } ^ 2  --> { 4.0000, 9.0000 }
---@param y Tensor|number
---@return Tensor
function Tensor:pow(y) end
core.pow = Tensor.pow
Tensor.pow_ = Tensor.pow

--- The larger of two elements; NaN if either is. A tie's gradient goes to x.
--- > ml.tensor({ 1, 5 }):maximum(3)  --> { 3, 5 }
---@param y Tensor|number
---@return Tensor
function Tensor:maximum(y) end
core.maximum = Tensor.maximum
Tensor.maximum_ = Tensor.maximum

--- The smaller of two elements; NaN if either is. A tie's gradient goes to x.
--- > ml.tensor({ 1, 5 }):minimum(3)  --> { 1, 3 }
---@param y Tensor|number
---@return Tensor
function Tensor:minimum(y) end
core.minimum = Tensor.minimum
Tensor.minimum_ = Tensor.minimum

--- -x, integers too.
--- > -ml.tensor { 1, -2 }  --> { -1, 2 }
---@return Tensor
function Tensor:neg() end
core.neg = Tensor.neg
Tensor.neg_ = Tensor.neg

--- |x|, integers too. The gradient at 0 is 0.
--- > ml.tensor({ 1, -2 }):abs()  --> { 1, 2 }
---@return Tensor
function Tensor:abs() end
core.abs = Tensor.abs
Tensor.abs_ = Tensor.abs

-- ---- functions of one element: f32 or f64 ----

--- e ^ x. f32 or f64, as all functions below; moonlit's own, to the same bits on every machine.
--- > ml.tensor({ 0.0, 1.0 }):exp()  --> { 1.0000, 2.7183 }
---@return Tensor
function Tensor:exp() end
core.exp = Tensor.exp
Tensor.exp_ = Tensor.exp

--- The natural logarithm; -Inf at 0, NaN below.
--- > ml.tensor({ 1.0, 10.0 }):log()  --> { 0.0000, 2.3026 }
---@return Tensor
function Tensor:log() end
core.log = Tensor.log
Tensor.log_ = Tensor.log

--- The square root; NaN below 0.
--- > ml.tensor({ 4.0, 2.0 }):sqrt()  --> { 2.0000, 1.4142 }
---@return Tensor
function Tensor:sqrt() end
core.sqrt = Tensor.sqrt
Tensor.sqrt_ = Tensor.sqrt

--- The sine of x radians.
--- > ml.tensor({ 0.0, 1.5 }):sin()  --> { 0.0000, 0.9975 }
---@return Tensor
function Tensor:sin() end
core.sin = Tensor.sin
Tensor.sin_ = Tensor.sin

--- The cosine of x radians.
--- > ml.tensor({ 0.0, 1.5 }):cos()  --> { 1.0000, 0.0707 }
---@return Tensor
function Tensor:cos() end
core.cos = Tensor.cos
Tensor.cos_ = Tensor.cos

--- The error function, 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x.
--- > ml.tensor({ 0.0, 1.0 }):erf()  --> { 0.0000, 0.8427 }
---@return Tensor
function Tensor:erf() end
core.erf = Tensor.erf
Tensor.erf_ = Tensor.erf

--- The hyperbolic tangent.
--- > ml.tensor({ 0.0, 1.0 }):tanh()  --> { 0.0000, 0.7616 }
---@return Tensor
function Tensor:tanh() end
core.tanh = Tensor.tanh
Tensor.tanh_ = Tensor.tanh

--- 1 / (1 + e^-x).
--- > ml.tensor({ 0.0, 2.0 }):sigmoid()  --> { 0.5000, 0.8808 }
---@return Tensor
function Tensor:sigmoid() end
core.sigmoid = Tensor.sigmoid
Tensor.sigmoid_ = Tensor.sigmoid

--- x sigmoid(x), also called swish (arXiv 1702.03118).
--- > ml.tensor({ -1.0, 2.0 }):silu()  --> { -0.2689, 1.7616 }
---@return Tensor
function Tensor:silu() end
core.silu = Tensor.silu
Tensor.silu_ = Tensor.silu

--- x times the normal distribution function of x (arXiv 1606.08415).
--- > ml.tensor({ -1.0, 2.0 }):gelu()  --> { -0.1587, 1.9545 }
--- > ml.tensor({ -1.0, 2.0 }):gelu { approximate = "tanh" }  --> { -0.1588, 1.9546 }
---@param opt? {approximate: "none"|"tanh"?}  approximate = "none": by erf
---@return Tensor
function Tensor:gelu(opt) end
core.gelu = Tensor.gelu
Tensor.gelu_ = Tensor.gelu

--- max(x, 0); the gradient at 0 is 0.
--- > ml.tensor({ -1.0, 2.0 }):relu()  --> { 0.0000, 2.0000 }
---@return Tensor
function Tensor:relu() end
core.relu = Tensor.relu
Tensor.relu_ = Tensor.relu

--- max(x, 0)^2 (arXiv 2109.08668).
--- > ml.tensor({ -1.0, 3.0 }):relu2()  --> { 0.0000, 9.0000 }
---@return Tensor
function Tensor:relu2() end
core.relu2 = Tensor.relu2
Tensor.relu2_ = Tensor.relu2

--- log(sigmoid(x)), without overflow.
--- > ml.tensor({ 0.0, -100.0 }):logsigmoid()  --> { -0.69, -100.00 }
---@return Tensor
function Tensor:logsigmoid() end
core.logsigmoid = Tensor.logsigmoid
Tensor.logsigmoid_ = Tensor.logsigmoid

--- log(1 + e^x), without overflow.
--- > ml.tensor({ 0.0, 100.0 }):softplus()  --> { 0.69, 100.00 }
---@return Tensor
function Tensor:softplus() end
core.softplus = Tensor.softplus
Tensor.softplus_ = Tensor.softplus

--- 1 / x.
--- > ml.tensor({ 2.0, 4.0 }):reciprocal()  --> { 0.5000, 0.2500 }
---@return Tensor
function Tensor:reciprocal() end
core.reciprocal = Tensor.reciprocal
Tensor.reciprocal_ = Tensor.reciprocal

--- The largest whole number not above x. Its gradient is 0.
--- > ml.tensor({ 1.5, -1.5 }):floor()  --> { 1.0000, -2.0000 }
---@return Tensor
function Tensor:floor() end
core.floor = Tensor.floor
Tensor.floor_ = Tensor.floor

--- -1, 0 or 1. Its gradient is 0.
--- > ml.tensor({ 1.5, 0.0, -2.0 }):sign()  --> { 1.0000, 0.0000, -1.0000 }
---@return Tensor
function Tensor:sign() end
core.sign = Tensor.sign
Tensor.sign_ = Tensor.sign

-- ---- choosing ----

--- min(max(x, lo), hi). A bound with a fraction makes f32 of integers. Gradient passes where x is
--- inside or on a bound.
--- > ml.tensor({ 1, 5, 9 }):clamp(2, 6)  --> { 2, 5, 6 }
---@param lo? number  = -inf
---@param hi? number  = inf
---@return Tensor
function Tensor:clamp(lo, hi) end
core.clamp = Tensor.clamp
Tensor.clamp_ = Tensor.clamp

--- a where the condition (this tensor) is true, b elsewhere; all three broadcast.
--- > ml.where(ml.tensor { true, false }, ml.tensor { 1, 2 }, 0)  --> { 1, 0 }
---@param a Tensor|number
---@param b Tensor|number
---@return Tensor
function Tensor:where(a, b) end
core.where = Tensor.where

--- x, with value where mask is true.
--- > ml.tensor({ 1, 2 }):masked_fill(ml.tensor { true, false }, 9)  --> { 9, 2 }
---@param mask Tensor  bool or u8, broadcasts with x
---@param value Tensor|number
---@return Tensor
function Tensor:masked_fill(mask, value) end
core.masked_fill = Tensor.masked_fill
Tensor.masked_fill_ = Tensor.masked_fill

--- The lower triangle of the last two dimensions: x where column <= row + k, else 0.
--- > ml.ones(2, 2):tril()  --> {{ 1.0000, 0.0000 }, { 1.0000, 1.0000 }}
---@param k? integer  = 0: how many diagonals above the main one stay
---@return Tensor
function Tensor:tril(k) end
core.tril = Tensor.tril
Tensor.tril_ = Tensor.tril

--- The upper triangle of the last two dimensions: x where column >= row + k, else 0.
--- > ml.ones(2, 2):triu(1)  --> {{ 0.0000, 1.0000 }, { 0.0000, 0.0000 }}
---@param k? integer  = 0: from which diagonal on, counted from the main one
---@return Tensor
function Tensor:triu(k) end
core.triu = Tensor.triu
Tensor.triu_ = Tensor.triu

--- Zeroes elements with probability p and divides the rest by 1 - p (arXiv 1207.0580). The mask is
--- a function of (seed, step, site) and the element's position. Called as x:dropout(p), without
--- options, it takes the next of this state's random numbers. There is no "eval mode": leave the
--- call out.
--- > ml.ones(2):dropout(0)  --> { 1.0000, 1.0000 }
--- > ml.ones(1000):dropout(0.5, { seed = 1 }):gt(0):mean():lt(0.6)  --> true
---@param p? number  = 0.5, in [0, 1)
---@param opt? {seed: integer?, step: integer?, site: integer?}  seed = 0, step = 0, site = 0
---@return Tensor
function Tensor:dropout(p, opt) end
core.dropout = Tensor.dropout

-- ---- comparison: bool results, no gradient. == and < of Lua are not these ----

--- x == y, element by element. NaN equals nothing.
--- > ml.tensor({ 1, 2 }):eq(2)  --> { false, true }
---@param y Tensor|number
---@return Tensor
function Tensor:eq(y) end
core.eq = Tensor.eq

--- x ~= y.
--- > ml.tensor({ 1, 2 }):ne(2)  --> { true, false }
---@param y Tensor|number
---@return Tensor
function Tensor:ne(y) end
core.ne = Tensor.ne

--- x < y.
--- > ml.tensor({ 1, 2, 3 }):lt(2)  --> { true, false, false }
---@param y Tensor|number
---@return Tensor
function Tensor:lt(y) end
core.lt = Tensor.lt

--- x <= y.
--- > ml.tensor({ 1, 2, 3 }):le(2)  --> { true, true, false }
---@param y Tensor|number
---@return Tensor
function Tensor:le(y) end
core.le = Tensor.le

--- x > y.
--- > ml.tensor({ 1, 2, 3 }):gt(2)  --> { false, false, true }
---@param y Tensor|number
---@return Tensor
function Tensor:gt(y) end
core.gt = Tensor.gt

--- x >= y.
--- > ml.tensor({ 1, 2, 3 }):ge(2)  --> { false, true, true }
---@param y Tensor|number
---@return Tensor
function Tensor:ge(y) end
core.ge = Tensor.ge

--- Which elements are NaN?
--- > ml.tensor({ 0/0, 1.0 }):isnan()  --> { true, false }
---@return Tensor
function Tensor:isnan() end
core.isnan = Tensor.isnan

--- Both other than 0?
--- > ml.tensor({ true, true }):logical_and(ml.tensor { true, false })  --> { true, false }
---@param y Tensor
---@return Tensor
function Tensor:logical_and(y) end
core.logical_and = Tensor.logical_and

--- At least one other than 0?
--- > ml.tensor({ true, false }):logical_or(ml.tensor { false, false })  --> { true, false }
---@param y Tensor
---@return Tensor
function Tensor:logical_or(y) end
core.logical_or = Tensor.logical_or

--- Is it 0?
--- > ml.tensor({ true, false }):logical_not()  --> { false, true }
---@return Tensor
function Tensor:logical_not() end
core.logical_not = Tensor.logical_not

return { core = core, Tensor = Tensor }
