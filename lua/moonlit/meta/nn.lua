---@meta
--- core.nn: the transformer in C. People use ml.model (lua/moonlit/nn/model.lua), which says in
--- which order these run. A configuration is a table with every option of ml.model spelled out.
-- luacheck: ignore 212 241

---@class moonlit.core
local core = {}
---@class moonlit.core.nn
core.nn = {}

--- A model: its parameters in one arena, initialised. Raises for a configuration that cannot be.
--- > m = core.nn.model({ layers = 1, heads = 1, dim = 8, vocab = 5, context = 4 }, 1)
--- > #m:parameters(), m:parameters()[1].name  --> 12, model.embed_tokens.weight
---@param config table
---@param seed? integer  the state's seed unless given
---@return moonlit.CoreModel
function core.nn.model(config, seed) end

--- What a model will need, before any memory is taken: params, matmul_params, forward and train
--- (FLOPs a token at this length), weights, gradients, moments (AdamW's), activations (of one
--- training forward), cache (of one token): bytes.
--- > core.nn.estimate({ layers = 1, heads = 1, dim = 8, vocab = 5, context = 4 }, 1, 4).params
---   --> 1128
---@param config table
---@param rows integer
---@param length integer  of each row, in tokens
---@return table<string, number>
function core.nn.estimate(config, rows, length) end

--- Begins a forward over a batch. With targets it runs T - 1 positions of each row, and the next id
--- is what each has to predict. Raises for ids outside the vocabulary and rows longer than the
--- context.
---@param model moonlit.CoreModel
---@param ids Tensor    (B, T) integers
---@param doc? Tensor   (B, T) integers: documents attend to themselves only
---@param mask? Tensor  (B, T): what each id weighs in the loss; 1 unless given
---@param targets? boolean
---@param fused? boolean  false: blocks run elsewhere, no room is kept for them
---@return moonlit.Forward
function core.nn.forward(model, ids, doc, mask, targets, fused) end

--- Begins a forward that appends ids to slots of a cache, one ragged batch.
---@param model moonlit.CoreModel
---@param cache moonlit.CoreCache
---@param sequences {slot: integer, ids: integer[]}[]  slots count from 1
---@return moonlit.Forward
function core.nn.decode(model, cache, sequences) end

--- Room for the keys and values of so many sequences.
---@param model moonlit.CoreModel
---@param slots integer
---@param capacity integer  tokens a slot; at most the model's context
---@return moonlit.CoreCache
function core.nn.cache(model, slots, capacity) end

--- How many forwards are alive in the process.
--- > core.nn.plans()  --> 0
---@return integer
function core.nn.plans() end

-- ---- handles: all have :free(), safe to call twice; the collector and <close> call it too ----

---@class moonlit.CoreModel
local CoreModel = {}

--- In declared order: Hugging Face's name, the tensor (a view of the arena), what the block written
--- in Lua calls it, and the layer, 1-based, if it belongs to one.
---@return {name: string, tensor: Tensor, role: string, layer: integer?}[]
function CoreModel:parameters() end

--- Lets go of the model; tensors and forwards that need it keep what they need.
function CoreModel:free() end

--- One forward. Each part is one node of the graph; x is the residual stream, (B, T, dim) or, with
--- a cache, (rows, dim).
---@class moonlit.Forward
local Forward = {}

--- Token rows as vectors: the stream before the first block.
--- > m = core.nn.model({ layers = 1, heads = 1, dim = 8, vocab = 5, context = 4 }, 1)
--- > f = core.nn.forward(m, ml.tensor {{ 0, 1, 2 }}, nil, nil, false, true)
--- > f:embed():shape()  --> { 1, 3, 8 }
---@return Tensor
function Forward:embed() end

--- Blocks first to last, 1-based, both included; each runs once a forward.
---@param first integer
---@param last integer
---@param x Tensor
---@return Tensor
function Forward:blocks(first, last, x) end

--- (B, T): log p of every id given the earlier ones of its document, in nats; 0 at a document's
--- first. With entropy (2, B, T): also the entropy of the distribution each was drawn from.
--- > m = core.nn.model({ layers = 1, heads = 1, dim = 8, vocab = 5, context = 4 }, 1)
--- > f = core.nn.forward(m, ml.tensor {{ 0, 1, 2 }}, nil, nil, true, true)
--- > f:logprobs(f:embed(), 1, true):shape()  --> { 2, 1, 3 }
---@param x Tensor
---@param temperature? number  = 1; 0 counts as 1
---@param entropy? boolean  = false
---@return Tensor
function Forward:logprobs(x, temperature, entropy) end

--- (B, T): how far those distributions are from the ones a teacher has for the same batch, in nats
--- over the whole vocabulary. Only self's side gets a gradient.
--- > m = core.nn.model({ layers = 1, heads = 1, dim = 8, vocab = 5, context = 4 }, 1)
--- > f = core.nn.forward(m, ml.tensor {{ 0, 1, 2 }}, nil, nil, true, true)
--- > g = core.nn.forward(m, ml.tensor {{ 0, 1, 2 }}, nil, nil, true, true)
--- > f:kl(f:embed(), g, g:embed(), "forward")  --> {{ 0.0000, 0.0000, 0.0000 }}
---@param x Tensor
---@param teacher moonlit.Forward  of a model with the same vocabulary and dtype
---@param tx Tensor       the teacher's stream
---@param kind string     "forward", KL(teacher || self), "reverse", or "js"
---@param beta? number    = 0.5: the teacher's share of JS's mixture
---@param temperature? number  = 1; of both
---@return Tensor
function Forward:kl(x, teacher, tx, kind, beta, temperature) end

--- Minus the sum, or mean, of weight * log p over the learned ids, in nats, and the sum of weights.
---@param x Tensor
---@param mean? boolean  = false
---@return Tensor loss
---@return number count
function Forward:loss(x, mean) end

--- The stream after the final norm.
---@param x Tensor
---@return Tensor
function Forward:hidden(x) end

--- Logits for every position, (B, T, V).
---@param x Tensor
---@return Tensor
function Forward:logits(x) end

--- Logits after the last row of each sequence, (sequences, V); the cache now holds the sequences.
---@param x Tensor
---@return Tensor
function Forward:next(x) end

--- (B, T) i32: the position of each row in its document, from 0.
---@return Tensor
function Forward:positions() end

--- Lets go of the forward's memory once no node of a graph needs it.
function Forward:free() end

---@class moonlit.CoreCache
local CoreCache = {}

--- How many slots it has.
---@return integer
function CoreCache:slots() end

--- How many tokens fit a slot.
---@return integer
function CoreCache:capacity() end

--- How many tokens a slot holds.
---@param slot integer  from 1
---@return integer
function CoreCache:length(slot) end

--- Keeps the first so many tokens of a slot; 0 frees it for another sequence.
---@param slot integer  from 1
---@param length? integer  = 0
function CoreCache:truncate(slot, length) end

--- Makes a slot a copy of another.
---@param from integer
---@param to integer
function CoreCache:copy(from, to) end

--- Lets go of the cache's memory.
function CoreCache:free() end

return { core = core, CoreModel = CoreModel, Forward = Forward, CoreCache = CoreCache }
