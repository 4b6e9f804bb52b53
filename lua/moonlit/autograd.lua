--- Gradients: switching recording, operations written in Lua, recomputation.
--- An operation is autograd.fn{ forward = function(ctx, ...) -> tensor,
--- backward = function(ctx, dy) -> one gradient (or nil) for each argument }.
local core = require "moonlit.core"

local autograd = {
  fn = core.autograd.fn,
  no_grad = core.autograd.no_grad,
  with_grad = core.autograd.with_grad,
  enabled = core.autograd.enabled,
}

-- the arguments again, cut off from their graph, asking for gradients where the originals did
local function fresh(args)
  local again = { n = args.n }
  for i = 1, args.n do
    local v = args[i]
    if core.is_tensor(v) then
      again[i] = v:detach()
      if v:requires_grad() then again[i]:requires_grad(true) end
    else
      again[i] = v
    end
  end
  return again
end

-- f once more, recorded, and backward through it
local function replay(f, args, dy)
  local y = f(table.unpack(args, 1, args.n))
  if y:requires_grad() then y:backward(dy) end
end

local function gradients(args)
  local grads = {}
  for i = 1, args.n do
    if core.is_tensor(args[i]) then grads[i] = args[i]:grad() end
  end
  return table.unpack(grads, 1, args.n)
end

--- f(...), one tensor, without keeping what its backward needs: backward runs f again, with the
--- random numbers of the first time. Parameters f reaches as upvalues get their gradients too.
function autograd.recompute(f, ...)
  if not core.autograd.enabled() then return f(...) end
  local args = table.pack(...)
  local seed, step, index = core.sys.rng()
  local call = core.autograd.fn {
    always = true,
    forward = function(_, ...) return f(...) end,
    backward = function(_, dy)
      local again = fresh(args)
      local now = table.pack(core.sys.rng(seed, step, index))
      local ok, err = pcall(core.autograd.with_grad, replay, f, again, dy)
      core.sys.rng(now[1], now[2], now[3])
      if not ok then error(err, 0) end
      return gradients(again)
    end,
  }
  return call(...)
end

return autograd
