--- What a model learns from: documents read, judged and written, ids cut into batches,
--- conversations with their loss mask, and a world to try things on. A part is loaded when its name
--- is first used.
local options = require "moonlit.options"

-- names that are modules
local modules = {
  chat = "moonlit.data.chat", classifier = "moonlit.data.classifier",
  conversations = "moonlit.data.conversations",
  decontaminate = "moonlit.data.decontaminate",
  deal = "moonlit.data.deal", dedup = "moonlit.data.dedup", filter = "moonlit.data.filter",
  judge = "moonlit.data.judge", ledger = "moonlit.data.ledger", lineage = "moonlit.data.lineage",
  mix = "moonlit.data.mix", open = "moonlit.data.open", packed = "moonlit.data.packed",
  parts = "moonlit.data.parts", pii = "moonlit.data.pii", prose = "moonlit.data.prose",
  read = "moonlit.data.read",
  sequences = "moonlit.data.sequences", shard = "moonlit.data.shard", take = "moonlit.data.take",
  tools = "moonlit.data.tools", world = "moonlit.data.world", write = "moonlit.data.write",
}

-- names of functions in a module
local functions = {
  windows = "moonlit.data.windows", blocks = "moonlit.data.windows",
  split = "moonlit.data.windows",
}

local function known_names()
  local names = options.keys(modules)
  for _, name in ipairs(options.keys(functions)) do names[#names + 1] = name end
  return names
end

return setmetatable({}, {
  __name = "moonlit.data",
  __index = function(data, name)
    local value
    if modules[name] then value = require(modules[name])
    elseif functions[name] then value = require(functions[name])[name]
    else error("moonlit.data has no " .. options.unknown(name, known_names()), 2) end
    data[name] = value
    return value
  end,
})
