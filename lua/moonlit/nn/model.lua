--- The transformer: ml.model { arch = "llama", layers = 4, heads = 4, dim = 128, vocab = 65,
--- context = 256 }. Parameters, embedding, blocks and head live in C; what runs in which order is
--- here, so that a tap or a block written in Lua can step in.
---
--- Options: arch (or preset) one of gpt2 llama qwen3 speedrun; layers heads kv_heads dim head_dim
--- hidden vocab context; tied dtype dropout recompute seed; norm ("rms", "layer")
--- norm_gain norm_bias eps; positions ("rope", "learned", "none") theta; qk_norm ("none", "plain",
--- "gain") qk_scale; window (0, a number, or a list repeated over the layers); activation
--- ("swiglu", "gelu", "gelu_tanh", "relu2"); attn_bias out_bias mlp_bias, or bias for all of them
--- and the norms'; softcap embed_norm init ("normal", "gpt2", "speedrun") names ("llama", "gpt2");
--- fused = false runs moonlit.nn.block instead of the C block, block = fn runs yours.
---
--- dtype: "f32", "f64", or a bf16 tier, with f32 weights and residual stream and products of bf16:
--- "bf16" adds as vdpbf16ps does (fast on Zen 4 and 5), "bf16-amx" as AMX does (fast on Sapphire
--- Rapids and later). Either gives the same bits everywhere; ml.native(dtype) says whether this
--- machine is made for it.
---
--- head = 1 adds a head of one number beside the one for the vocabulary, for rewards and values:
--- model:scores(batch); model:with_head(1) gives one to a model that has been trained.
---
--- A batch is { ids = (B, T), mask = (B, T)?, doc = (B, T)? }; nobody shifts anything. Dropout is
--- on wherever gradients are recorded, off under ml.no_grad.
local core = require "moonlit.core"
local options = require "moonlit.options"
local presets = require "moonlit.nn.presets"

local Model = {}
Model.__index = Model
Model.__name = "moonlit.Model"

local model = { methods = Model }

-- ---- options ----

local own = {
  arch = options.optional, preset = options.optional,
  layers = options.required, heads = options.required, dim = options.required,
  vocab = options.required, context = options.required,
  kv_heads = options.optional, head_dim = options.optional, hidden = options.optional,
  dtype = "f32", dropout = 0, recompute = false, window = 0, seed = options.optional,
  bias = options.optional, fused = true, block = options.optional, head = 0,
}
local biases = { "attn_bias", "out_bias", "mlp_bias", "norm_bias" }

-- every option the blocks have, with nothing filled in
local function all_options()
  local known = {}
  for k, v in pairs(own) do known[k] = v end
  for k in pairs(presets.llama) do known[k] = options.optional end
  return known
end

-- what core.nn.model wants: no option missing, none that only this file understands
local function resolve(given, level)
  local o = options(given, all_options(), "model", level + 1)
  local arch = o.arch or o.preset or "llama"
  local base = presets[arch]
  if not base then
    error("model: unknown arch " .. options.unknown(arch, options.keys(presets)), level)
  end
  local c = { arch = arch }
  for _, k in ipairs(options.keys(base)) do
    c[k] = o[k]
    if c[k] == nil then c[k] = base[k] end
    if type(c[k]) == "function" then c[k] = math.type(o.dim) == "integer" and c[k](o) or 0 end
  end
  for _, k in ipairs { "layers", "heads", "dim", "vocab", "context", "kv_heads", "head_dim",
                       "dtype", "dropout", "recompute", "window", "head" } do
    c[k] = o[k]
  end
  for _, k in ipairs(biases) do
    if o.bias ~= nil and o[k] == nil then c[k] = o.bias end
  end
  if c.norm == "rms" then c.norm_bias = o.norm_bias or false end
  c.kv_heads = c.kv_heads or c.heads
  if math.type(c.heads) == "integer" and c.heads > 0 and math.type(c.dim) == "integer" then
    if not c.head_dim and c.dim % c.heads ~= 0 then
      error(("model: heads must divide dim, got %d and %d"):format(c.heads, c.dim), level)
    end
    c.head_dim = c.head_dim or c.dim // c.heads
  end
  return c, o
end

-- ---- making one ----

