--- Lines from whoever is at the terminal, with editing where the readline rock is installed; from a
--- file or a pipe without any prompt.
---
---   local read = reader()
---   local line = read "> "      -- nil at the end

--- @return fun(prompt: string): string|nil
return function()
  if os.execute("test -t 0") ~= true then return function() return io.read("l") end end
  local ok, readline = pcall(require, "readline")
  if ok and readline.readline then return readline.readline end
  return function(prompt)
    io.write(prompt)
    io.flush()
    return io.read("l")
  end
end
