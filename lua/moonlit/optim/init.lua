--- Optimisers. One object may hold several groups (Muon for the hidden matrices, AdamW for the
--- rest); a step scales, clips once over all of them, updates, and consumes the gradients.
---
---   local opt = ml.optim.adamw(model:parameters(), { lr = 3e-3, weight_decay = 0.1 })
---   local norm = opt:step { lr = schedule(step), clip = 1.0 }
local core = require "moonlit.core"
local options = require "moonlit.options"
local tensor = require "moonlit.tensor"
local schedule = require "moonlit.optim.schedule"

local optim = { cosine = schedule.cosine, wsd = schedule.wsd, linear = schedule.linear,
                constant = schedule.constant }

local Optimizer = {}
Optimizer.__index = Optimizer
Optimizer.__name = "moonlit.Optimizer"

-- what each kind understands, with its defaults
local kinds = {
  adamw = { lr = 1e-3, betas = { 0.9, 0.999 }, eps = 1e-8, weight_decay = 0 },
  muon = { lr = 0.02, momentum = 0.95, nesterov = true, weight_decay = 0, scale = "original",
           iterations = 5 },
  sgd = { lr = 1e-2, momentum = 0, nesterov = false, weight_decay = 0 },
}

-- a parameter is a tensor, or { name =, tensor = } as model:parameters() gives
local function unwrap(params, who)
  if type(params) ~= "table" or #params == 0 then
    error(who .. ": expected a list of parameters, got " .. (type(params) == "table" and
          "an empty one" or type(params)), 4)
  end
  local names, tensors, splits = {}, {}, {}
  for i, p in ipairs(params) do
    names[i] = type(p) == "table" and p.name or ("parameter %d"):format(i)
    tensors[i] = type(p) == "table" and p.tensor or p
    -- GPT-2 keeps q, k and v in one tensor; they are three matrices all the same
    splits[i] = names[i]:find("c_attn.weight", 1, true) and 3 or 1
  end
  return names, tensors, splits
end

local function add_group(self, group, who)
  local kind = group.kind or "adamw"
  if not kinds[kind] then
    error(('%s: unknown kind "%s"; expected adamw, muon or sgd'):format(who, tostring(kind)), 3)
  end
  local given = {}
  for k, v in pairs(group) do if k ~= "params" and k ~= "kind" then given[k] = v end end
  local o = options(given, kinds[kind], who .. ": " .. kind, 4)
  local names, tensors, splits = unwrap(group.params, who)
  if kind ~= "muon" then for i = 1, #splits do splits[i] = 1 end end
  if o.betas then o.beta1, o.beta2, o.betas = o.betas[1], o.betas[2], nil end
  o.kind = kind
  self.core:group(o, tensors, splits)
  o.names = names
  self.groups[#self.groups + 1] = o
  for _, name in ipairs(names) do self.names[#self.names + 1] = name end
end

--- Several groups in one optimiser.
--- @param opt {groups: {kind: string, params: list, ...}[]}  the kinds' options: see kinds above
function optim.new(opt)
  local self = setmetatable({ core = core.optim.new(), names = {}, groups = {} }, Optimizer)
  local o = options(opt, { groups = options.required }, "optim.new")
  for i, group in ipairs(o.groups) do add_group(self, group, "optim.new: group " .. i) end
  return self
end

local function single(kind)
  return function(params, opt)
    local self = setmetatable({ core = core.optim.new(), names = {}, groups = {} }, Optimizer)
    local group = { kind = kind, params = params }
    for k, v in pairs(opt or {}) do group[k] = v end
    add_group(self, group, "optim." .. kind)
    return self
  end
end

--- AdamW, arXiv 1711.05101: { lr, betas, eps, weight_decay }. Tensors of one dimension do not
--- decay.
optim.adamw = single "adamw"
--- Muon (Jordan et al. 2024): { lr, momentum, nesterov, weight_decay, scale, iterations }.
--- Matrices only.
optim.muon = single "muon"
--- SGD: { lr, momentum, nesterov, weight_decay }.
optim.sgd = single "sgd"

--- Muon for the matrices of a model's blocks, its updates scaled to AdamW's size (by 0.2 sqrt of
--- the larger dimension; Moonlight, arXiv 2502.16982), and AdamW for embedding, head and gains: one
--- rate serves both.
--- @param model Model
--- @param opt? {lr: number?, betas: number[]?, momentum: number?, weight_decay: number?}
---        weight_decay is of the blocks' matrices
function optim.hybrid(model, opt)
  local o = options(opt, { lr = 3e-3, betas = { 0.9, 0.95 }, momentum = 0.95, weight_decay = 0.01 },
                    "optim.hybrid")
  local blocks, rest = {}, {}
  for _, p in ipairs(model:parameters()) do
    table.insert(p.layer and p.tensor:dim() == 2 and blocks or rest, p)
  end
  return optim.new { groups = {
    { kind = "muon", params = blocks, lr = o.lr, momentum = o.momentum, scale = "match_rms",
      weight_decay = o.weight_decay },
    { kind = "adamw", params = rest, lr = o.lr, betas = o.betas } } }
end

--- Update every parameter that has a gradient, and consume the gradients.
--- @param opt? {lr: number?, lr_scale: number?, clip: number?, scale: number?, momentum: number?}
--- @return number the gradient norm, after scale and before the clip
function Optimizer:step(opt) return self.core:step(opt) end

--- Drop the gradients without a step.
function Optimizer:discard() self.core:discard() end

--- Moments and step counts, in declared order: a list of { name, tensor }.
function Optimizer:state()
  local list, steps = {}, {}
  for i, name in ipairs(self.names) do
    local m, v, n = self.core:at(i)
    list[#list + 1] = { name = name .. ".m", tensor = m }
    if v then list[#list + 1] = { name = name .. ".v", tensor = v } end
    steps[i] = n
  end
  list[#list + 1] = { name = "steps", tensor = tensor.tensor(steps, { dtype = "i64" }) }
  return list
end

--- Restore what state() gave; names and shapes must agree.
--- @param list {name: string, tensor: Tensor}[]
function Optimizer:load_state(list)
  local have = {}
  for _, entry in ipairs(list) do have[entry.name] = entry.tensor end
  for _, entry in ipairs(self:state()) do
    local from = have[entry.name]
    if not from then error("optim.load_state: " .. entry.name .. " is missing", 2) end
    if entry.name ~= "steps" then entry.tensor:copy_(from) end
  end
  for i, n in ipairs(have.steps:table()) do self.core:set_steps(i, n) end
end

return optim
