---@meta
--- core.optim: updates in place (people use ml.optim), and core.math: functions of one number whose
--- bits are the same everywhere.
-- luacheck: ignore 212 241

---@class moonlit.core
local core = {}
---@class moonlit.core.optim
core.optim = {}

--- An optimiser without parameters; add groups.
--- > core.optim.new():count()  --> 0
---@return moonlit.CoreOptimizer
function core.optim.new() end

---@class moonlit.CoreOptimizer
local CoreOptimizer = {}

--- Adds parameters that are updated alike: kind "adamw" (arXiv 1711.05101), "muon" (Keller Jordan
--- et al. 2024, matrices only) or "sgd". Weight decay is decoupled and spares tensors of one
--- dimension. scale of muon: "original" is max(1, rows/cols)^.5, "match_rms" .2 max(rows, cols)^.5.
---@param group table  { kind = "adamw", lr = 1e-3, weight_decay = 0, beta1 = 0.9, beta2 = 0.999,
---  eps = 1e-8, momentum = 0, nesterov = false, scale = "original", iterations = 5 }
---@param params Tensor[]  contiguous leaves, f32 or f64, one dtype for the whole optimiser
---@param splits table<integer, integer>  a matrix that muon takes as so many equal blocks of rows
function CoreOptimizer:group(group, params, splits) end

--- Updates every parameter that has a gradient, and consumes the gradients: they are multiplied by
--- scale, then clipped once over all groups. Raises, with nothing updated, when the norm is not
--- finite or no parameter has a gradient.
--- > w = ml.ones(1, { grad = true })
--- > o = core.optim.new()
--- > o:group({ kind = "sgd", lr = 0.5 }, { w }, {})
--- > (w * 3):sum():backward()
--- > o:step(), w  --> 3.0, { -0.5000 }
---@param opt? {lr: number?, lr_scale: number?, clip: number?, scale: number?, momentum: number?}
---  lr and momentum: each group's own unless given; lr_scale = 1, clip = 0 (none), scale = 1
---@return number norm  of all gradients, after scale and before the clip
function CoreOptimizer:step(opt) end

--- Drops the gradients without a step.
function CoreOptimizer:discard() end

--- The state of parameter i, in declared order: first moment, second (AdamW only), updates so far,
--- and its group.
---@param i integer
---@return Tensor m
---@return Tensor|nil v
---@return integer steps
---@return integer group
function CoreOptimizer:at(i) end

--- Says how many updates parameter i has had, when a checkpoint is loaded.
---@param i integer
---@param steps integer
function CoreOptimizer:set_steps(i, steps) end

--- How many parameters there are in all groups.
---@return integer
function CoreOptimizer:count() end

--- Lets go of the moments.
function CoreOptimizer:free() end

-- ---- scalars ----

---@class moonlit.core.math
core.math = {}

--- e ^ x.
--- > core.math.exp(0.0)  --> 1.0
---@param x number
---@return number
function core.math.exp(x) end

--- The natural logarithm.
--- > core.math.log(1.0)  --> 0.0
---@param x number
---@return number
function core.math.log(x) end

--- The sine of x radians.
--- > core.math.sin(0.0)  --> 0.0
---@param x number
---@return number
function core.math.sin(x) end

--- The cosine of x radians.
--- > core.math.cos(0.0)  --> 1.0
---@param x number
---@return number
function core.math.cos(x) end

--- x ^ y.
--- > core.math.pow(2.0, 3.0)  --> 8.0
---@param x number  positive
---@param y number
---@return number
function core.math.pow(x, y) end

return { core = core, CoreOptimizer = CoreOptimizer }
