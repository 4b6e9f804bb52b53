--- A dtype that this machine has no instructions for: right, but slow.
local core = require "moonlit.core"

return { at = "start", severe = false, find = function(c)
  local dtype = c.model and c.model.options and c.model.options.dtype
  if dtype and dtype:find "^bf16" and not core.sys.native(dtype) then
    return ("this machine is not made for dtype %s: it is imitated, slowly"):format(dtype),
           'dtype = "f32"' .. (core.sys.native "bf16" and ', or "bf16"' or "")
  end
end }
