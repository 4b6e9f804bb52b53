--- More threads than processors.
local core = require "moonlit.core"

return { at = "start", severe = false, find = function(c)
  local threads, processors = core.sys.threads(), core.sys.cpu().count
  if threads > processors then
    return ("%d threads on %d processors wait for each other"):format(threads, processors),
           "--threads " .. processors
  end
end }
