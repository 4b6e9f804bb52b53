--- moonlit version: what this is and what it runs on.
local version = require "moonlit.version"

return {
  summary = "print the version and what it runs on",
  run = function()
    local core = require "moonlit.core"
    local fast = {}
    for _, dtype in ipairs { "f32", "bf16", "bf16-amx" } do
      if core.sys.native(dtype) then fast[#fast + 1] = dtype end
    end
    print(("moonlit %s (%s) on %s, %s, %d threads, made for %s"):format(version.moonlit,
      version.numerics, _VERSION, core.sys.isa(), core.sys.threads(), table.concat(fast, ", ")))
  end,
}
