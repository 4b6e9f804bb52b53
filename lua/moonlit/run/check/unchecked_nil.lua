--- A call that failed and gave nil, which was used.
return { at = "message", severe = true, find = function(message)
  local kind, name = message:match "attempt to index a nil value %((%w+) '([^']+)'%)"
  if kind == "local" or kind == "upvalue" then
    return name .. " is nil: the call that should have made it gave nil and a message",
           "put assert(...) around that call to see its message"
  end
end }
