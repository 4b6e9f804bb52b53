--- Tensors, as Lua sees them: everything flat in the core (creation and ops), and what is nicer
--- said in Lua. Other modules of the package require this one, never "moonlit".
local core = require "moonlit.core"

local tensor = {}
for name, value in pairs(core) do
  if type(value) == "function" then tensor[name] = value end
end

--- Starts the random numbers of this Lua state: randn, rand, randint, dropout.
function tensor.seed(n) core.sys.seed(n) end

--- f(...) without recording gradients.
tensor.no_grad = core.autograd.no_grad

return tensor