local function index_parameters(self)
  self.list = self.core:parameters()
  self.by_name, self.layers = {}, {}
  for l = 1, self.options.layers do self.layers[l] = {} end
  for _, p in ipairs(self.list) do
    self.by_name[p.name] = p.tensor
    if p.layer then self.layers[p.layer][p.role] = p.tensor end
  end
end

--- @param opt table  see the top of this file
function model.new(opt)
  local c, o = resolve(opt, 3)
  -- f64 products are OpenBLAS's where it is installed
  if c.dtype == "f64" then pcall(require, "moonlit.blas") end
  local self = setmetatable({ options = c, taps = {} }, Model)
  self.core = core.nn.model(c, o.seed)
  if (not o.fused or o.block) and c.dtype:find "^bf16" then
    error(("model: a block in Lua runs in f32 or f64, got dtype %q"):format(c.dtype), 3)
  end
  if not o.fused or o.block then self.block = o.block or require "moonlit.nn.block" end
  index_parameters(self)
  return self
end

--- Numbers before any memory is taken: parameters, matmul_params, forward and train (FLOPs a
--- token), weights, gradients, moments, activations, cache (bytes; cache of one token).
--- @param opt table    ml.model's options
--- @param shape {batch: integer?, length: integer?}?  length is the context unless given
function model.estimate(opt, shape)
  local c = resolve(opt, 3)
  local s = options(shape, { batch = 1, length = c.context }, "estimate")
  return core.nn.estimate(c, s.batch, s.length)
end

--- The options that make this model again, as plain values.
function Model:config()
  local copy = {}
  for k, v in pairs(self.options) do copy[k] = v end
  if type(copy.window) == "table" then copy.window = { table.unpack(copy.window) } end
  return copy
end

-- ---- parameters ----

--- In declared order: a list of { name =, tensor =, role =, layer = }; names are Hugging Face's.
function Model:parameters()
  local list = {}
  for i, p in ipairs(self.list) do
    list[i] = { name = p.name, tensor = p.tensor, role = p.role, layer = p.layer }
  end
  return list
end

--- The tensor of one name.
function Model:parameter(name)
  local t = self.by_name[name]
  if t then return t end
  error("model: no parameter " .. options.unknown(name, options.keys(self.by_name)), 2)
end

-- GPT-2's files hold the matrices of its blocks as (in, out)
local function transposed(self, p)
  return self.options.names == "gpt2" and p.layer and p.tensor:dim() == 2
end

--- The weights as a file holds them: a list of { name =, tensor = } without gradients.
function Model:state()
  local list = {}
  for i, p in ipairs(self.list) do
    local t = p.tensor:detach()
    list[i] = { name = p.name, tensor = transposed(self, p) and t:t():contiguous() or t }
  end
  return list
end

--- Take weights that state() gave, or that a file of the same architecture holds. Names must
--- agree, both ways, and shapes.
--- @param list table  of { name =, tensor = }, or { name = tensor }
function Model:load_state(list)
  local have = {}
  for k, v in pairs(list) do
    if type(v) == "table" then have[v.name] = v.tensor else have[k] = v end
  end
  for _, name in ipairs(options.keys(have)) do
    if not self.by_name[name] then
      error("load_state: the model has no " .. options.unknown(name, options.keys(self.by_name)), 2)
    end
  end
  for _, p in ipairs(self.list) do
    local t = have[p.name]
    if not t then error("load_state: " .. p.name .. " is missing", 2) end
    if transposed(self, p) then t = t:t() end
    core.autograd.no_grad(function() p.tensor:copy_(t) end)
  end
end

--- A model with the same weights and a new score head: an SFT model becomes the start of a reward
--- or value model. Its name is score.weight, its first values are drawn from N(0, 0.02).
--- @param head integer  1; 0 leaves the head out
--- @param opt? {seed: integer?}  of the new head; the state's unless given
function Model:with_head(head, opt)
  local o = options(opt, { seed = options.optional }, "with_head")
  local c = self:config()
  c.head, c.seed, c.block = head, o.seed, self.block
  local copy = model.new(c)
  core.autograd.no_grad(function()
    for _, p in ipairs(copy.list) do
      if p.name ~= "score.weight" then p.tensor:copy_(self.by_name[p.name]) end
    end
  end)
  return copy
