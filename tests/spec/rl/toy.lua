--- What the specs of rl and reward share: a tokenizer of 12 letters, so that a random model says
--- something like a turn, a tiny model, prompts of many lengths.
local ml = require "moonlit"

local toy = {}

local LETTERS = "abcdefgh \n"
local SPECIAL = ml.data.chat.special

local Tok = {}
Tok.__index = Tok

-- letters that are not in the alphabet become one that is
function Tok.encode(_, s)
  local ids = {}
  for i = 1, #s do
    local at = LETTERS:find(s:sub(i, i), 1, true)
    ids[i] = at and at - 1 or s:byte(i) % 8
  end
  return ids
end

function Tok.decode(_, ids)
  local out = {}
  for i, id in ipairs(ids) do
    out[i] = id < #LETTERS and LETTERS:sub(id + 1, id + 1) or SPECIAL[id - #LETTERS + 1]
  end
  return table.concat(out)
end

function Tok.id(_, text)
  for i, name in ipairs(SPECIAL) do
    if name == text then return #LETTERS + i - 1 end
  end
end

function Tok.size() return #LETTERS + #SPECIAL end
function Tok.is_special(_, id) return id >= #LETTERS end

toy.tok = setmetatable({}, Tok)
toy.chat = ml.data.chat(toy.tok)

--- A model with weights large enough to have opinions.
function toy.model(more)
  local o = { preset = "llama", layers = 2, heads = 2, dim = 32, vocab = toy.tok:size(),
              context = 96, seed = 5 }
  for k, v in pairs(more or {}) do o[k] = v end
  local m = ml.model(o)
  for i, p in ipairs(m:parameters()) do
    ml.seed(i)
    ml.no_grad(function()
      p.tensor:copy_(ml.randn(p.tensor:shape()) * 0.3 + (p.tensor:dim() == 1 and 1 or 0))
    end)
  end
  return m
end

--- n prompts of 1 to 17 letters.
function toy.prompts(n)
  local list = {}
  for i = 1, n do
    local text = {}
    for k = 1, 1 + i * 7 % 17 do
      local at = 1 + (i * k + i // 8) % 8
      text[k] = LETTERS:sub(at, at)
    end
    list[i] = table.concat(text)
  end
  return list
end

return toy
