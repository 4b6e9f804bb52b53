--- The inputs of tests/golden/loss: logits made of sines, four rows of six tokens, of which the
--- first two are the prompt and what follows an answer of 4, 3, 2 and 4.
local core = require "moonlit.core"
local json = require "moonlit.json"

local inputs = { vocab = 7, length = 6, rows = 4, prompt = 2, lengths = { 6, 5, 4, 6 } }

local file = assert(io.open("tests/golden/loss/goldens.json"))
inputs.goldens = assert(json.decode(file:read("a")))
file:close()

local function filled(f)
  local rows = {}
  for b = 0, inputs.rows - 1 do
    rows[b + 1] = {}
    for t = 0, inputs.length - 1 do rows[b + 1][t + 1] = f(b, t) end
  end
  return rows
end

--- (4, 6, 7), shifted: 0 the policy, 0.1 the old one, 0.25 the reference.
function inputs.logits(shift, dtype)
  return core.tensor(filled(function(b, t)
    local row = {}
    for v = 0, inputs.vocab - 1 do
      row[v + 1] = 1.5 * math.sin(1.3 * b + 0.7 * t + 0.37 * v + 0.11 * b * v + shift)
    end
    return row
  end), { dtype = dtype or "f64" })
end

function inputs.ids()
  return core.tensor(filled(function(b, t) return (3 * b + 5 * t + b * t + 1) % 7 end))
end

--- (4, 6) bool: the answers.
function inputs.mask()
  return core.tensor(filled(function(b, t)
    return t >= inputs.prompt and t < inputs.lengths[b + 1]
  end))
end

-- 0 for the first token, then f of the logits one before each of the others
local function shifted(f, logits)
  local y = f(logits:narrow(2, 1, inputs.length - 1):log_softmax(-1))
  return core.cat({ core.zeros({ inputs.rows, 1 }, { dtype = logits:dtype() }), y }, 2)
end

--- (4, 6): each token's log-probability under the logits before it.
function inputs.logprobs(logits)
  local ids = inputs.ids():narrow(2, 2, inputs.length - 1):unsqueeze(3)
  return shifted(function(s) return s:gather_ids(3, ids):squeeze(3) end, logits)
end

--- (4, 6): the entropy each token was drawn with.
function inputs.entropies(logits)
  return shifted(function(s) return -(s:exp() * s):sum(-1) end, logits)
end

--- (4): sums over answers.
function inputs.sums(logprobs) return core.where(inputs.mask(), logprobs, 0):sum(2) end

--- (4) floats.
function inputs.vector(list, dtype) return core.tensor(list, { dtype = dtype or "f64" }) end

return inputs