end

-- ---- taps ----

-- "model.layers.3" -> 4, the embedding -> 0
local function place_of(self, name)
  local gpt2 = self.options.names == "gpt2"
  if name == (gpt2 and "transformer.wte" or "model.embed_tokens") then return 0 end
  local prefix = gpt2 and "transformer.h." or "model.layers."
  local n = name:sub(1, #prefix) == prefix and math.tointeger(tonumber(name:sub(#prefix + 1)))
  if n and n >= 0 and n < self.options.layers then return n + 1 end
  error(('tap: no module "%s"; expected %s0 to %s%d'):format(name, prefix, prefix,
        self.options.layers - 1), 3)
end

--- Read or replace the residual stream at a block's output: fn(x) gets (B, T, dim), or (rows, dim)
--- while generating, and returns a replacement or nil. Returns a function that removes the tap.
--- @param name string  Hugging Face's name of the block, counted from 0, or of the embedding
function Model:tap(name, fn)
  if type(name) ~= "string" then error("tap: name must be a string, got " .. type(name), 2) end
  if type(fn) ~= "function" then error("tap: fn must be a function, got " .. type(fn), 2) end
  local place = place_of(self, name)
  local entry = { fn = fn }
  self.taps[place] = self.taps[place] or {}
  table.insert(self.taps[place], entry)
  return function()
    local list = self.taps[place] or {}
    for i, e in ipairs(list) do
      if e == entry then table.remove(list, i) break end
    end
    if #list == 0 then self.taps[place] = nil end
  end
end

local function apply_taps(self, place, x)
  local list = self.taps[place]
  if not list then return x end
  for _, entry in ipairs { table.unpack(list) } do -- a tap may remove itself
    local y = entry.fn(x)
    if y ~= nil and type(y) ~= "userdata" then
      error("tap: fn must return a tensor or nil, got " .. type(y), 0)
    end
    if y ~= nil and y ~= x then x = y:contiguous() end
  end
  return x
end

-- ---- running the blocks ----

-- in C from tap to tap; a stream no tap has seen is given back at once
local function run_fused(self, f, x, seen)
  local first, layers = 1, self.options.layers
  while first <= layers do
    local last = first
    while last < layers and not self.taps[last] do last = last + 1 end
    local y = f:blocks(first, last, x)
    if not seen then x:free() end
    x = apply_taps(self, last, y)
    first = last + 1
  end
  return x
end

-- doc and positions only where a row holds several documents
local function run_twin(self, f, x, doc)
  local positions
  if doc then
    doc = doc:narrow(2, 1, x:size(2)) -- the last id of a row may be a target only
    positions = f:positions()
  end
  for l = 1, self.options.layers do
    local at = { layer = l, doc = doc, positions = positions }
    x = apply_taps(self, l, self.block(x, self.layers[l], self.options, at))
  end
  return x
end

local function check_batch(batch, who)
  if type(batch) ~= "table" or type(batch.ids) ~= "userdata" then
    error(who .. ": expected a batch { ids = (B, T) }, got " ..
          (type(batch) == "table" and "a table without ids" or type(batch)), 3)
  end
end

local function forward_of(self, batch, targets)
  return core.nn.forward(self.core, batch.ids, batch.doc, targets and batch.mask or nil, targets,
                         not self.block)
end

-- what reaches the head, and whether Lua has seen the stream
local function stream_of(self, f, batch)
  local seen = self.block ~= nil or next(self.taps) ~= nil
  local x = apply_taps(self, 0, f:embed())
  if self.block then return run_twin(self, f, x, batch.doc), true end
  return run_fused(self, f, x, seen), seen
end

-- use(f, x): what the head makes of the stream
local function run(self, batch, targets, use)
  local f <close> = forward_of(self, batch, targets)
  local x, seen = stream_of(self, f, batch)
  local y, count = use(f, x)
  if not seen then x:free() end
  return y, count
end

-- ---- what people call ----

--- The mean of -log p over the learned tokens, and their number (the sum of the mask); the sum
--- instead of the mean with { reduction = "sum" }.
--- @param batch {ids: Tensor, mask: Tensor?, doc: Tensor?}
--- @param opt? {reduction: string?}
--- @return Tensor loss, number tokens
function Model:loss(batch, opt)
  check_batch(batch, "loss")
  local o = options(opt, { reduction = "mean" }, "loss")
  if o.reduction ~= "mean" and o.reduction ~= "sum" then
    error(('loss: reduction must be "mean" or "sum", got "%s"'):format(tostring(o.reduction)), 2)
  end
  return run(self, batch, true, function(f, x) return f:loss(x, o.reduction == "mean") end)
end

--- (B, T): log p(ids[b][t] | earlier tokens of its document), 0 at a document's first token.
--- With entropy a second (B, T): the entropy in nats of the distribution each token was drawn from,
--- over the whole vocabulary, at that temperature. Gradients go through both.
--- @param opt? {temperature: number?, entropy: boolean?}  temperature 0 counts as 1
--- @return Tensor logprobs, Tensor? entropy
function Model:logprobs(batch, opt)
  check_batch(batch, "logprobs")
  local o = options(opt, { temperature = 1, entropy = false }, "logprobs")
  local y = run(self, batch, true, function(f, x)
    return f:logprobs(x, o.temperature, o.entropy)
  end)
  if o.entropy then return y:select(1, 1), y:select(1, 2) end
  return y
end

--- (B, T): how far the distribution each token was drawn from is from a teacher's, in nats over the
--- whole vocabulary; 0 at a document's first token. kind "forward" is KL(teacher || model),
--- "reverse" KL(model || teacher), "js" beta KL(teacher || m) + (1 - beta) KL(model || m) with
--- m = beta teacher + (1 - beta) model. The gradient is the model's alone. Neither side's logits
--- are ever held whole.
--- @param teacher table  a model of the same vocabulary and of the same kind of numbers
--- @param opt? {kind: string?, beta: number?, temperature: number?}  "forward", 0.5, 1 (of both)
function Model:kl(batch, teacher, opt)
  check_batch(batch, "kl")
  if getmetatable(teacher) ~= Model then
    error("kl: teacher must be a model, got " .. type(teacher), 2)
  end
  local o = options(opt, { kind = "forward", beta = 0.5, temperature = 1 }, "kl")
  local no_grad = core.autograd.no_grad
  local tf <close> = no_grad(function() return forward_of(teacher, batch, true) end)
  local tx, seen = no_grad(function() return stream_of(teacher, tf, batch) end)
  local y = run(self, batch, true, function(f, x)
    return f:kl(x, tf, tx, o.kind, o.beta, o.temperature)
  end)
  if not seen then tx:free() end
  return y
end

--- (B, T): what the score head says at every position, of the tokens up to it. Only with head = 1.
function Model:scores(batch)
  check_batch(batch, "scores")
  local w = self.by_name["score.weight"]
  if not w then
    error("scores: this model has no score head; make it with head = 1, or model:with_head(1)", 2)
  end
  return (run(self, batch, false, function(f, x)
    return f:hidden(x):matmul(w:t()):squeeze(3)
  end))
end

--- (B, T, dim): the stream after the final norm, for all T positions.
function Model:hidden(batch)
  check_batch(batch, "hidden")
  return (run(self, batch, false, function(f, x) return f:hidden(x) end))
end

--- (B, T, vocab), for all T positions: for those who ask; loss and logprobs never hold it.
function Model:logits(batch)
  check_batch(batch, "logits")
  return (run(self, batch, false, function(f, x) return f:logits(x) end))
end

-- ---- decoding ----

local Cache = {}
Cache.__index = Cache
Cache.__name = "moonlit.Cache"

--- Room for `slots` sequences of up to `capacity` tokens (the context unless given).
function Model:cache(slots, capacity)
  local cache = core.nn.cache(self.core, slots, capacity or self.options.context)
  return setmetatable({ core = cache, ids = self.block and {} or nil }, Cache)
end

function Cache:slots() return self.core:slots() end
function Cache:capacity() return self.core:capacity() end
--- Tokens a slot holds.
function Cache:length(slot)
  if self.ids then return #(self.ids[slot] or {}) end
  return self.core:length(slot)
end
--- Keep the first `length` tokens of a slot; 0, the default, frees it.
function Cache:truncate(slot, length)
  if self.ids then self.ids[slot] = { table.unpack(self.ids[slot] or {}, 1, length or 0) }
  else self.core:truncate(slot, length or 0) end
end
--- Make slot `to` a copy of slot `from`: samples that share a prompt.
function Cache:copy(from, to)
  if self.ids then self.ids[to] = { table.unpack(self.ids[from] or {}) }
  else self.core:copy(from, to) end
end
function Cache:free() self.core:free() end
Cache.__close = Cache.free

-- A block in Lua keeps no keys: the sequence is run again from its start, to the same bits.
local function decode_twin(self, cache, sequences)
  local tensor = require "moonlit.tensor"
  local rows = {}
  for i, s in ipairs(sequences) do
    local ids = table.move(s.ids, 1, #s.ids, cache:length(s.slot) + 1, cache.ids[s.slot] or {})
    cache.ids[s.slot] = ids
    local all = self:logits { ids = tensor.tensor({ ids }, { dtype = "i64" }) }
    rows[i] = all:select(1, 1):narrow(1, #ids, 1)
  end
  return tensor.cat(rows, 1)
end

--- Append ids to slots of a cache, in one ragged forward; logits (sequences, vocab) of what comes
--- next in each. The bits are those of a training forward over the same tokens.
--- @param sequences {slot: integer, ids: integer[]}[]
function Model:decode(cache, sequences)
  if getmetatable(cache) ~= Cache then
    error("decode: cache must be one that model:cache made, got " .. type(cache), 2)
  end
  return core.autograd.no_grad(function()
    if self.block then return decode_twin(self, cache, sequences) end
    local f <close> = core.nn.decode(self.core, cache.core, sequences)
    local seen = next(self.taps) ~= nil
    local x = run_fused(self, f, apply_taps(self, 0, f:embed()), seen)
    local y = f:next(x)
    if not seen then x:free() end
    return y
  end)
end

-- ---- telling ----

--- FLOPs a token: { forward =, train = }, attention at this length included.
--- @param opt? {length: integer?}
function Model:flops(opt)
  local o = options(opt, { length = self.options.context }, "flops")
  local e = core.nn.estimate(self.options, 1, o.length)
  return { forward = e.forward, train = e.train }
end

--- Bytes: { weights, gradients, moments, activations, cache, total }; total is of a training step
--- with AdamW at this batch, cache is of one token.
--- @param opt? {batch: integer?, length: integer?}
function Model:memory(opt)
  local o = options(opt, { batch = 1, length = self.options.context }, "memory")
  local e = core.nn.estimate(self.options, o.batch, o.length)
  return { weights = e.weights, gradients = e.gradients, moments = e.moments,
           activations = e.activations, cache = e.cache,
           total = e.weights + e.gradients + e.moments + e.activations }
end

local function units(n, base, names)
  local i = 1
  while n >= base and i < #names do n, i = n / base, i + 1 end
  return ("%.4g %s"):format(n, names[i])
end
local function bytes(n) return units(n, 1024, { "B", "KiB", "MiB", "GiB", "TiB" }) end

--- A few lines that say what this model is.
function Model:summary()
  local c, e = self.options, core.nn.estimate(self.options, 1, self.options.context)
  local lines = {
    ("%s: %d layers, %d heads (%d kv) of %d, dim %d, hidden %d, vocab %d, context %d, %s"):format(
      c.arch, c.layers, c.heads, c.kv_heads, c.head_dim, c.dim, c.hidden, c.vocab, c.context,
      c.dtype),
    ("%d parameters, %s; training at context length: %sFLOP a token, %s a row"):format(
      e.params, bytes(e.weights), units(e.train, 1000, { "", "k", "M", "G", "T" }),
      bytes(e.activations)),
  }
  for _, p in ipairs(self.list) do
    if not p.layer or p.layer == 1 then
      local repeated = p.layer and c.layers > 1 and (" x %d"):format(c.layers) or ""
      lines[#lines + 1] = ("  %-48s %s%s"):format(p.name, table.concat(p.tensor:shape(), " x "),
                                                repeated)
    end
  end
  return table.concat(lines, "\n")
end

Model.__tostring = function(self)
  return ("moonlit.Model (%s, %d parameters)"):format(self.options.arch,
    core.nn.estimate(self.options, 1, 1).params)
end

return setmetatable(model, { __call = function(_, opt) return model.new(opt) end })
