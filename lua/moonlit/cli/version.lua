--- moonlit version: what this is and what it runs on.
local version = require "moonlit.version"

return {
  summary = "print the version and what it runs on",
  run = function()
    local core = require "moonlit.core"
    print(("moonlit %s (%s) on %s, %s, %d threads"):format(
      version.moonlit, version.numerics, _VERSION, core.sys.isa(), core.sys.threads()))
  end,
}
