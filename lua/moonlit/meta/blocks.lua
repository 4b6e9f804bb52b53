---@meta
--- Products, and the blocks models are made of. f32 or f64.
-- luacheck: ignore 212 241

---@class moonlit.core
local core = {}
---@class Tensor
local Tensor = {}

-- ---- products ----

--- The product of matrices (.., m, k) x (.., k, n); dimensions in front broadcast. A vector is a
--- row on the left, a column on the right, and its dimension goes again.
--- > ml.tensor({{ 1.0, 2.0 }}):matmul(ml.tensor {{ 3.0 }, { 4.0 }})  --> {{ 11.0000 }}
--- > ml.tensor({ 1.0, 2.0 }):matmul(ml.tensor { 3.0, 4.0 })  --> 11.0000
---@param y Tensor
---@return Tensor
function Tensor:matmul(y) end
core.matmul = Tensor.matmul

--- matmul of exactly (B, m, k) x (B, k, n).
--- > ml.ones(2, 1, 3):bmm(ml.ones(2, 3, 1)):shape()  --> { 2, 1, 1 }
---@param y Tensor
---@return Tensor
function Tensor:bmm(y) end
core.bmm = Tensor.bmm

-- ---- norms: over the last dimension ----

--- x / sqrt(mean(x^2) + eps), times weight (arXiv 1910.07467).
--- > ml.tensor({ 3.0, 4.0 }):rms_norm()  --> { 0.8485, 1.1314 }
---@param weight? Tensor  (C), of x's dtype
---@param opt? {eps: number?}  eps = 1e-6
---@return Tensor
function Tensor:rms_norm(weight, opt) end
core.rms_norm = Tensor.rms_norm

--- (x - mean) / sqrt(variance + eps), times weight, plus bias (arXiv 1607.06450).
--- > ml.tensor({ 1.0, 3.0 }):layer_norm()  --> { -1.0000, 1.0000 }
---@param weight? Tensor  (C), of x's dtype
---@param bias? Tensor    (C), of x's dtype
---@param opt? {eps: number?}  eps = 1e-5
---@return Tensor
function Tensor:layer_norm(weight, bias, opt) end
core.layer_norm = Tensor.layer_norm

-- ---- attention ----

--- Rotary position embedding (arXiv 2104.09864) of (.., T, D), D even: element i of a row, from 0,
--- turns with element i + D/2 by position * theta^(-2i/D) radians.
--- > ml.tensor({{ 1.0, 0.0 }, { 1.0, 0.0 }}):rope()  --> {{ 1.0000, 0.0000 }, { 0.5403, 0.8415 }}
---@param opt? {theta: number?, positions: Tensor?}  theta = 10000; positions (T) integers, from 0:
---  0 to T - 1 unless given
---@return Tensor
function Tensor:rope(opt) end
core.rope = Tensor.rope

--- Causal attention of queries (B, H, T, D) over keys and values (B, KH, T, D), H a multiple of KH:
--- softmax(scale q k^T) v, never held whole. window = w lets a query see itself and the w - 1
--- positions before it; 0 is all. doc numbers the documents of a row: a query sees its own only.
--- > q = ml.ones(1, 1, 2, 1)
--- > q:attention(q, ml.tensor { 1.0, 3.0 }:view(1, 1, 2, 1)):flatten()  --> { 1.0000, 2.0000 }
---@param k Tensor
---@param v Tensor
---@param opt? {window: integer?, scale: number?, doc: Tensor?}  window = 0, scale = 0, which is
---  1 / sqrt(D); doc (B, T) integers
---@return Tensor  (B, H, T, D)
function Tensor:attention(k, v, opt) end
core.attention = Tensor.attention

-- ---- loss ----

--- -log softmax(logits)[id] of each row, in nats; "mean" is over the rows that count.
--- > ml.zeros(1, 4):cross_entropy(ml.tensor { 2 })  --> 1.3863
---@param ids Tensor  (N) integers from 0 to V - 1; this tensor is the logits, (N, V)
---@param opt? {ignore: integer?, reduction: "mean"|"sum"|"none"?}  ignore = -100, an id
---  whose rows count for nothing; reduction = "mean"
---@return Tensor  a single number, or (N) for "none"
function Tensor:cross_entropy(ids, opt) end
core.cross_entropy = Tensor.cross_entropy

return { core = core, Tensor = Tensor }
