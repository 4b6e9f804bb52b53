--- What went well, or a failure that says whose it is: must("run") is a function of what others
--- return, value or nil and message.
---
---   local must = require "moonlit.must" "data.parts"
---   local file = must(io.open(path))                  -- fails with "data.parts: ..."
local fail = require "moonlit.fail"

--- @param who string
--- @return fun(ok: any, message: string?): any
return function(who)
  return function(ok, message)
    if not ok then fail("%s: %s", who, message or "failed") end
    return ok
  end
end
